"""Opening what must be a regular file: nobody waits for a pipe, and nothing is read without end."""

import errno
import os
import stat
from pathlib import Path


def open_regular(path: Path | str, flags: int, mode: int = 0o666, *, may_be_link: bool = False) -> int:
    """A descriptor of a regular file, never through a symbolic link unless told. Raises OSError, also for a pipe or a
    device, and at once: without O_NONBLOCK the opening of a pipe would wait for somebody at its other end."""
    links = 0 if may_be_link else os.O_NOFOLLOW
    fd = os.open(path, flags | links | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    return fd


def read_small(path: Path | str, limit_bytes: int = 1 << 28) -> bytes:
    """The content of a regular file, or of one that a link leads to. Raises OSError, also for what is larger."""
    with os.fdopen(open_regular(path, os.O_RDONLY, may_be_link=True), "rb") as file:
        content = file.read(min(os.fstat(file.fileno()).st_size, limit_bytes) + 1)
    if len(content) > limit_bytes:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return content
