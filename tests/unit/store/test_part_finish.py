"""A part's end: only a rename makes a final name, and it takes nothing but what was written."""

import os
from pathlib import Path

import pytest

from engine.errors import NoSpace, StoreError
from engine.store import part as part_module
from tests.unit.store.parts import CONTENT, begun, names, opened

ELSEWHERE = Path("/dev/shm")


def test_finish(folder, tmp_path):
    """One rename: the target has the content, its stat is returned, and the folder is gone with its lock."""
    target = tmp_path / "new" / "model.gguf"
    stat = begun(folder).finish(target)
    assert target.read_bytes() == CONTENT
    assert (stat.st_ino, stat.st_size, stat.st_mtime_ns) == (
        target.stat().st_ino,
        len(CONTENT),
        target.stat().st_mtime_ns,
    )
    assert not folder.exists()
    assert names(target.parent) == ["model.gguf"]


def test_finish_without_sync(folder, tmp_path):
    """Many small files leave the syncing to one batch."""
    begun(folder).finish(tmp_path / "small", sync=False)
    assert (tmp_path / "small").read_bytes() == CONTENT
    assert not folder.exists()


def test_finish_replaces_a_file_at_once(folder, tmp_path):
    """The old file stays, whole, in the hands of whoever has it open; there is no moment without one."""
    target = tmp_path / "model.gguf"
    target.write_bytes(b"old")
    with target.open("rb") as reader:
        begun(folder).finish(target)
        assert reader.read() == b"old"
    assert target.read_bytes() == CONTENT


def test_finish_replaces_a_link_not_what_it_leads_to(folder, tmp_path):
    """A final name that is a symbolic link to a file becomes the file; what it led to is untouched."""
    precious, target = tmp_path / "precious", tmp_path / "model.gguf"
    precious.write_text("mine")
    target.symlink_to(precious)
    begun(folder).finish(target)
    assert precious.read_text() == "mine"
    assert not target.is_symlink()
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("kind", ["folder", "link to a folder", "file as parent"])
def test_finish_refused(folder, tmp_path, kind):
    """A folder is never replaced, and the part is still whole when finishing is refused."""
    target = tmp_path / "model.gguf"
    if kind == "folder":
        target.mkdir()
        (target / "precious").write_text("mine")
    elif kind == "link to a folder":
        (tmp_path / "elsewhere").mkdir()
        target.symlink_to(tmp_path / "elsewhere")
    else:
        target.write_text("mine")
        target = target / "below"
    part = begun(folder)
    with pytest.raises(StoreError, match=r"the way|folder is needed"):
        part.finish(target)
    assert part.data.read_bytes() == CONTENT
    part.close()
    again = opened(folder)
    assert set(again.resume().checks) == {0, 1, 2, 3}
    again.close()
    if kind == "folder":
        assert (target / "precious").read_text() == "mine"


@pytest.mark.parametrize("kind", ["file", "link"])
def test_finish_takes_nothing_but_what_was_written(folder, tmp_path, kind):
    """Another file in the place of the data does not get the final name: it is not what was hashed."""
    part, target, other = begun(folder), tmp_path / "model.gguf", tmp_path / "other"
    other.write_bytes(b"evil")
    part.data.unlink()
    if kind == "file":
        other.replace(part.data)
    else:
        part.data.symlink_to(other)
    with pytest.raises(StoreError, match="replaced"):
        part.finish(target)
    assert not target.exists()
    part.close()


@pytest.mark.parametrize("size", [0, len(CONTENT) - 1, len(CONTENT) + 5])
def test_data_of_another_size_gets_no_name(folder, tmp_path, size):
    """Somebody else has cut it, or put something behind it, since its bytes were hashed."""
    part, target = begun(folder), tmp_path / "model.gguf"
    os.truncate(part.data, size)
    with pytest.raises(StoreError, match="somebody else"):
        part.check_for(target, len(CONTENT))
    part.close()


@pytest.fixture
def other_disk(tmp_path):
    """A folder on another file system than tmp_path."""
    import shutil
    import tempfile

    made = Path(tempfile.mkdtemp(prefix="jarvis-unit-", dir=ELSEWHERE))
    assert made.stat().st_dev != tmp_path.stat().st_dev, f"{ELSEWHERE} and {tmp_path} are one file system"
    yield made
    shutil.rmtree(made)


@pytest.mark.row("disk/no-hard-links")
def test_finish_on_another_file_system(folder, other_disk):
    """Where the rename cannot reach, a copy is made, and renamed; the stat is the final file's own."""
    target = other_disk / ("é" * 120)
    stat = begun(folder).finish(target)
    assert target.read_bytes() == CONTENT
    assert (stat.st_dev, stat.st_ino) == (target.stat().st_dev, target.stat().st_ino)
    assert names(other_disk) == ["é" * 120]
    assert not folder.exists()


def test_failed_copy_leaves_nothing(folder, other_disk, monkeypatch):
    """A copy that fails midway leaves no file there, and the part whole here."""

    def fail(_source, copy):
        Path(copy).write_bytes(CONTENT[:50])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(part_module.shutil, "copyfile", fail)
    part = begun(folder)
    with pytest.raises(NoSpace):
        part.finish(other_disk / "model.gguf")
    assert names(other_disk) == []
    assert part.data.read_bytes() == CONTENT
    part.close()


def test_foreign_things_in_the_folder_do_not_hold_up_the_end(folder, tmp_path):
    """Somebody's own folder and file inside the part's stay; the file is finished and the lock is free."""
    part = begun(folder)
    (folder / "mine").mkdir()
    (folder / "thesis.txt").write_text("mine")
    (folder / "rejected-abc").write_bytes(b"old")
    part.finish(tmp_path / "model.gguf")
    assert (tmp_path / "model.gguf").read_bytes() == CONTENT
    assert names(folder) == ["mine", "thesis.txt"]
