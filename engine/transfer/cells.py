"""Live figures: one cell per lane in a mapping shared with its host, one writer each, no locks.

A cell is eight native 64-bit integers, a cache line of its own, so that lanes do not slow each other down.
The lane writes all but the allowance and the receive buffer, which only the coordinator writes.
"""

import mmap
import os
import time

RECEIVED, TOUCHED_NS, STATE, UNREPORTED, TAKEN, ALLOWANCE, RECEIVE_BUFFER, _SIZE = 0, 1, 2, 3, 4, 5, 6, 8
IDLE, WAITING, BODY, THROTTLED, WRITING = 0, 1, 2, 3, 4
"""WRITING: at the disk, which takes its time when it is behind."""
UNLIMITED = 1 << 62


class Cell:
    """One lane's figures."""

    def __init__(self, words: memoryview) -> None:
        self._words = words

    def set_state(self, state: int) -> None:
        self._words[STATE] = state
        self._words[TOUCHED_NS] = time.monotonic_ns()

    def add_received(self, nbytes: int) -> None:
        """Bytes out of a socket: the sign of life, once there is a body. Until then a server that drips header after
        header would keep a lane for ever, so the whole answer must begin in time."""
        self._words[RECEIVED] += nbytes
        if self._words[STATE] != WAITING:
            self._words[TOUCHED_NS] = time.monotonic_ns()

    def set_unreported(self, nbytes: int) -> None:
        """Bytes on disk that no message has told of yet."""
        self._words[UNREPORTED] = nbytes

    def add_taken(self, nbytes: int) -> None:
        """Body bytes that count against the allowance."""
        self._words[TAKEN] += nbytes

    def set_allowance(self, total: int) -> None:
        """The coordinator's word: how many body bytes this lane may have taken since its start."""
        self._words[ALLOWANCE] = total

    def set_receive_buffer(self, nbytes: int) -> None:
        """The coordinator's word: what the kernel may take in for this lane's next connection before the lane reads
        it; 0 leaves that to the kernel."""
        self._words[RECEIVE_BUFFER] = nbytes

    @property
    def receive_buffer(self) -> int:
        return self._words[RECEIVE_BUFFER]

    @property
    def room(self) -> int:
        """Bytes that may be taken now."""
        return self._words[ALLOWANCE] - self._words[TAKEN]

    @property
    def taken(self) -> int:
        return self._words[TAKEN]

    @property
    def received(self) -> int:
        return self._words[RECEIVED]

    @property
    def state(self) -> int:
        return self._words[STATE]

    @property
    def unreported(self) -> int:
        return self._words[UNREPORTED]

    @property
    def silent_s(self) -> float:
        """Seconds since the last sign of life. The monotonic clock is one for all processes of a machine."""
        return (time.monotonic_ns() - self._words[TOUCHED_NS]) / 1e9


class Cells:
    """The cells of one host's lanes."""

    def __init__(self, lanes: int, fd: int | None = None) -> None:
        nbytes = lanes * _SIZE * 8
        self._map = mmap.mmap(-1, nbytes) if fd is None else mmap.mmap(fd, nbytes)
        self._words = memoryview(self._map).cast("q")
        self._cells = [Cell(self._words[i * _SIZE : (i + 1) * _SIZE]) for i in range(lanes)]

    def __getitem__(self, lane: int) -> Cell:
        return self._cells[lane]

    def __len__(self) -> int:
        return len(self._cells)

    @staticmethod
    def shared_fd(lanes: int) -> int:
        """A descriptor of unlinked shared memory for so many lanes; the caller closes it."""
        fd = memory_fd()
        os.ftruncate(fd, lanes * _SIZE * 8)
        return fd


def memory_fd() -> int:
    """A descriptor of an empty file without a name, in memory where the system has that; the caller closes it."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("jarvis")
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
