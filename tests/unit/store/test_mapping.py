"""What is mapped is what a read gives, and what cannot be mapped is left to a read."""

import os
from pathlib import Path

import pytest

from engine.store.mapping import map_span

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize(("start", "stop"), [(0, 256_000), (4096, 8192), (4097, 200_001), (255_999, 256_000)])
def test_a_span_is_what_was_written(path, start, stop):
    with path.open("rb") as file, map_span(file.fileno(), start, stop) as view:
        assert view == CONTENT[start:stop]


def test_what_was_written_since_is_seen(path):
    """The mapping is the page cache itself, so a write needs no sync to be hashed."""
    with path.open("r+b", buffering=0) as file:
        os.pwrite(file.fileno(), b"new", 1000)
        with map_span(file.fileno(), 1000, 1003) as view:
            assert view == b"new"


def test_a_file_that_is_shorter_is_not_mapped(path):
    with path.open("rb") as file, map_span(file.fileno(), 0, 256_001) as view:
        assert view is None


def test_what_may_not_be_read_is_not_mapped(path):
    with path.open("ab") as file, map_span(file.fileno(), 0, 4096) as view:
        assert view is None


def test_nothing_stays_open(path):
    """Python's mmap keeps a descriptor of its own; it goes with the mapping, however that ends."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    with path.open("rb") as file:
        for stop in (4096, 300_000):
            with map_span(file.fileno(), 0, stop):
                pass
    with path.open("rb") as file, pytest.raises(RuntimeError), map_span(file.fileno(), 0, 4096):
        raise RuntimeError
    assert len(list(Path("/proc/self/fd").iterdir())) == before
