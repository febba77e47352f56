"""Digests as types: parsed once, at the door. The hash path is OpenSSL's, in C.

Two kinds occur. `sha256` is what registries publish for large files. `git-sha1` is what Git and
the Hub publish for small ones: SHA-1 over `blob <size>\\0` and the content (Git internals, "Object
Storage"), so it can only be computed when the size is known.
"""

import hashlib
import re
from typing import Protocol, Self

import msgspec

from engine.errors import PathError

_LENGTH = {"sha256": 64, "git-sha1": 40}


class Hasher(Protocol):
    """What hashlib objects are to us."""

    def update(self, data: bytes | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...
    def copy(self) -> Self: ...


class Digest(msgspec.Struct, frozen=True):
    """A content digest: algorithm "sha256" or "git-sha1", and lower-case hex."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """From "sha256:<hex>", "git-sha1:<hex>" or a bare SHA-256 hex. Raises PathError."""
        algorithm, colon, value = text.strip().rpartition(":")
        algorithm = algorithm if colon else "sha256"
        length = _LENGTH.get(algorithm)
        if length is None or not re.fullmatch(rf"[0-9a-fA-F]{{{length}}}", value):
            raise PathError(
                f"Not a digest: {text[:100]!r}. A sha256 digest is 64 hexadecimal digits, "
                "optionally after 'sha256:'."
            )
        return cls(algorithm, value.lower())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    def may_be_of(self, size_bytes: int) -> bool:
        """Whether content of this many bytes may have it: no bytes have but one."""
        return size_bytes > 0 or self.hex == self.start(0).hexdigest()

    def of(self, content: bytes) -> Self:
        """That of this content, by the same algorithm."""
        hasher = self.start(len(content))
        hasher.update(content)
        return type(self)(self.algorithm, hasher.hexdigest())

    def start(self, size_bytes: int) -> Hasher:
        """A fresh hasher for content of this many bytes."""
        return start_hash(self.algorithm, size_bytes)


def start_hash(algorithm: str, size_bytes: int) -> Hasher:
    """A fresh hasher of "sha256" or "git-sha1" for content of size_bytes."""
    if algorithm == "git-sha1":
        # Not used for security: it is the name that Git gives to content.
        return hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)
    return hashlib.sha256()
