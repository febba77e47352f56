"""What is known of a file's content stays known when its digest is learned late."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import xxhash

from engine.digest import Digest
from engine.settings import Settings
from engine.spans import Grid
from engine.transfer.proof import Proof

SEGMENT = 1000
CONTENT = bytes(range(250)) * 14
GRID = Grid(len(CONTENT), SEGMENT)
CHECKS = {i: xxhash.xxh3_64_intdigest(CONTENT[i * SEGMENT : (i + 1) * SEGMENT]) for i in range(GRID.count)}
DIGEST = Digest("sha256", hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    """A part's data file, as an earlier run left it."""
    path = tmp_path / "data"
    path.write_bytes(CONTENT)
    fd = os.open(path, os.O_RDWR)
    yield fd
    os.close(fd)


def test_held_segments_are_proven_after_a_late_digest(fd: int) -> None:
    """The one that rotted is found in the same pass, not by a wrong digest at the end; fetched again, all agrees."""
    os.pwrite(fd, b"rot", 2 * SEGMENT)
    proof = Proof(fd, GRID, None, CHECKS, Settings())
    before = proof.frontier
    proof.expect(DIGEST)
    assert before.must_stop
    frontier = proof.frontier
    frontier.limit = GRID.size
    assert frontier.advance() == 2
    frontier.replaced(2)
    os.pwrite(fd, CONTENT[2 * SEGMENT : 2 * SEGMENT + 3], 2 * SEGMENT)
    assert frontier.advance() is None
    assert proof.agrees(proof.content())


def test_what_was_fetched_again_before_is_not_held_against_its_old_check(fd: int) -> None:
    """A segment that was replaced before the digest came has nothing that vouches for it."""
    proof = Proof(fd, GRID, None, CHECKS | {1: 7}, Settings())
    proof.frontier.limit = GRID.size
    assert proof.frontier.advance() == 1
    proof.frontier.replaced(1)
    proof.expect(DIGEST)
    proof.frontier.limit = GRID.size
    assert proof.frontier.advance() is None
    assert proof.frontier.is_done
