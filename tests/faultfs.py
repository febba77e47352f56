"""A disk that fails on command: system calls of the command and its workers, on paths that a test names (faultfs.c)."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_suffix(".c")
ALWAYS = 1 << 40


@dataclass(frozen=True)
class Fault:
    """Calls on paths that contain part fail with this errno, from the nth of a process on, so many times."""

    call: str
    """pwrite, write, pread, fsync, fdatasync, ftruncate, posix_fallocate, flock, ioctl, close, link, rename; mmap maps
    what cannot be read."""
    part: str
    number: int
    """Negative: the call takes so many milliseconds longer, and does not fail."""
    nth: int = 1
    times: int = ALWAYS

    def __str__(self) -> str:
        return f"{self.call} {self.part} {self.number} {self.nth} {self.times}"


class FaultFs:
    """Made once for a session; without a C compiler its tests are skipped."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler is installed")
        self._library = folder / "faultfs.so"
        options = ["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"]
        subprocess.run([compiler, *options, self._library, _SOURCE, "-ldl"], check=True)

    def env(self, log: Path, *faults: Fault) -> dict[str, str]:
        """What a command's environment needs for these; it must be an interpreter of its own (entry=ENTRY)."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAULTFS": "\n".join(map(str, faults)),
            "FAULTFS_LOG": str(log),
        }


def fired(log: Path, call: str) -> int:
    """How often a fault of this call has struck."""
    return log.read_text().split().count(call) if log.exists() else 0
