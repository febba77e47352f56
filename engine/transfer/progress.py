"""Rates and remaining times, from what the lanes' cells and the plan say."""

from engine.transfer.events import FileDone, Progress
from engine.transfer.health import Pulse


class Tracker:
    """Progress of one file. Never goes back, although a report may be late."""

    def __init__(self, now: float) -> None:
        self._pulse = Pulse(now, 0)
        self._done = 0
        self._base: int | None = None

    def report(
        self,
        now: float,
        *,
        file: str,
        path: str,
        phase: str,
        done: int,
        hashed: int,
        size: int | None,
        lanes: int,
    ) -> Progress:
        """The event for now. All sizes in bytes."""
        self._done = max(self._done, done) if size is None else min(max(self._done, done), size)
        if self._base is None:
            self._base = self._done
        self._pulse.sample(now, self._done - self._base)
        rate = self._pulse.rate_bytes_s
        eta = (size - self._done) / rate if size is not None and rate > 0 else None
        return Progress(
            file=file,
            path=path,
            phase=phase,  # type: ignore[arg-type]  # one of Progress's words, chosen by reports.py
            done_bytes=self._done,
            hashed_bytes=hashed,
            size=size,
            bytes_per_s=rate,
            eta_s=eta,
            lanes=lanes,
        )

    def last(self, now: float, file: FileDone) -> Progress:
        """The event of a file that has its name."""
        return self.report(
            now,
            file=file.file,
            path=file.path,
            phase="done",
            done=file.size,
            hashed=file.size if file.sha256 else 0,
            size=file.size,
            lanes=0,
        )

    def reset(self, now: float) -> None:
        """The file starts again: only this may take its figure back."""
        self._pulse = Pulse(now, 0)
        self._done = 0
        self._base = None
