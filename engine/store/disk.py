"""The disk's own rules: its errors in words, free space, syncing folders."""

import errno
import os
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

from engine.errors import NoSpace, StoreError

_FULL = {
    errno.ENOSPC: "the disk is full. Make room and run the same command again",
    errno.EDQUOT: "your quota is used up. Make room and run the same command again",
    errno.EFBIG: "the file is too large for this file system, or for a limit of this process. Choose another folder",
}
UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})
"""How file systems say that they cannot do a thing at all."""
SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, *_FULL})
"""What the machine, or this process, has no more of: nobody's mistake."""
_HEADROOM_BYTES = 1 << 20
"""Kept free beyond the missing bytes: journal, receipt, folders."""


class disk_errors:  # noqa: N801 - used like a function; contextlib's own costs several times as much
    """Translate OSError into NoSpace or StoreError that say what was tried with what."""

    __slots__ = ("_path", "_step")

    def __init__(self, step: str, path: Path | str | None) -> None:
        self._step = step
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        if isinstance(exc, OSError):
            raise disk_error(self._step, self._path, exc.errno or 0) from exc


def disk_error(step: str, path: Path | str | None, number: int) -> StoreError:
    """The error for an errno."""
    what = f"Cannot {step}" + (f" {str(path)!r}" if path else "")
    if number in _FULL:
        return NoSpace(f"{what}: {_FULL[number]}; what is there is kept.")
    hints = {
        errno.EACCES: "No permission. Choose a folder that you may write to.",
        errno.EPERM: "Not permitted. Choose a folder that you may write to.",
        errno.EROFS: "The file system is read-only. Choose another folder.",
        errno.ENOENT: "Check the path, and make the folders that are missing.",
        errno.EISDIR: "A folder is in the way. Move it or choose another name.",
        errno.ENOTDIR: "A file stands where a folder is needed. Move it or choose another place.",
        errno.EEXIST: "Something else is in the way. Move it or choose another name.",
        errno.ELOOP: "A symbolic link is in the way. It is not followed; remove it or choose another place.",
        errno.EIO: "The disk reported an I/O error. Do not trust it before you have checked it.",
        errno.ENAMETOOLONG: "The name is too long for this file system.",
        errno.EMFILE: "Let this process have more files open at once (ulimit -n).",
        errno.ENFILE: "The machine has too many files open. End other programs.",
        errno.EAGAIN: "The machine has no room for another process. End other programs, or allow more (ulimit -u).",
        errno.ENOMEM: "The machine has no memory left. End other programs.",
    }
    return StoreError(f"{what}: {os.strerror(number)}. {hints.get(number, 'What is there is kept.')}")


def write_all(fd: int, data: bytes, offset: int) -> None:
    """pwrite until everything is written; a signal or a nearly full disk may cut a write short."""
    written = os.pwrite(fd, data, offset)
    while written < len(data):
        written += os.pwrite(fd, memoryview(data)[written:], offset + written)


def close_quietly(fd: int) -> None:
    """Close where an error is of no weight: what is to be relied on has been synced, and what is left for the next run
    is read before it is believed. The descriptor is gone whatever is said (close(2))."""
    with suppress(OSError):
        os.close(fd)


def check_space(folder: Path, needed_bytes: int) -> None:
    """Raise NoSpace before the first byte where the missing ones cannot fit."""
    with disk_errors("look at the file system of", folder):
        room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize
    if needed_bytes + _HEADROOM_BYTES > free:
        raise NoSpace(
            f"Not enough room in {str(folder)!r}: {needed_bytes:,} bytes are needed, 1 MiB to spare, and "
            f"{free:,} are free. "
            "Make room or choose another folder; what is there already is kept.",
            needed_bytes=needed_bytes,
            free_bytes=free,
        )


def make_folders(folder: Path) -> None:
    """mkdir -p. What is finished below new folders is told as done, so the names of these survive a power cut, too:
    POSIX promises that of none that was not synced. Raises OSError."""
    new = list(takewhile(lambda path: not path.exists(), (folder, *folder.parents)))
    folder.mkdir(parents=True, exist_ok=True)
    for path in new:
        with suppress(PermissionError):  # one may make folders where one may not look
            sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in folder survive a power cut. File systems that cannot sync a folder are let be."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as exc:
        if exc.errno not in UNSUPPORTED:
            raise
    finally:
        os.close(fd)
