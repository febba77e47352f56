"""Progress of all files of a pull, told as events."""

from collections.abc import Collection, Iterable

from engine.transfer.events import Observer
from engine.transfer.file_transfer import FileTransfer
from engine.transfer.fleet import Slot
from engine.transfer.ledger import Ledger
from engine.transfer.progress import Tracker


class Reports:
    """Of one coordinator; interval_s is the least time between two reports of a file, but for its last."""

    def __init__(self, observer: Observer, interval_s: float) -> None:
        self._observer = observer
        self._interval_s = interval_s
        self._last = 0.0
        self._trackers: dict[int, Tracker] = {}

    def begin(self, transfer: FileTransfer, now: float) -> None:
        self._trackers[transfer.number] = Tracker(now)

    def begin_again(self, transfer: FileTransfer, now: float) -> None:
        """What had come is thrown away."""
        self._trackers[transfer.number].reset(now)

    def tell(self, transfers: Iterable[FileTransfer], ledger: Ledger, now: float) -> None:
        """Say where these files stand, if it is time for that."""
        if now - self._last < self._interval_s:
            return
        self._last = now
        for transfer in transfers:
            self._tell(transfer, ledger.at_work_on(transfer.leases.out), now)

    def _tell(self, transfer: FileTransfer, lanes: Collection[Slot], now: float) -> None:
        in_flight = sum(slot.cell.unreported for slot in lanes)
        phase = (
            "verifying"
            if transfer.is_verifying
            else "downloading"
            if transfer.size is not None or in_flight
            else "connecting"
        )
        self._observer(
            self._trackers[transfer.number].report(
                now,
                file=str(transfer.job.remote.name),
                path=str(transfer.job.target),
                phase=phase,
                done=transfer.done_bytes + in_flight,
                hashed=transfer.hashed_bytes,
                size=transfer.size,
                lanes=len(lanes),
            )
        )

    def end(self, transfer: FileTransfer, now: float) -> None:
        """The file is over: say so, the last progress first. A failure is told by whoever called; here only that no
        connection works for the file any more."""
        if transfer.result is None:
            self._tell(transfer, (), now)
            del self._trackers[transfer.number]
            return
        self._observer(self._trackers.pop(transfer.number).last(now, transfer.result))
        self._observer(transfer.result)
