"""Reading a file where it lies in the page cache, instead of copying it out."""

import contextlib
import mmap
import sys
from collections.abc import Iterator

_MADV_POPULATE_READ = 22
"""madvise(2), Linux 5.14: read all of it now, and say so if that fails, where a later access would be a SIGBUS."""


@contextlib.contextmanager
def map_span(fd: int, start: int, stop: int) -> Iterator[memoryview | None]:
    """The file's bytes from start to stop, in memory as long as the block lasts. None where they cannot be mapped, or
    not be read: a plain read says why."""
    pages = _mapped(fd, start, stop)
    if pages is None:
        yield None
        return
    with pages, memoryview(pages) as whole, whole[start % mmap.ALLOCATIONGRANULARITY :] as view:
        yield view


def _mapped(fd: int, start: int, stop: int) -> mmap.mmap | None:
    if sys.platform != "linux":
        return None
    base = start - start % mmap.ALLOCATIONGRANULARITY
    with contextlib.suppress(OSError, ValueError):  # ValueError: the file is shorter
        pages = mmap.mmap(fd, stop - base, prot=mmap.PROT_READ, offset=base)
        with contextlib.ExitStack() as undo:
            undo.callback(pages.close)
            pages.madvise(_MADV_POPULATE_READ)
            undo.pop_all()
        return pages
    return None
