"""Parts of a small file."""

import os
from pathlib import Path

import xxhash

from engine.store.journal import Header, url_hash
from engine.store.part import Part

SEGMENT = 100
CONTENT = bytes(range(250)) + b"x" * 100
HEADER = Header(url="https://h/m", url_hash=url_hash("https://h/m"), size=len(CONTENT), segment_size=SEGMENT)


def opened(folder: Path) -> Part:
    part = Part.try_open(folder)
    assert part is not None
    return part


def begun(folder: Path, segments: int = 4) -> Part:
    """A part in which so many segments have been written and noted."""
    part = opened(folder)
    part.start(HEADER, len(CONTENT), "sparse")
    for index in range(segments):
        span = HEADER.grid.span_of(index)
        os.pwrite(part.fd, CONTENT[span.start : span.stop], span.start)
        part.journal.append(index, xxhash.xxh3_64_intdigest(CONTENT[span.start : span.stop]))
    return part


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
