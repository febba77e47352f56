"""What one input may cost: a second of this process's own time, and 64 MiB of memory.

Time is the processor's, so that a busy machine accuses nobody. Memory is the high-water mark of what is resident
(getrusage(2)), which is set back before (proc(5), clear_refs); an address space with an end catches what would take the
machine with it. Both faults are no Exception, so that no parser can swallow them.
"""

import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 1.0
TRACED_SECONDS = 5.0
"""Under coverage and other tracers, which make Python several times slower."""
MEMORY_BYTES = 64 << 20
_REFS = Path("/proc/self/clear_refs")
_SPACE_BYTES = 2 << 30
"""Of addresses, beyond those in use."""


class TooSlow(BaseException):
    """The input was not done with in time."""


class TooLarge(BaseException):
    """The input took too much memory."""


@contextmanager
def bounded() -> Iterator[None]:
    """Raises TooSlow where the block is when its time is up, TooLarge after it. On the main thread only."""
    seconds = TRACED_SECONDS if sys.gettrace() else SECONDS
    _REFS.write_bytes(b"5")
    before = _most_resident()
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    grown = _most_resident() - before
    if grown > MEMORY_BYTES:
        raise TooLarge(f"it took {grown >> 20} MiB of memory")


@contextmanager
def guarded() -> Iterator[None]:
    """What `bounded` needs around it: the alarm, and an end to the address space."""
    old = signal.signal(signal.SIGVTALRM, _ring)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + _SPACE_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGVTALRM, old)


def _ring(_number: int, _frame: object) -> None:
    raise TooSlow("it took too long")


def _most_resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
