"""The lock of a part: flock on a file in its folder.

Coordinator and workers share one open file description, so the lock lives until the last of them is
gone: an orphan that still writes is never overtaken. The inode is compared after locking, because the
holder before us may have removed the file. The holder's process number stands in it, for messages.
"""

import errno
import fcntl
import os
import socket
from functools import cache
from pathlib import Path
from typing import Self

from engine.errors import Busy
from engine.regular_file import open_regular
from engine.store.disk import disk_errors


class PartLock:
    """A held lock."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.fd = fd

    @classmethod
    def try_acquire(cls, path: Path, content: str = "") -> Self | None:
        """The lock, or None while somebody else holds it; content tells others what it is held for, in one line.
        Raises StoreError, and Busy where locks do not work."""
        with disk_errors("lock", path):
            while True:
                fd = open_regular(path, os.O_RDWR | os.O_CREAT, 0o644)
                try:
                    is_free = _flock(fd, path)
                    mine = os.fstat(fd)
                    if is_free and _is_at(path, mine):
                        _sign(fd, content, is_empty=mine.st_size == 0)
                        return cls(path, fd)
                except BaseException:
                    os.close(fd)
                    raise
                os.close(fd)
                if not is_free:
                    return None

    def release(self, *, remove: bool = False) -> None:
        """Let go; remove takes the file away first, while it is still ours. May be called twice."""
        if self.fd < 0:
            return
        try:
            if remove:
                self.path.unlink(missing_ok=True)
        except OSError:
            pass  # a lock file that stays holds nobody up
        finally:
            os.close(self.fd)
            self.fd = -1


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock; nothing is changed, and it is held for a moment at most. Raises StoreError, and
    Busy where locks do not work."""
    with disk_errors("look at the lock", path):
        try:
            fd = open_regular(path, os.O_RDWR)  # NFS locks nothing that is open for reading alone (flock(2))
        except FileNotFoundError:
            return False
        try:
            return not _flock(fd, path)
        finally:
            os.close(fd)


def _flock(fd: int, path: Path) -> bool:
    """Whether the lock was free and is held now. Raises OSError, and Busy where locks do not work."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        if exc.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        if exc.errno in (errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL):
            raise Busy(
                f"The file system of {str(path.parent)!r} has no locks, so nobody can tell whether another "
                "pull writes there. Use a local folder, and move the file afterwards."
            ) from exc
        raise
    return True


def _sign(fd: int, content: str, *, is_empty: bool) -> None:
    try:
        if not is_empty:
            os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()} {_host()}\n{content}\n".encode(), 0)
    except OSError:
        pass  # a full disk: the name is for messages, the lock is held without it


@cache
def _host() -> str:
    return socket.gethostname()


def _is_at(path: Path, mine: os.stat_result) -> bool:
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return False
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


def holder_of(path: Path) -> str:
    """Who holds the lock, for a message: "process 123 on host", as far as it can be told."""
    pid, _, host = _lines(path)[0].partition(" ")
    return f"process {pid} on {host}" if pid.isdigit() else "another process"


def content_of(path: Path) -> str:
    """What the holder said that it holds the lock for; "" where it has not said it yet."""
    return _lines(path)[1]


def _lines(path: Path) -> tuple[str, str]:
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), encoding="utf-8", errors="replace") as file:
            signed, _, content = file.read().partition("\n")
    except OSError:
        return "", ""
    return signed.strip(), content.strip()
