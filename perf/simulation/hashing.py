"""The hash that follows behind the written beginning of each file, at the rate of a core."""

from collections.abc import Collection
from dataclasses import dataclass

from perf.simulation.files import File

_NEAR = 0.5
"""Less than a byte is nothing."""


@dataclass
class Hashing:
    """rate: bytes a second of one file; 0: nothing is verified. cores: how many files at once."""

    rate: float
    cores: int
    largest_lag: float = 0.0
    """Bytes written and not hashed yet, at most: what the page cache must hold, or disks give back."""

    def advance(self, files: Collection[File], dt: float) -> None:
        """So much time has passed."""
        if not self.rate:
            return
        behind = [file for file in files if file.hashed < file.limit]
        if behind:
            nbytes = self._share(behind) * dt
            for file in behind:
                file.hashed = min(file.hashed + nbytes, file.limit)

    def note_lag(self, files: Collection[File]) -> None:
        if self.rate:
            self.largest_lag = max(self.largest_lag, sum(file.written - file.hashed for file in files))

    def until_next(self, files: Collection[File]) -> float:
        """Seconds until a file that has come is through."""
        if not self.rate:
            return float("inf")
        behind = [file for file in files if file.hashed < file.limit]
        ends = [
            (file.size - file.hashed) / self._share(behind) for file in behind if file.has_come and self.rate
        ]
        return min(ends, default=float("inf"))

    def is_through(self, file: File) -> bool:
        return file.has_come and (not self.rate or file.size - file.hashed < _NEAR)

    def _share(self, behind: list[File]) -> float:
        return self.rate * min(1.0, self.cores / len(behind))
