"""Digests of served files: right, computed once, never in the way."""

import hashlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path

import pytest

from engine.server.catalogue import Catalogue, Entry, Unsettled
from engine.server.digests import Closed, Digests, is_large
from tests.unit.server.conftest import write


@pytest.fixture
def digests() -> Iterator[Digests]:
    digests = Digests()
    yield digests
    digests.close()


def entry_of(root: Path, name: str) -> Entry:
    return Catalogue(root).listing("acme/tiny").entries[name]


def test_small_file_is_named_as_git_names_it(root: Path, digests: Digests) -> None:
    """The oid and ETag of a small file are what `git hash-object` prints."""
    path = str(root / "acme/tiny/config.json")
    git = subprocess.run(["git", "hash-object", path], capture_output=True, text=True, check=True)
    published = digests.of(entry_of(root, "config.json")).result()
    assert published.oid == git.stdout.strip()
    assert (published.etag, published.sha256) == (f'"{published.oid}"', None)


def test_weights_are_named_as_git_lfs_names_them(root: Path, digests: Digests) -> None:
    """Weights go by the SHA-256 of their content; their oid is Git's name for the LFS pointer file."""
    published = digests.of(entry_of(root, "weights.gguf")).result()
    sha256 = hashlib.sha256(b"GGUF").hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize 4\n"
    git = subprocess.run(
        ["git", "hash-object", "--stdin"], input=pointer, capture_output=True, text=True, check=True
    )
    assert (published.sha256, published.etag) == (sha256, f'"{sha256}"')
    assert (published.oid, published.pointer_bytes) == (git.stdout.strip(), len(pointer))


@pytest.mark.parametrize(
    ("name", "size", "large"),
    [
        ("a.gguf", 0, True),
        ("sub/a.SafeTensors", 1, True),
        ("pytorch_model.bin", 1, True),
        ("tokenizer.model", 1, True),
        ("config.json", (10 << 20) - 1, False),
        ("config.json", 10 << 20, True),
        ("bin", 1, False),
        ("x.bin/readme", 1, False),
        (".gitattributes", 1, False),
    ],
)
def test_what_goes_by_lfs(root: Path, name: str, size: int, large: bool) -> None:
    """10 MiB and more, or a suffix of weights and archives."""
    path = root / "acme/tiny" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)
    assert is_large(entry_of(root, name)) is large


def test_digest_is_computed_once_for_all_who_ask(root: Path, digests: Digests) -> None:
    """Many who ask at once share one reading; asking again reads nothing."""
    entry = entry_of(root, "weights.gguf")
    futures = {digests.of(entry) for _ in range(50)}
    assert len(futures) == 1
    wait(futures)
    os.utime(entry.path, ns=(5, 5))
    assert digests.of(entry).result().sha256, "known, so the file is not opened again"
    assert digests.of(entry_of(root, "weights.gguf")) not in futures, "another state is another question"


def test_file_that_is_not_what_was_listed_fails_and_is_asked_anew(root: Path, digests: Digests) -> None:
    """A digest is never told for a state that is gone, and a failure is not remembered."""
    entry = entry_of(root, "weights.gguf")
    data = Path(entry.path).read_bytes()
    write(Path(entry.path), b"changed")
    with pytest.raises(Unsettled):
        digests.of(entry).result()
    write(Path(entry.path), data)
    os.utime(entry.path, ns=(entry.stamp.mtime_ns, entry.stamp.mtime_ns))
    assert digests.of(entry).result().sha256 == hashlib.sha256(data).hexdigest()


def test_file_that_changes_while_it_is_read_fails(root: Path, digests: Digests) -> None:
    """Content that was written to during the reading gets no digest."""
    path = root / "acme/tiny/weights.gguf"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    future = digests.of(entry_of(root, "weights.gguf"))
    with path.open("r+b") as file:
        file.write(b"changed")
    with pytest.raises(Unsettled):
        future.result()


def test_small_files_do_not_wait_for_large_ones(root: Path, digests: Digests) -> None:
    """While every thread for large files is at work, small ones are answered."""
    for index in range(6):
        with (root / f"acme/tiny/{index}.gguf").open("wb") as file:
            file.truncate(8 << 30)
    slow = [digests.of(entry_of(root, f"{index}.gguf")) for index in range(6)]
    assert digests.of(entry_of(root, "config.json")).result(timeout=5).oid
    assert not any(future.done() for future in slow)


@pytest.mark.alone
def test_close_gives_up_large_files_within_a_moment(root: Path) -> None:
    """Ending the server does not wait for gigabytes, and leaves no thread."""
    with (root / "acme/tiny/huge.gguf").open("wb") as file:
        file.truncate(1 << 40)
    digests = Digests()
    running, waiting = digests.of(entry_of(root, "huge.gguf")), digests.of(entry_of(root, "weights.gguf"))
    waiting.result()
    began = time.monotonic()
    digests.close()
    assert time.monotonic() - began < 2
    assert isinstance(running.exception(), Closed)
    assert not [t for t in threading.enumerate() if t.name.startswith("hash-")]
