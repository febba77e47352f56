"""What a file turned out to be: its size, its checks and its digests.

A lane finds out of what it brings whole, while the bytes are still in its core's cache; of all other files the frontier
does.
"""

from collections.abc import Collection, Sequence

import msgspec
import xxhash

from engine.digest import Digest, start_hash
from engine.settings import Settings


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """Of a complete file."""

    size: int
    segment_size: int
    checks: dict[int, int]
    digests: dict[str, str]
    """Hex by algorithm; empty where hashing is off."""

    def has(self, algorithms: Collection[str]) -> bool:
        """Whether it was hashed in all these ways."""
        return self.digests.keys() >= set(algorithms)


def content_of(data: bytes, segment_size: int, algorithms: Sequence[str]) -> Content:
    """Of a small file in memory, which is one segment at most."""
    hashers = {name: start_hash(name, len(data)) for name in algorithms}
    for hasher in hashers.values():
        hasher.update(data)
    return Content(
        size=len(data),
        segment_size=segment_size,
        checks={0: xxhash.xxh3_64_intdigest(data)} if data else {},
        digests={name: hasher.hexdigest() for name, hasher in hashers.items()},
    )


def agrees(digest: Digest | None, content: Content) -> bool:
    """Whether content is what was promised; nothing promised or nothing hashed agrees with everything."""
    return digest is None or not content.digests or content.digests[digest.algorithm] == digest.hex


def algorithms_for(digest: Digest | None, settings: Settings) -> tuple[str, ...]:
    """Which hashes to compute: SHA-256 always, unless told otherwise, and whatever was promised."""
    if settings.hash is None:
        return ()
    return tuple(dict.fromkeys(["sha256", digest.algorithm if digest else "sha256"]))
