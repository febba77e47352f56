"""The watch: looks at every lane's figures several times a second, says which leases to take away, and what may be
expected of a lane.
"""

from collections import deque
from collections.abc import Collection, Mapping

from engine.transfer.cells import BODY, THROTTLED, WAITING, WRITING
from engine.transfer.fleet import Slot
from engine.transfer.health import SLOW_AFTER_S, LaneView, Pulse, Verdict, judge, median

_REMEMBERED = 16
_WAITS_TO_JUDGE = 4
"""A new connection gets so many times the usual wait for an answer to come up to speed."""
_SLOW_PER_S, _SLOW_AT_ONCE = 1 / 3, 64
"""Slow lanes are replaced at once where edges differ; where a line is just uneven, that must not go on and on."""
_LATELY_S = 0.3
_LEASE_WAITS, _SHORTEST_LEASE_S, _LONGEST_LEASE_S = 50, 0.2, 2.0
"""A lease is as long as so many usual waits for an answer: what it costs to ask for it is then 2 % of it. Where that
is little, short leases keep the file together: the hash can follow, and a slow lane holds up less."""
_HEAD_BYTES = 1 << 16
"""An answer's headers, and a little."""
_CALMS_DOWN_S = 30.0
"""Patience that was for nothing for so long is halved: what a link was like an hour ago says little."""
_FIRST_BYTE_TIMEOUTS, _MOST_TIMEOUTS = 3, 4
"""Stall timeouts that a lane may wait for its first byte, and those that any may be silent on a line that stands still
for all: a host that is dead is told so of every file that is asked of it."""
_FIRST_DELAY_S = 0.1
"""Until an answer has shown how long one takes."""


class Watch:
    """Of one coordinator."""

    def __init__(self, stall_timeout_s: float) -> None:
        self._first_timeout_s = self._timeout_s = stall_timeout_s
        self._finished_rates: deque[float] = deque(maxlen=_REMEMBERED)
        self._waits: deque[float] = deque(maxlen=_REMEMBERED)
        self._done_at_stall, self._stalled_at = -1, float("-inf")
        self._may_replace: float = _SLOW_AT_ONCE
        self._last_look = 0.0
        self._patience = 1.0
        self._last_in_vain = float("-inf")

    @property
    def delay_s(self) -> float:
        """How long an answer usually takes to begin."""
        return median(self._waits) if self._waits else _FIRST_DELAY_S

    def lease_bytes(self, slot: Slot) -> int:
        """How many bytes the slot's next lease should have."""
        seconds = min(max(_LEASE_WAITS * self.delay_s, _SHORTEST_LEASE_S), _LONGEST_LEASE_S)
        return int(seconds * slot.pulse.rate_bytes_s)

    def begin(self, slot: Slot, number: int, now: float) -> None:
        """The slot gets this lease."""
        slot.lease, slot.body_since = number, None
        slot.since, slot.received_before = now, slot.cell.received
        slot.pulse = Pulse(now, slot.cell.received)
        slot.cell.set_state(WAITING)

    def end(self, slot: Slot, now: float, *, wait_s: float, is_revoked: bool, has_failed: bool) -> None:
        """The slot's lease is over; what it reached counts for the others' judgement. wait_s: for its answer."""
        slot.lease = slot.revoked_at = None
        slot.is_draining = is_revoked
        slot.has_failed = has_failed
        if has_failed or is_revoked:
            return
        self._waits.append(wait_s)
        slot.pulse.sample(now, slot.cell.received)  # a lease may be over between two looks at its lane
        self._finished_rates.append(slot.pulse.rate_bytes_s)

    def look(
        self,
        slots: Mapping[int, Slot],
        now: float,
        *,
        done_bytes: int,
        is_limited: bool,
        streams: Collection[int] = (),
        takes_new: bool = True,
    ) -> list[Verdict]:
        """Leases to take away now; slots by lease. done_bytes: of all files, to see whether anything moves. streams:
        leases that would begin again at zero, so that being slow is no reason; nor is it where the server takes no new
        connections."""
        for slot in slots.values():
            self._sample(slot, now)
        views = [_view(number, slot, now) for number, slot in slots.items() if slot.revoked_at is None]
        verdicts = judge(
            views,
            self._finished_rates,
            self._timeout_s,
            first_byte_s=max(_FIRST_BYTE_TIMEOUTS * self._first_timeout_s, self._timeout_s),
            is_limited=is_limited,
            slow_after_s=self._patience_at(now) * SLOW_AFTER_S + _WAITS_TO_JUDGE * self.delay_s,
        )
        if any(verdict.kind == "stalled" for verdict in verdicts):
            self._note_stall(done_bytes, now)
        kept = [v for v in verdicts if v.kind == "stalled" or (takes_new and v.lease not in streams)]
        return self._within_means(kept, now)

    def _within_means(self, verdicts: list[Verdict], now: float) -> list[Verdict]:
        """All that are stalled, and as many slow ones as may be replaced by now."""
        earned = (now - self._last_look) * _SLOW_PER_S if self._last_look else 0.0
        self._may_replace, self._last_look = min(self._may_replace + earned, _SLOW_AT_ONCE), now
        slow = [verdict for verdict in verdicts if verdict.kind == "slow"][: int(self._may_replace)]
        self._may_replace -= len(slow)
        return [verdict for verdict in verdicts if verdict.kind == "stalled"] + slow

    def rate_lately(self, slot: Slot, now: float, typical: float) -> float:
        """What to expect of a lane at work in the next moment, in bytes a second. One that has just begun, or has
        waited no longer than usual, is taken to be like the others (typical)."""
        lately_s = self._patience_at(now) * _LATELY_S
        if slot.body_since is None:
            return typical if now - slot.since <= lately_s + 2 * self.delay_s else 0.0
        if now - slot.body_since < lately_s:
            return max(typical, slot.pulse.rate_bytes_s)
        return slot.pulse.rate_over(lately_s)

    def gave_up(self, slot: Slot, now: float) -> None:
        """A lease is taken from a lane that is slow or stands still. Where it has hardly had a byte and none is coming,
        the server may just take its time, and would take it again: be twice as patient from now on. One that trickles
        shows that the server has answered, however little that is."""
        patience = self._patience_at(now)
        lately_s = patience * _LATELY_S
        trickles = slot.body_since is not None and slot.pulse.rate_over(lately_s) > 0
        is_in_vain = slot.cell.received - slot.received_before < _HEAD_BYTES and not trickles
        if is_in_vain and now - self._last_in_vain >= lately_s:
            self._patience, self._last_in_vain = 2 * patience, now

    def _patience_at(self, now: float) -> float:
        worn: float = 0.5 ** ((now - self._last_in_vain) / _CALMS_DOWN_S)
        return max(1.0, self._patience * worn)

    def typical_rate(self, slots: Collection[Slot]) -> float:
        """Of a lane, in bytes a second: the median of those at work and those that have finished."""
        rates = [slot.pulse.rate_bytes_s for slot in slots if slot.body_since is not None]
        return median([*rates, *self._finished_rates])

    def _sample(self, slot: Slot, now: float) -> None:
        if slot.body_since is not None:
            slot.pulse.sample(now, slot.cell.received)
        elif slot.cell.state in (BODY, THROTTLED, WRITING):
            slot.body_since = now
            slot.pulse = Pulse(now, slot.cell.received)

    def _note_stall(self, done_bytes: int, now: float) -> None:
        """When stalls repeat without a byte for anybody, the line may just be slow: be twice as patient, within bounds.
        Lanes that fall silent together are one stall."""
        if now - self._stalled_at < self._timeout_s:
            return
        stands_still = done_bytes == self._done_at_stall
        longer = min(2 * self._timeout_s, _MOST_TIMEOUTS * self._first_timeout_s)
        self._timeout_s = longer if stands_still else self._first_timeout_s
        self._done_at_stall, self._stalled_at = done_bytes, now


def _view(number: int, slot: Slot, now: float) -> LaneView:
    return LaneView(
        number,
        age_s=now - slot.body_since if slot.body_since is not None else 0.0,
        silent_s=slot.cell.silent_s,
        rate_bytes_s=slot.pulse.rate_bytes_s,
        is_waiting=slot.cell.state == WAITING,
        is_throttled=slot.cell.state == THROTTLED,
        is_writing=slot.cell.state == WRITING,
    )
