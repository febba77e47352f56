"""What lanes have written of segments that the journal does not name yet: whoever is killed, it is not fetched again.

Format (docs/formats.md). Each lane has _PLACES places of 32 bytes and uses them in turn, one for each piece; a place is
overwritten as its piece grows. A place is

    u64 start | u64 stop | u64 xxh3_64 of these bytes | u64 xxh3_64 of the 24 bytes before, with a seed

all little-endian. The seed is the hash of the journal's header: what is left of another version is no place. Nothing is
synced, and nothing is believed before the bytes have been hashed again.
"""

import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Self

import xxhash

from engine.regular_file import open_regular
from engine.spans import Grid, Span
from engine.store.disk import close_quietly

PIECES = "pieces"
"""What the file is called, beside the journal."""
_PLACES = 8
"""A lane may be so many pieces ahead of what the coordinator has written down."""
_PLACE = struct.Struct("<QQQ")
_HASH = struct.Struct("<Q")
_NBYTES = _PLACE.size + _HASH.size
_MAX_BYTES = _NBYTES * _PLACES * 4096
"""More lanes than anybody has."""


class Pieces:
    """Open for writing. A lane's places are its own, so nobody waits for anybody."""

    def __init__(self, fd: int, seed: int) -> None:
        self.fd = fd
        self.seed = seed

    @classmethod
    def create(cls, path: Path, seed: int) -> Self | None:
        """An empty one at path; None where that is not possible: then a kill costs what it costs without."""
        try:
            return cls(open_regular(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644), seed)
        except OSError:
            return None

    def note(self, lane: int, turn: int, span: Span, check: int) -> None:
        """Lane's piece of this turn is on disk as far as span; check is the xxh3_64 of that. A disk that does not take
        it is no failure of the pull."""
        place = _PLACE.pack(span.start, span.stop, check)
        with suppress(OSError):
            os.pwrite(self.fd, place + _hash(place, self.seed), _offset(lane, turn))

    def erase(self, lane: int, turn: int) -> None:
        """What was noted there is not to be relied on."""
        with suppress(OSError):
            os.pwrite(self.fd, bytes(_NBYTES), _offset(lane, turn))

    def clear(self) -> None:
        """Nothing of what is noted counts any more: some of it has turned out wrong."""
        with suppress(OSError):
            os.ftruncate(self.fd, 0)

    def read(self, grid: Grid) -> dict[Span, int]:
        """What is noted of a file with this grid. Raises OSError."""
        return parse(os.pread(self.fd, _MAX_BYTES, 0), self.seed, grid)

    def close(self) -> None:
        """May be called twice."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            close_quietly(fd)


def read(path: Path, seed: int, grid: Grid) -> dict[Span, int]:
    """What was left at path; nothing where it cannot be read."""
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
            return parse(file.read(_MAX_BYTES), seed, grid)
    except OSError:
        return {}


def parse(raw: bytes, seed: int, grid: Grid) -> dict[Span, int]:
    """The checks of all places that agree with their hash and lie within one segment, by span."""
    found: dict[Span, int] = {}
    for at in range(0, len(raw) - _NBYTES + 1, _NBYTES):
        place, check_of_place = raw[at : at + _PLACE.size], raw[at + _PLACE.size : at + _NBYTES]
        if check_of_place != _hash(place, seed):
            continue
        start, stop, check = _PLACE.unpack(place)
        if start < stop <= grid.size and grid.index_of(start) == grid.index_of(stop - 1):
            found[Span(start, stop)] = check
    return found


def _offset(lane: int, turn: int) -> int:
    return (lane * _PLACES + turn % _PLACES) * _NBYTES


def _hash(place: bytes, seed: int) -> bytes:
    return _HASH.pack(xxhash.xxh3_64_intdigest(place, seed))
