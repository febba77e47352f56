"""The part: what it keeps, and whom it refuses."""

import os
import resource
from pathlib import Path

import pytest

from engine.errors import NoSpace, StoreError
from engine.store.journal import Journal
from engine.store.part import Part
from tests.unit.store.parts import CONTENT, HEADER, begun, names, opened


def test_part_is_locked_and_resumed(folder):
    """A second opener gets None while the first lives; after close() what was written is there."""
    part = begun(folder, 2)
    assert Part.try_open(folder) is None
    assert Part.holder(folder).startswith(f"process {os.getpid()} on ")
    part.close()
    part.close()
    again = opened(folder)
    journal = again.resume()
    assert journal is not None
    assert journal is again.journal
    assert set(journal.checks) == {0, 1}
    assert os.pread(again.fd, 200, 0) == CONTENT[:200]
    assert os.fstat(again.fd).st_size == len(CONTENT)
    again.close()


def test_data_is_sparse_until_written(folder):
    """A part of 1 GiB takes no room before its bytes come."""
    part = opened(folder)
    part.start(HEADER, 1 << 30, "sparse")
    stat = os.fstat(part.fd)
    assert (stat.st_size, stat.st_blocks) == (1 << 30, 0)
    part.close()


def test_full_allocation_takes_its_room(folder):
    """--allocate full: the disk has set all of it aside."""
    part = opened(folder)
    part.start(HEADER, 1 << 20, "full")
    assert os.fstat(part.fd).st_blocks * 512 >= 1 << 20
    part.close()


def test_no_space_is_said_before_anything_is_written(folder):
    """A file larger than the disk: NoSpace with the figures, no journal and no data."""
    part = opened(folder)
    with pytest.raises(NoSpace) as caught:
        part.start(HEADER, 1 << 60, "sparse")
    assert caught.value.needed_bytes == 1 << 60
    assert 0 <= caught.value.free_bytes < 1 << 60
    assert names(folder) == ["lock"]
    part.close()
    assert not folder.exists()


def test_journal_stands_before_data(folder, monkeypatch):
    """Killed between the two, a run leaves a journal without data, which is nothing; never data without a journal."""
    part = opened(folder)
    monkeypatch.setattr(Part, "_open_data", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        part.start(HEADER, len(CONTENT), "sparse")
    assert names(folder) == ["journal", "lock", "pieces"]
    monkeypatch.undo()
    part.close()
    again = opened(folder)
    assert again.resume() is None
    again.start(HEADER, len(CONTENT), "sparse")
    again.close()


def test_nothing_to_resume(folder):
    """A new folder, and data that no journal speaks for, are nothing to resume."""
    part = opened(folder)
    assert part.resume() is None
    part.data.write_bytes(CONTENT)
    assert part.resume() is None
    part.start(HEADER, len(CONTENT), "sparse")
    assert os.pread(part.fd, 10, 0) == bytes(10), "what nobody vouches for is gone"
    part.close()


@pytest.mark.parametrize(
    ("size", "held"), [(0, set()), (99, set()), (100, {0}), (349, {0, 1, 2}), (5000, {0, 1, 2, 3})]
)
def test_data_of_another_size_than_the_journal_says(folder, size, held):
    """Only segments that are wholly there can be held; the file gets its right size again."""
    part = begun(folder)
    os.truncate(part.data, size)
    part.close()
    again = opened(folder)
    assert set(again.resume().checks) == held
    assert os.fstat(again.fd).st_size == len(CONTENT)
    again.close()


@pytest.mark.parametrize("name", ["data", "journal", "lock"])
def test_symlinks_are_refused(folder, tmp_path, name):
    """Nothing of a part is followed through a link: it could be aimed at any file of the user's."""
    precious = tmp_path / "precious"
    precious.write_text("mine")
    begun(folder).close()
    (folder / name).unlink()
    (folder / name).symlink_to(precious)
    part = None
    with pytest.raises(StoreError, match="symbolic link"):
        part = opened(folder)
        part.resume()
    if part:
        part.close()
    assert precious.read_text() == "mine"


@pytest.mark.parametrize("leads_to", ["precious", "nowhere"])
def test_folder_that_is_a_link_is_refused(folder, tmp_path, leads_to):
    """A part's folder that leads elsewhere is not followed: what lies there is not ours to write over or take away."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data").write_text("mine")
    folder.parent.mkdir()
    folder.symlink_to(tmp_path / leads_to)
    with pytest.raises(StoreError, match="symbolic link"):
        Part.try_open(folder)
    assert names(precious) == ["data"]


def test_growing_file(folder, tmp_path):
    """Without a known size the file grows as it comes and gets its size at the end; there is nothing to resume."""
    part = opened(folder)
    part.start(None, None, "sparse")
    os.pwrite(part.fd, CONTENT + b"too much", 0)
    part.truncate(len(CONTENT))
    part.sync()
    assert names(folder) == ["data", "lock"]
    part.close()
    again = opened(folder)
    assert again.resume() is None
    again.remove()
    assert not folder.exists()


def test_file_where_the_folder_should_be(folder):
    """Something else under the folder's name is an error in words."""
    folder.parent.mkdir(parents=True)
    folder.write_text("mine")
    with pytest.raises(StoreError, match="A file stands where a folder is needed"):
        Part.try_open(folder)


def test_no_descriptor_is_left(folder):
    """Whatever a part went through, its descriptors are closed with it."""
    before = {path.name for path in Path("/proc/self/fd").iterdir()}
    begun(folder).close()
    part = opened(folder)
    part.resume()
    part.discard()
    part.start(HEADER, len(CONTENT), "sparse")
    part.set_aside("ab")
    part.adopt("ab")
    part.close()
    (folder / "data").unlink()
    (folder / "data").symlink_to("/nowhere")
    Journal.create(folder / "journal", HEADER).close()
    part = opened(folder)
    with pytest.raises(StoreError):
        part.resume()
    part.remove()
    assert {path.name for path in Path("/proc/self/fd").iterdir()} == before


@pytest.mark.row("disk/quota")
def test_a_small_file_that_the_disk_cuts_off_leaves_nothing(folder):
    """A disk that refuses in the middle of it: half of what came whole is of no use, so the part goes with its lock."""
    part = opened(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StoreError, match="Cannot write"):
            part.write_whole(bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(folder) == ["lock"]
    part.close()
    assert not folder.exists()
