"""The roster: all files of a pull, and where each stands: to come, locked out, active, over."""

from collections.abc import Sequence
from pathlib import Path

from engine.errors import Busy, EngineError
from engine.store.disk import check_space
from engine.transfer.backlog import Backlog
from engine.transfer.events import FileDone
from engine.transfer.file_transfer import FileTransfer, Shared
from engine.transfer.job import Job

_OPEN_FILES = 48
"""Files under way at once: enough to keep every lane busy with small ones while others are finished, few enough for
descriptors."""
_LOOK_AGAIN_S = 0.2


class Roster:
    """Of one coordinator. False when every file is over."""

    def __init__(self, jobs: Sequence[Job], shared: Shared, outer: "Sequence[Roster]" = ()) -> None:
        """outer: of pulls whose callbacks have started this one, and wait for it."""
        self._jobs = jobs
        self._shared = shared
        self._backlog = Backlog(jobs)
        self._locked_out: dict[int, FileTransfer] = {}
        """Somebody else holds their locks; tried again now and then."""
        self._outcomes: list[FileDone | EngineError | None] = [None] * len(jobs)
        self._over_bytes = self._kept_bytes = 0
        """Of files that are over, and of those among them that failed."""
        self.active: dict[int, FileTransfer] = {}
        self._outer = outer

    def __bool__(self) -> bool:
        return bool(self.active or self._backlog or self._locked_out)

    def __repr__(self) -> str:
        return f"<Roster {len(self.active)} active, {len(self._locked_out)} locked out, {self._backlog}>"

    # Beginnings

    def check_space(self) -> None:
        """All files of known size must fit before the first byte is fetched; each is checked again by itself.
        Raises NoSpace."""
        if len(self._jobs) < 2:
            return
        jobs = [job for job in self._jobs if job.remote.size and not job.target.exists()]
        fresh = [job for job in jobs if not job.partial.exists()]
        if fresh:
            folder = fresh[0].target.parent
            while not folder.exists():
                folder = folder.parent
            check_space(folder, sum(job.remote.size or 0 for job in fresh))

    @property
    def has_room(self) -> bool:
        """Whether another file may be opened."""
        return len(self.active) < _OPEN_FILES

    def admit(self, now: float) -> list[FileTransfer]:
        """Open files, in order, as long as there is room; those that were locked first. The ones that are active now:
        some of them need nothing, so there may be room again at once."""
        admitted = []
        for transfer in [t for t in self._locked_out.values() if t.resume_at <= now]:
            if self.has_room and self._open(self._locked_out.pop(transfer.number), now):
                admitted.append(transfer)
        while self.has_room and (number := self._backlog.take()) is not None:
            transfer = FileTransfer(number, self._jobs[number], self._shared)
            if self._open(transfer, now):
                admitted.append(transfer)
        return admitted

    def _open(self, transfer: FileTransfer, now: float) -> bool:
        transfer.admit()
        if transfer.state == "waiting" and any(outer.is_at(transfer.job.target) for outer in self._outer):
            target = str(transfer.job.target)
            transfer.fail(
                Busy(
                    f"{target!r} is being pulled by the call whose callback asks for it. Let that end first."
                )
            )
        is_locked_out = transfer.state == "waiting"
        transfer.resume_at = now + _LOOK_AGAIN_S if is_locked_out else 0.0
        (self._locked_out if is_locked_out else self.active)[transfer.number] = transfer
        return not is_locked_out

    def is_at(self, target: Path) -> bool:
        """Whether it is at work on this file."""
        return any(transfer.job.target == target for transfer in self.active.values())

    # Ends

    def retire(self, transfer: FileTransfer) -> None:
        """The file is over, and what came of it is noted."""
        del self.active[transfer.number]
        self._backlog.release(transfer.number)
        self._outcomes[transfer.number] = transfer.result or transfer.error
        self._over_bytes += transfer.done_bytes
        if transfer.result is None:
            self._kept_bytes += transfer.done_bytes

    def outcomes(self, missing: EngineError) -> list[FileDone | EngineError]:
        """What came of every file, in order; missing, where nothing did."""
        return [outcome or missing for outcome in self._outcomes]

    @property
    def stream_leases(self) -> set[int]:
        """Leases that are out of files without ranges, by number."""
        return {n for t in self.active.values() if t.leases.is_stream for n in t.leases.out}

    # Sums

    @property
    def done_bytes(self) -> int:
        """On disk, of all files that have begun."""
        return self._over_bytes + sum(transfer.done_bytes for transfer in self.active.values())

    @property
    def kept_bytes(self) -> int:
        """What stays on disk of unfinished files, and is used by the next run."""
        return self._kept_bytes + sum(t.done_bytes for t in self.active.values() if t.result is None)

    @property
    def missing_bytes(self) -> int:
        """Of all files that are not over, as far as sizes are known."""
        known = sum(t.size - t.done_bytes for t in self.active.values() if t.size is not None)
        return known + self._backlog.known_bytes

    @property
    def missing_segments(self) -> int:
        """About how many segments nobody fetches yet; each file that has not begun counts as one."""
        return sum(t.missing_segments for t in self.active.values()) + self._backlog.count

    def missing_beside(self, transfer: FileTransfer, enough: int) -> int:
        """The same without this file, counted up to enough."""
        count = self._backlog.count
        for other in self.active.values():
            if count >= enough:
                return enough
            count += other.missing_segments if other is not transfer else 0
        return min(count, enough)
