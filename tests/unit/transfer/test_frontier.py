"""The frontier on real files: what it hashes, what it finds, and what it refuses to hash."""

import hashlib
import os
import random
import subprocess
import threading

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from engine.spans import Grid
from engine.transfer.frontier import Frontier, check_of, read_span, view_span
from tests.properties import steady

SEGMENT = 1000
CONTENT = random.Random(3).randbytes(10 * SEGMENT + 123)
GRID = Grid(len(CONTENT), SEGMENT)
CHECKS = {i: xxhash.xxh3_64_intdigest(CONTENT[i * SEGMENT : (i + 1) * SEGMENT]) for i in range(GRID.count)}


@pytest.fixture
def fd(tmp_path):
    """A part's data file, whole."""
    path = tmp_path / "data"
    path.write_bytes(CONTENT)
    fd = os.open(path, os.O_RDWR)
    yield fd
    os.close(fd)


def frontier_of(fd, unproven=None, *, algorithms=("sha256",), chunk=300):
    return Frontier(fd, GRID, algorithms, unproven or {}, chunk)


def test_hash_follows_the_limit(fd):
    """Whole segments up to the limit are hashed, no byte beyond; the digest is that of the whole at the end."""
    frontier = frontier_of(fd)
    os.pwrite(fd, b"not yet here", 5 * SEGMENT)
    for limit, offset in [(0, 0), (999, 0), (1000, 1000), (2500, 2000), (2500, 2000), (5000, 5000)]:
        frontier.limit = limit
        assert frontier.has_work == (offset > frontier.offset)
        assert frontier.advance() is None
        assert frontier.offset == offset
        assert not frontier.is_done
    os.pwrite(fd, CONTENT, 0)
    frontier.limit = len(CONTENT)
    assert frontier.advance() is None
    assert frontier.is_done
    assert not frontier.has_work
    assert frontier.hexdigest("sha256") == hashlib.sha256(CONTENT).hexdigest()


@given(st.lists(st.integers(0, len(CONTENT)), max_size=8), st.integers(1, 3000))
@steady(50)
def test_steps_and_chunks_do_not_matter(limits, chunk):
    """However the limit moves and however much is read at once, the digest is the same."""
    fd = os.memfd_create("content")
    try:
        os.pwrite(fd, CONTENT, 0)
        frontier = Frontier(fd, GRID, ["sha256", "git-sha1"], {}, chunk)
        for limit in [*sorted(limits), len(CONTENT)]:
            frontier.limit = limit
            assert frontier.advance() is None
    finally:
        os.close(fd)
    assert frontier.hexdigest("sha256") == hashlib.sha256(CONTENT).hexdigest()
    git = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT)
    assert frontier.hexdigest("git-sha1") == git.hexdigest()


def test_git_sha1_is_git_s(fd):
    """The small files' digest is what Git calls them."""
    frontier = frontier_of(fd, algorithms=("git-sha1",))
    frontier.limit = len(CONTENT)
    frontier.advance()
    named = subprocess.run(["git", "hash-object", "--stdin"], input=CONTENT, capture_output=True, check=True)
    assert frontier.hexdigest("git-sha1") == named.stdout.decode().strip()


@pytest.mark.parametrize("bad", [0, 4, GRID.count - 1])
@pytest.mark.parametrize("algorithms", [("sha256",), ("sha256", "git-sha1"), ()])
def test_bad_held_segment_is_reported_and_not_hashed(fd, bad, algorithms):
    """A held segment that is not what the journal says stops the frontier; once fetched again, the digest is right."""
    os.pwrite(fd, b"\0rot", bad * SEGMENT)
    frontier = frontier_of(fd, CHECKS, algorithms=algorithms)
    frontier.limit = len(CONTENT)
    for _ in range(2):
        assert frontier.advance() == bad
        assert frontier.offset == bad * SEGMENT
    assert bad not in frontier.found
    frontier.replaced(bad)
    frontier.limit = bad * SEGMENT
    assert frontier.advance() is None, "it waits for the segment to come again"
    os.pwrite(fd, CONTENT, 0)
    frontier.limit = len(CONTENT)
    assert frontier.advance() is None
    assert frontier.is_done
    for name in algorithms:
        whole = CONTENT if name == "sha256" else b"blob %d\0" % len(CONTENT) + CONTENT
        assert frontier.hexdigest(name) == hashlib.new(name.removeprefix("git-"), whole).hexdigest()


def test_every_bad_segment_is_found(fd):
    """One after the other, each where it stands."""
    for bad in (1, 2, 9):
        os.pwrite(fd, b"\0rot", bad * SEGMENT)
    frontier = frontier_of(fd, CHECKS)
    frontier.limit = len(CONTENT)
    found = []
    while (bad := frontier.advance()) is not None:
        found.append(bad)
        os.pwrite(fd, CONTENT[bad * SEGMENT : (bad + 1) * SEGMENT], bad * SEGMENT)
        frontier.replaced(bad)
    assert found == [1, 2, 9]
    assert frontier.hexdigest("sha256") == hashlib.sha256(CONTENT).hexdigest()


def test_unknown_checks_are_found_out(fd):
    """Where nobody vouches for a segment its check is found out on the way, and believed ones are confirmed."""
    frontier = frontier_of(fd, dict.fromkeys(range(GRID.count)) | {2: CHECKS[2]})
    frontier.limit = len(CONTENT)
    assert frontier.advance() is None
    assert frontier.found == CHECKS


def test_without_hash_only_held_segments_are_read(fd):
    """--hash none: what came in this run was checked by its lane; what an earlier run left is read and checked."""
    frontier = frontier_of(fd, {0: CHECKS[0]}, algorithms=())
    os.pwrite(fd, b"\0rot", 5 * SEGMENT)
    frontier.limit = len(CONTENT)
    assert frontier.advance() is None
    assert frontier.is_done
    assert frontier.found == {0: CHECKS[0]}


@pytest.mark.parametrize("unproven", [{}, CHECKS])
def test_short_file_is_an_error(fd, unproven):
    """A file that became shorter behind our back is an OSError, never a digest of less."""
    os.ftruncate(fd, 3 * SEGMENT + 10)
    frontier = frontier_of(fd, unproven)
    frontier.limit = len(CONTENT)
    with pytest.raises(OSError, match="shorter"):
        frontier.advance()
    assert not frontier.is_done
    assert frontier.offset == 3 * SEGMENT


def test_closed_file_is_an_error(tmp_path):
    """A descriptor that is gone is an OSError."""
    path = tmp_path / "data"
    path.write_bytes(CONTENT)
    fd = os.open(path, os.O_WRONLY)
    frontier = frontier_of(fd)
    frontier.limit = len(CONTENT)
    try:
        with pytest.raises(OSError, match="Bad file descriptor"):
            frontier.advance()
    finally:
        os.close(fd)


def test_it_stops_when_told(fd):
    """A stop is obeyed at the next segment, and going on afterwards loses nothing."""
    frontier = frontier_of(fd)
    frontier.limit = len(CONTENT)
    frontier.must_stop = True
    assert frontier.advance() is None
    assert frontier.offset == 0
    frontier.must_stop = False
    frontier.advance()
    assert frontier.hexdigest("sha256") == hashlib.sha256(CONTENT).hexdigest()


def test_limit_moves_while_it_runs(fd):
    """Another thread moves the limit on; whatever it sees of that, the digest is right."""
    frontier = frontier_of(fd, chunk=64)

    def move() -> None:
        for limit in range(0, len(CONTENT) + 1, 50):
            frontier.limit = limit
        frontier.limit = len(CONTENT)

    mover = threading.Thread(target=move)
    mover.start()
    while not frontier.is_done:
        assert frontier.advance() is None
    mover.join()
    assert frontier.hexdigest("sha256") == hashlib.sha256(CONTENT).hexdigest()


def test_empty_file():
    """Nothing to read, and the digest of nothing."""
    fd = os.memfd_create("empty")
    try:
        frontier = Frontier(fd, Grid(0, SEGMENT), ["sha256"], {}, 1 << 20)
        assert frontier.is_done
        assert not frontier.has_work
        assert frontier.advance() is None
        assert frontier.hexdigest("sha256") == hashlib.sha256().hexdigest()
    finally:
        os.close(fd)


def test_read_span_and_check(fd):
    """Pieces follow one another without a gap, none larger than the buffer; the check is that of the bytes."""
    buffer = memoryview(bytearray(7))
    pieces = [bytes(piece) for piece in read_span(fd, 995, 1031, buffer)]
    assert b"".join(pieces) == CONTENT[995:1031]
    assert max(map(len, pieces)) <= 7
    assert check_of(fd, 2000, 3000, buffer) == CHECKS[2]
    assert list(read_span(fd, 5, 5, buffer)) == []


@pytest.mark.parametrize("chunk", [1 << 16, 100_000, 1 << 23])
def test_large_spans_are_the_same_wherever_they_begin(tmp_path, chunk):
    """Mapped or copied, the views follow one another without a gap, none larger than a hash step may be."""
    content = random.Random(4).randbytes(5_000_000)
    path = tmp_path / "data"
    path.write_bytes(content)
    with path.open("r+b") as file:
        for start, stop in [(0, 5_000_000), (4095, 70_000), (123_457, 4_999_999)]:
            views = [bytes(view) for view in view_span(file.fileno(), start, stop, chunk)]
            assert b"".join(views) == content[start:stop]
            assert max(map(len, views)) <= chunk


def test_a_file_that_has_become_shorter_is_an_error_not_a_signal(tmp_path):
    """A mapping of what is not there would end the process at the first look at it."""
    path = tmp_path / "data"
    path.write_bytes(bytes(1 << 20))
    with path.open("r+b") as file, pytest.raises(OSError, match="shorter"):
        list(view_span(file.fileno(), 0, 3 << 20, 1 << 23))
