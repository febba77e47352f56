"""One content under a second name, sharing its bytes wherever the file system can: reflink, else hard link, else copy.

A reflink is best: a change of one name never shows under the other. A hard link is the same file, so owner, mode and
times are shared, too. The new name appears by one rename, whole or not at all; a crash leaves at most a file that ends
in `.incomplete`, which the Hub's own tools sweep from their cache as well.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.regular_file import open_regular
from engine.store.disk import check_space

REFLINK, HARDLINK, COPY = "reflink", "hardlink", "copy"
_FICLONE = (
    0x40049409  # ioctl_ficlone(2), as x86 and ARM number it; elsewhere it is refused like any unknown one
)
_BLOCK = 1 << 20


def place(source: Path, target: Path) -> str:
    """Give source's content the name target, too, and say how: "reflink", "hardlink" or "copy".

    What has that name is replaced, a symbolic link itself rather than what it leads to. target's folder must exist.
    Raises OSError, also where source is no regular file; NoSpace where a copy would not fit.
    """
    with os.fdopen(open_regular(source, os.O_RDONLY), "rb") as content, _fresh_name(target) as fresh:
        if _reflink(content.fileno(), fresh):
            how = REFLINK
        elif _hard_link(source, content.fileno(), fresh):
            how = HARDLINK
        else:
            _copy(content.fileno(), fresh)
            how = COPY
        fresh.replace(target)
        return how


def write_whole(target: Path, content: bytes, scratch: Path | None = None) -> None:
    """Write a small file that appears whole or not at all. scratch: the folder where it comes to be, on the same file
    system; target's own unless told. Raises OSError."""
    with _fresh_name(target, scratch) as fresh:
        with os.fdopen(_create(fresh), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(target)


def link_relative(target: Path, pointed: Path, scratch: Path) -> None:
    """Make target a relative symbolic link to pointed, replacing what is there. Raises OSError."""
    text = os.path.relpath(pointed, target.parent)
    with _fresh_name(target, scratch) as fresh:
        fresh.symlink_to(text)
        fresh.replace(target)


@contextmanager
def _fresh_name(target: Path, scratch: Path | None = None) -> Iterator[Path]:
    """A name that nothing has, and nothing has afterwards."""
    fresh = (scratch or target.parent) / f".{os.urandom(8).hex()}.incomplete"
    try:
        yield fresh
    finally:
        # Also after a rename: rename(2) does nothing where both names are one file already.
        fresh.unlink(missing_ok=True)


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


def _reflink(source: int, fresh: Path) -> bool:
    fd = _create(fresh)
    try:
        fcntl.ioctl(fd, _FICLONE, source)
        os.fsync(fd)
    except OSError:
        fresh.unlink()
        return False
    finally:
        os.close(fd)
    return True


def _hard_link(path: Path, source: int, fresh: Path) -> bool:
    """Whether it worked, and for the very file that is open, not for what has taken its name since."""
    try:
        os.link(path, fresh, follow_symlinks=False)
    except OSError:
        return False
    if os.path.samestat(os.lstat(fresh), os.fstat(source)):
        return True
    fresh.unlink()
    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))


def _copy(source: int, fresh: Path) -> None:
    import shutil

    check_space(fresh.parent, os.fstat(source).st_size)
    with os.fdopen(source, "rb", closefd=False) as content, os.fdopen(_create(fresh), "wb") as file:
        shutil.copyfileobj(content, file, _BLOCK)
        file.flush()
        os.fsync(file.fileno())


Place = Callable[[Path, Path], object]
"""What gives a verified file a second name: `place`, or something that also remembers it."""
