"""The disk's errors in words, and its free space."""

import errno
import os

import pytest

from engine.errors import NoSpace, StoreError
from engine.regular_file import open_regular
from engine.store import disk
from engine.store.disk import check_space, disk_error, disk_errors, make_folders, sync_folder


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.row("disk/quota")
def test_full(number):
    """A full disk, a quota and a file system's largest file are all no space, and what came is kept."""
    error = disk_error("write", None, number)
    assert isinstance(error, NoSpace)
    assert "is kept" in str(error)


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EACCES, "may write to"),
        (errno.EPERM, "may write to"),
        (errno.EROFS, "read-only"),
        (errno.ENOENT, "Check the path"),
        (errno.EISDIR, "folder is in the way"),
        (errno.ENOTDIR, "file stands where"),
        (errno.EEXIST, "in the way"),
        (errno.ELOOP, "symbolic link"),
        (errno.EIO, "I/O error"),
        (errno.ENAMETOOLONG, "too long"),
        (errno.EMFILE, "ulimit -n"),
        (0, "is kept"),
    ],
)
@pytest.mark.row("disk/io-error")
def test_words(number, advice, tmp_path):
    """Every error says what was tried, with what, and what to do."""
    with pytest.raises(StoreError) as caught, disk_errors("open", tmp_path):
        raise OSError(number, "system's words")
    assert not isinstance(caught.value, NoSpace)
    assert str(caught.value).startswith(f"Cannot open {str(tmp_path)!r}: ")
    assert advice in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)


def test_only_disk_errors_are_translated(tmp_path):
    """A mistake of ours stays what it is, and an error of ours is not wrapped again."""
    with pytest.raises(ZeroDivisionError), disk_errors("open", tmp_path):
        _ = 1 / 0
    with pytest.raises(StoreError, match="inner"), disk_errors("open", tmp_path):
        raise StoreError("inner")


def test_space(tmp_path):
    """What fits passes, with headroom; what does not fails with both figures."""
    room = os.statvfs(tmp_path)
    check_space(tmp_path, 0)
    with pytest.raises(NoSpace) as caught:
        check_space(tmp_path, room.f_blocks * room.f_frsize + 1)
    assert "1 MiB to spare" in str(caught.value)  # else it might say that less is needed than is free
    assert caught.value.needed_bytes == room.f_blocks * room.f_frsize + 1
    assert caught.value.free_bytes <= room.f_blocks * room.f_frsize
    with pytest.raises(StoreError, match="look at the file system"):
        check_space(tmp_path / "none", 0)


@pytest.mark.parametrize("kind", ["folder", "fifo", "link", "none"])
def test_open_regular(tmp_path, kind):
    """Only a regular file is opened, and nobody waits for a pipe."""
    path = tmp_path / "x"
    {
        "folder": path.mkdir,
        "fifo": lambda: os.mkfifo(path),
        "link": lambda: path.symlink_to(tmp_path),
        "none": lambda: None,
    }[kind]()
    with pytest.raises(OSError, match="x"):
        open_regular(path, os.O_RDWR)


def test_sync_folder(tmp_path):
    """A folder can be synced; what is none is an OSError for the caller to translate."""
    sync_folder(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        sync_folder(tmp_path / "file")


def test_new_folders_are_synced_into_those_that_were_there(tmp_path, monkeypatch):
    """What is finished below is told as done, so the way to it survives a power cut; old folders cost nothing."""
    synced = []
    monkeypatch.setattr(disk, "sync_folder", synced.append)
    make_folders(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert set(synced) == {tmp_path, tmp_path / "a"}
    make_folders(tmp_path / "a" / "b")
    assert len(synced) == 2
