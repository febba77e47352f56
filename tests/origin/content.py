"""What the origin serves: content of any size, of which every range can be made again and compared.

Content is handed out as views of at most BLOCK bytes, so that hundreds of megabytes cost no memory.
"""

import functools
import hashlib
import os
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

BLOCK = 1 << 20
# Odd, so that n * _STRIDE mod BLOCK differs for the first 2**20 blocks (1 TiB); near BLOCK / golden
# ratio, so that neighbouring blocks start far apart.
_STRIDE = 648_055


class Content(ABC):
    """Bytes of a known size that can be read anywhere, as often as needed, from any thread."""

    size: int

    @abstractmethod
    def views(self, start: int, stop: int) -> Iterator[memoryview]:
        """The bytes [start, stop), in order, in views of at most BLOCK bytes. Both must lie in 0..size."""

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        return b"".join(self.views(start, self.size if stop is None else stop))

    def sha256(self) -> str:
        return self._hashed(hashlib.sha256())

    def git_sha1(self) -> str:
        """The name Git gives to this content (a blob)."""
        return self._hashed(hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False))

    def _hashed(self, hasher: "hashlib._Hash") -> str:
        for view in self.views(0, self.size):
            hasher.update(view)
        return hasher.hexdigest()

    def write_to(self, path: Path) -> Path:
        with path.open("wb") as file:
            for view in self.views(0, self.size):
                file.write(view)
        return path

    def first_difference(self, path: Path) -> int | None:
        """The offset at which a file first differs, its length included; None when it is this content."""
        offset = 0
        with path.open("rb") as file:
            for view in self.views(0, self.size):
                found = file.read(len(view))
                if found != view:
                    return offset + _first_difference(found, view)
                offset += len(view)
            return offset if file.read(1) else None


def _first_difference(found: bytes, view: memoryview) -> int:
    return next((i for i, (a, b) in enumerate(zip(found, view, strict=False)) if a != b), len(found))


class Bytes(Content):
    """Content held in memory."""

    def __init__(self, data: bytes) -> None:
        self._view = memoryview(data)
        self.size = len(data)

    def views(self, start: int, stop: int) -> Iterator[memoryview]:
        for at in range(start, stop, BLOCK):
            yield self._view[at : min(at + BLOCK, stop)]


@functools.lru_cache(maxsize=8)
def _noise(seed: int) -> memoryview:
    return memoryview(random.Random(seed).randbytes(2 * BLOCK))


class Pattern(Content):
    """Deterministic noise: block n of a seed is a window of its own into two blocks of random bytes.

    No block repeats within 1 TiB, and no copying is needed to serve one. Bytes at a wrong offset,
    or of another seed, differ in 255 of 256 places.
    """

    def __init__(self, size: int, seed: int = 0) -> None:
        self.size = size
        self.seed = seed

    def views(self, start: int, stop: int) -> Iterator[memoryview]:
        noise = _noise(self.seed)
        while start < stop:
            block, within = divmod(start, BLOCK)
            nbytes = min(BLOCK - within, stop - start)
            at = block * _STRIDE % BLOCK + within
            yield noise[at : at + nbytes]
            start += nbytes


class FileContent(Content):
    """A file on disk, as long as it was when first seen."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size

    def views(self, start: int, stop: int) -> Iterator[memoryview]:
        with self.path.open("rb") as file:
            for at in range(start, stop, BLOCK):
                yield memoryview(os.pread(file.fileno(), min(BLOCK, stop - at), at))


class Changed(Content):
    """Other content of the same size: a byte in every `every` is inverted, the first at `first`."""

    def __init__(self, content: Content, first: int = 0, every: int = 4096) -> None:
        self.size = content.size
        self._content, self._first, self._every = content, first, every

    def views(self, start: int, stop: int) -> Iterator[memoryview]:
        for view in self._content.views(start, stop):
            changed = bytearray(view)
            for at in range((self._first - start) % self._every, len(view), self._every):
                if start + at >= self._first:
                    changed[at] ^= 0xFF
            yield memoryview(changed)
            start += len(view)


class Joined(Content):
    """Several contents, one after the other."""

    def __init__(self, *parts: Content) -> None:
        self._parts = parts
        self.size = sum(part.size for part in parts)

    def views(self, start: int, stop: int) -> Iterator[memoryview]:
        for part in self._parts:
            if start < min(part.size, stop):
                yield from part.views(max(start, 0), min(part.size, stop))
            start, stop = max(start - part.size, 0), stop - part.size


class Excerpt(Content):
    """The bytes [start, stop) of another content."""

    def __init__(self, content: Content, start: int, stop: int) -> None:
        self._content, self._start = content, start
        self.size = stop - start

    def views(self, start: int, stop: int) -> Iterator[memoryview]:
        return self._content.views(self._start + start, self._start + stop)


def as_content(what: Content | bytes | Path) -> Content:
    """Bytes and paths as what they mean."""
    if isinstance(what, Content):
        return what
    return FileContent(what) if isinstance(what, Path) else Bytes(bytes(what))
