"""The frontier: SHA-256 follows the written prefix while the rest still arrives.

SHA-256 is sequential, so one thread per file hashes what the lanes wrote where it lies, in the page cache (hashlib
releases the GIL). Segments that an earlier run wrote are only believed here: they are
checked against their xxh3 in the same pass, and one that does not agree is not hashed but reported.
"""

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext

import xxhash

from engine.digest import Hasher, start_hash
from engine.spans import Grid
from engine.store.mapping import map_span

_MAPPED_BYTES, _MAPPED_FROM_BYTES = 1 << 23, 1 << 16
"""What is mapped at once, for between two steps the hash waits for the interpreter; less than the latter is copied as
fast."""
_WARM_BYTES = 1 << 18
"""What is read back at once, where it cannot be mapped: it shall still be in the core's own cache when it is hashed."""


class Frontier:
    """Follows one file. `advance` runs on one thread at a time; `limit` may be moved forward by another."""

    def __init__(
        self,
        fd: int,
        grid: Grid,
        algorithms: Sequence[str],
        unproven: Mapping[int, int | None],
        chunk_size: int,
    ) -> None:
        self._fd = fd
        self._grid = grid
        self._hashers: dict[str, Hasher] = {name: start_hash(name, grid.size) for name in algorithms}
        self._unproven = dict(unproven)
        """xxh3_64 by index of segments that an earlier run vouches for; None: nobody does, find it out."""
        self.found: dict[int, int] = {}
        """Checks that were found out on the way."""
        self._chunk_size = chunk_size
        self.offset = 0
        """How far the file is proven and hashed; always a segment's edge between calls, or the end."""
        self.limit = 0
        """How far it may go: the end of the written prefix."""
        self.must_stop = False

    @property
    def unproven(self) -> Mapping[int, int | None]:
        """What had to be proven at the beginning, without what was fetched again since."""
        return self._unproven

    @property
    def is_hashing(self) -> bool:
        """Whether there is anything to hash, not just to follow."""
        return bool(self._hashers)

    @property
    def is_done(self) -> bool:
        return self.offset == self._grid.size

    @property
    def has_work(self) -> bool:
        return self._next_stop() <= self.limit and not self.is_done

    def advance(self) -> int | None:
        """Hash whole segments up to the limit. Returns the index of a held segment that is bad, else None.
        Raises OSError."""
        while not self.must_stop and self.has_work:
            index = self._grid.index_of(self.offset)
            if not self._pass_segment(index):
                return index
        return None

    def replaced(self, index: int) -> None:
        """This segment is about to be fetched again, so nothing vouches for what is there."""
        self._unproven.pop(index, None)

    def hexdigest(self, algorithm: str) -> str:
        return self._hashers[algorithm].hexdigest()

    def _next_stop(self) -> int:
        return min((self._grid.index_of(self.offset) + 1) * self._grid.segment_size, self._grid.size)

    def _pass_segment(self, index: int) -> bool:
        """Read one segment into the hashers; False, with the hashers as before, if its check does not agree."""
        span = self._grid.span_of(index)
        must_check = index in self._unproven
        if not must_check and not self._hashers:
            self.offset = span.stop
            return True
        before = {name: h.copy() for name, h in self._hashers.items()} if must_check else {}
        check = xxhash.xxh3_64()
        for piece in view_span(self._fd, span.start, span.stop, self._chunk_size):
            if must_check:
                check.update(piece)
            for hasher in self._hashers.values():
                hasher.update(piece)
        if must_check and self._unproven[index] not in (None, check.intdigest()):
            self._hashers = before
            return False
        if must_check:
            self.found[index] = check.intdigest()
        self.offset = span.stop
        return True


def view_span(fd: int, start: int, stop: int, chunk_size: int) -> Iterator[memoryview]:
    """As read_span, without a copy where the system can map files; at most chunk_size bytes at a time. Only for a part:
    whoever shortens a file under its mapping ends this process, and a part is ours alone."""
    buffer = None
    while start < stop:
        end = min(stop, start + min(chunk_size, _MAPPED_BYTES))
        with map_span(fd, start, end) if end - start >= _MAPPED_FROM_BYTES else nullcontext() as mapped:
            if mapped is not None:
                yield mapped
        if mapped is None:
            buffer = buffer or memoryview(bytearray(min(chunk_size, _WARM_BYTES)))
            yield from read_span(fd, start, end, buffer)
        start = end


def read_span(fd: int, start: int, stop: int, buffer: memoryview) -> Iterator[memoryview]:
    """The file's bytes from start to stop, as views into buffer that hold until the next one. Raises OSError,
    also where the file is shorter."""
    while start < stop:
        nbytes = os.preadv(fd, [buffer[: stop - start]], start)
        if nbytes == 0:
            raise OSError(errno.EIO, "the file is shorter than it was")
        yield buffer[:nbytes]
        start += nbytes


def check_of(fd: int, start: int, stop: int, buffer: memoryview) -> int:
    """xxh3_64 of a span as it is on disk."""
    check = xxhash.xxh3_64()
    for piece in read_span(fd, start, stop, buffer):
        check.update(piece)
    return check.intdigest()
