"""What is downloaded: random bytes in memory, sparse files for sizes that do not fit there, and the comparison."""

import hashlib
import os
import random
from dataclasses import dataclass
from pathlib import Path

BLOCK_BYTES = 8 << 20
COMPARED_BYTES = 256 << 10
SAMPLES = 256


@dataclass(frozen=True)
class Payload:
    """A served file, or a folder of them. sha256 is None for those that nobody hashes here."""

    path: Path
    size_bytes: int
    sha256: str | None = None


def random_file(path: Path, size_bytes: int) -> Payload:
    """Write size_bytes of random data to path (and so into the page cache)."""
    digest = hashlib.sha256()
    with path.open("wb", buffering=0) as file:
        for start in range(0, size_bytes, BLOCK_BYTES):
            block = os.urandom(min(BLOCK_BYTES, size_bytes - start))
            digest.update(block)
            file.write(block)
    return Payload(path, size_bytes, digest.hexdigest())


def random_files(folder: Path, count: int, size_bytes: int) -> Payload:
    """count files of size_bytes of random data each."""
    folder.mkdir()
    for number in range(count):
        (folder / f"file-{number:04}.bin").write_bytes(os.urandom(size_bytes))
    return Payload(folder, size_bytes)


def folder_difference(got: Path, payload: Payload) -> str | None:
    """Why the folder got is not the served one, or None: names, then every byte."""
    served = {path.name for path in payload.path.iterdir()}
    if others := {path.name for path in got.iterdir()} ^ served:
        return f"{len(others)} files are missing or too many, such as {min(others)}"
    for name in sorted(served):
        if problem := difference(got / name, Payload(payload.path / name, payload.size_bytes), whole=True):
            return f"{name}: {problem}"
    return None


def sparse_file(path: Path, size_bytes: int) -> Payload:
    """A file of zeros that takes no room; servers send it like any other."""
    with path.open("wb") as file:
        file.truncate(size_bytes)
    return Payload(path, size_bytes)


def difference(got: Path, payload: Payload, *, whole: bool) -> str | None:
    """Why got is not the payload, or None: its size, then every block or a random sample with both ends."""
    try:
        size = got.stat().st_size
    except OSError:
        return "no output file"
    if size != payload.size_bytes:
        return f"{size} bytes instead of {payload.size_bytes}"
    # Two buffers for all: making new ones for each block took longer than reading it.
    one, other = bytearray(COMPARED_BYTES), bytearray(COMPARED_BYTES)
    with got.open("rb", buffering=0) as ours, payload.path.open("rb", buffering=0) as theirs:
        for offset, length in _blocks(size, whole):
            read = os.preadv(ours.fileno(), [one], offset), os.preadv(theirs.fileno(), [other], offset)
            if min(read) < length or one != other:
                return f"content differs in the {length} bytes at offset {offset}"
    return None


def allocated_bytes(folder: Path) -> int:
    """What the files below folder really occupy (holes do not count); a file that vanishes meanwhile counts 0."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(parent, name).stat().st_blocks * 512  # stat(2): always units of 512 bytes
            except FileNotFoundError:
                continue
    return total


def _blocks(size: int, whole: bool) -> list[tuple[int, int]]:
    """(offset, length) of what to compare."""
    if whole or size <= SAMPLES * COMPARED_BYTES:
        starts = range(0, size, COMPARED_BYTES)
        return [(start, min(COMPARED_BYTES, size - start)) for start in starts]
    inner = (random.randrange(size - COMPARED_BYTES) for _ in range(SAMPLES))
    return [(offset, COMPARED_BYTES) for offset in (0, *inner, size - COMPARED_BYTES)]
