"""The watch: looks at every lane's figures ten times a second and says which leases to take away."""

from collections import deque
from collections.abc import Mapping

from engine.transfer.cells import BODY, THROTTLED, WAITING
from engine.transfer.fleet import Slot
from engine.transfer.health import LaneView, Pulse, Verdict, judge

_REMEMBERED = 16


class Watch:
    """Of one coordinator."""

    def __init__(self, stall_timeout_s: float) -> None:
        self._first_timeout_s = self._timeout_s = stall_timeout_s
        self._finished_rates: deque[float] = deque(maxlen=_REMEMBERED)
        self._done_at_stall = -1

    def begin(self, slot: Slot, number: int, now: float) -> None:
        """The slot gets this lease."""
        slot.lease, slot.body_since = number, None
        slot.pulse = Pulse(now, slot.cell.received)
        slot.cell.set_state(WAITING)

    def end(self, slot: Slot, now: float, *, is_revoked: bool, has_failed: bool) -> None:
        """The slot's lease is over; what it reached counts for the others' judgement."""
        slot.lease = slot.revoked_at = None
        slot.is_draining = is_revoked
        slot.has_failed = has_failed
        if not has_failed and (slot.body_since is not None or not is_revoked):
            slot.pulse.sample(now, slot.cell.received)  # a lease may be over between two looks at its lane
            self._finished_rates.append(slot.pulse.rate_bytes_s)

    def look(
        self, slots: Mapping[int, Slot], now: float, *, done_bytes: int, is_limited: bool
    ) -> list[Verdict]:
        """Leases to take away now; slots by lease. done_bytes: of all files, to see whether anything moves."""
        for slot in slots.values():
            self._sample(slot, now)
        views = [_view(number, slot, now) for number, slot in slots.items() if slot.revoked_at is None]
        verdicts = judge(views, self._finished_rates, self._timeout_s, is_limited=is_limited)
        if any(verdict.kind == "stalled" for verdict in verdicts):
            self._note_stall(done_bytes)
        return verdicts

    def _sample(self, slot: Slot, now: float) -> None:
        if slot.body_since is not None:
            slot.pulse.sample(now, slot.cell.received)
        elif slot.cell.state in (BODY, THROTTLED):
            slot.body_since = now
            slot.pulse = Pulse(now, slot.cell.received)

    def _note_stall(self, done_bytes: int) -> None:
        """When stalls repeat without a byte for anybody, the line may just be slow: be twice as patient."""
        stands_still = done_bytes == self._done_at_stall
        self._timeout_s = 2 * self._timeout_s if stands_still else self._first_timeout_s
        self._done_at_stall = done_bytes


def _view(number: int, slot: Slot, now: float) -> LaneView:
    return LaneView(
        number,
        age_s=now - slot.body_since if slot.body_since is not None else 0.0,
        silent_s=slot.cell.silent_s,
        rate_bytes_s=slot.pulse.rate_bytes_s,
        is_waiting=slot.cell.state == WAITING,
        is_throttled=slot.cell.state == THROTTLED,
    )
