"""Relief: lanes that have nothing to do take over from those that would be last (endgame.py decides what)."""

from collections.abc import Iterable

from engine.telemetry import Log
from engine.transfer.endgame import Cut, Rest, choose_cut
from engine.transfer.file_transfer import FileTransfer
from engine.transfer.ledger import Ledger
from engine.transfer.messages import Shortened
from engine.transfer.watch import Watch

_log = Log(__name__)
_SLOW_SHARE = 0.5


class Relief:
    """Of one coordinator."""

    def __init__(self, ledger: Ledger, watch: Watch) -> None:
        self._ledger = ledger
        self._watch = watch

    def give(self, idle: int, transfers: Iterable[FileTransfer], now: float, *, only_slow: bool) -> None:
        """So many lanes have nothing to do. What is taken from others for them is missing again once those others have
        said how far they went. only_slow: where lanes take from each other, a lane that is no slower than the rest
        would be done no sooner."""
        idle -= self._ledger.being_cut
        if idle <= 0:
            return
        typical = self._watch.typical_rate(self._ledger.slots.values())
        enough = _SLOW_SHARE * typical if only_slow else float("inf")
        rests = {
            rest.lease: rest
            for transfer in transfers
            for rest in self._rests(transfer, typical, now)
            if rest.rate_bytes_s < enough
        }
        for _ in range(idle):
            cut = choose_cut(rests.values(), typical, self._watch.delay_s)
            if cut is None:
                return
            self._cut(cut, rests.pop(cut.lease))

    def unblock(self, transfers: Iterable[FileTransfer], now: float) -> None:
        """Where a file's hash waits for slow lanes while much has come beyond them, others take over what they hold."""
        typical = self._watch.typical_rate(self._ledger.slots.values())
        for transfer in transfers:
            if not transfer.is_held_up:
                continue
            slow = [r for r in self._rests(transfer, typical, now) if r.rate_bytes_s < _SLOW_SHARE * typical]
            for rest in slow:
                if cut := choose_cut([rest], typical, self._watch.delay_s):
                    self._cut(cut, rest)

    def _cut(self, cut: Cut, rest: Rest) -> None:
        _log.debug("lease.cut", lease=cut.lease, bytes=rest.stop - cut.stop, rate=int(rest.rate_bytes_s))
        self._ledger.shorten(cut.lease, cut.stop)

    def _rests(self, transfer: FileTransfer, typical: float, now: float) -> Iterable[Rest]:
        for number, span in transfer.rests():
            slot = self._ledger.slots.get(number)
            if slot is not None and slot.revoked_at is None and number not in self._ledger.cuts:
                start = min(span.start + slot.cell.unreported, span.stop)
                yield Rest(number, start, span.stop, self._watch.rate_lately(slot, now, typical))

    def taken(self, message: Shortened, transfer: FileTransfer, now: float) -> None:
        """A lane has said how far it will go. One that goes no further than it has come stood still."""
        self._ledger.cuts.discard(message.lease)
        transfer.shortened(message)
        if message.is_over:
            self._watch.gave_up(self._ledger.slots[message.lease], now)
