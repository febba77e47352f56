"""Whether pulls are at work in a store: flock on `<root>/at-work.lock`, shared by pulls and imports, whole for who
removes files.

A pull believes a file that is there long before it names it in a manifest, which may be hours later. So nobody takes
a file from below llm/ in between, and nobody waits for hours either: who cannot have the lock leaves the files be.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.regular_file import open_regular
from engine.store.disk import make_folders
from engine.store.waiting import lock
from engine.telemetry import Log

_log = Log(__name__)
_NAME = "at-work.lock"


@contextmanager
def at_work(root: Path) -> Iterator[None]:
    """While a pull looks what is there, fetches, and writes its manifests. Waits for who is taking files away, which
    is a matter of moments; raises Busy after a minute. Where there can be no lock, `alone` never says yes either."""
    fd = _try_open(root)
    try:
        if fd is not None:
            with suppress(OSError):
                lock(fd, fcntl.LOCK_SH, root / _NAME)
        yield
    finally:
        if fd is not None:
            os.close(fd)


@contextmanager
def alone(root: Path) -> Iterator[bool]:
    """Whether no pull is at work, of any process; while it is so, none begins. No where nobody can tell. A store that
    is not there is not made: nobody has anything to lose in it."""
    if not root.is_dir():
        yield True
        return
    fd = _try_open(root)
    try:
        yield fd is not None and _is_free(fd)
    finally:
        if fd is not None:
            os.close(fd)


def _try_open(root: Path) -> int | None:
    try:
        make_folders(root)
        return open_regular(root / _NAME, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as exc:
        _log.info("store.unlocked", root=str(root), error=exc.strerror or "")
        return None


def _is_free(fd: int) -> bool:
    """Whether nobody else had it; it is ours now."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        if exc.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            _log.info("store.unlocked", error=exc.strerror or "")
        return False
    return True
