"""A wrong output is found, whatever is wrong with it."""

import pytest

from perf import payload

SIZE = (1 << 20) + 17


@pytest.fixture
def served(tmp_path):
    return payload.random_file(tmp_path / "served", SIZE)


@pytest.mark.parametrize("whole", [True, False])
def test_same_bytes_are_no_difference(tmp_path, served, whole):
    """A copy passes both ways of comparing."""
    copy = tmp_path / "copy"
    copy.write_bytes(served.path.read_bytes())
    assert payload.difference(copy, served, whole=whole) is None


@pytest.mark.parametrize("where", [0, SIZE // 2, SIZE - 1])
def test_one_wrong_byte_is_found(tmp_path, served, where):
    """Right size and one flipped byte is a wrong output."""
    data = bytearray(served.path.read_bytes())
    data[where] ^= 1
    (tmp_path / "copy").write_bytes(data)
    assert "content differs" in (payload.difference(tmp_path / "copy", served, whole=True) or "")


def test_absent_and_short_outputs_are_named(tmp_path, served):
    """What is not there or not whole says so before anything is compared."""
    assert payload.difference(tmp_path / "none", served, whole=True) == "no output file"
    (tmp_path / "short").write_bytes(b"x")
    assert payload.difference(tmp_path / "short", served, whole=True) == f"1 bytes instead of {SIZE}"


def test_holes_do_not_count_as_allocated(tmp_path):
    """Half of a file is there when half of its blocks are, not when its size is set."""
    payload.sparse_file(tmp_path / "part", 64 << 20)
    assert payload.allocated_bytes(tmp_path) < 1 << 20
    (tmp_path / "more").write_bytes(bytes(2 << 20))
    assert payload.allocated_bytes(tmp_path) >= 2 << 20
