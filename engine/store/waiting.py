"""Locks that are waited for, as long as somebody may reasonably hold them. A holder that is stopped, or whose host is
gone, must not hold up everybody else without a word."""

import errno
import fcntl
import time
from pathlib import Path

from engine.errors import Busy

PATIENCE_S = 60.0
_FIRST_POLL_S, _LAST_POLL_S = 0.001, 0.05
_NO_LOCKS = frozenset({errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL})


def lock(fd: int, how: int, path: Path) -> bool:
    """flock(2) as soon as others let go of it; how: LOCK_EX or LOCK_SH. False where the file system has no locks.
    Raises Busy after a minute, OSError."""
    until, poll_s = time.monotonic() + PATIENCE_S, _FIRST_POLL_S
    while True:
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
        except OSError as exc:
            if exc.errno in _NO_LOCKS:
                return False
            if exc.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
        else:
            return True
        if time.monotonic() >= until:
            raise Busy(
                f"Another process has held {str(path)!r} for a minute. See which one is stopped or hangs (fuser(1) "
                "tells), end it, and run the same command again."
            )
        time.sleep(poll_s)
        poll_s = min(2 * poll_s, _LAST_POLL_S)
