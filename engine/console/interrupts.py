"""What Ctrl-C, SIGTERM and SIGHUP do, from the command's first moment to its last. Loads nothing that costs time.

    starting   nothing has begun: the process ends at once, in words
    working    KeyboardInterrupt is raised, so that what has begun is put in order
    ending     all is said, and the process ends by itself

Only the first signal counts. Further ones must not disturb that order, unless it takes too long: then they end the
process as it is, which costs nothing that is on disk.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

INTERRUPTED = 130
_PATIENCE_S = 2.0
_AGAIN_S = 0.01
PULL_INTERRUPTED = "interrupted: what is there is kept, and the same command goes on from there."
"""As long as nobody knows which files are meant, and so what is there of them."""


class _State:
    phase = "starting"
    first_at: float | None = None
    """When the signal came that counts."""


_state = _State()


def act_on_signals() -> None:
    """From now on, in the whole process. What the caller ignores (nohup, a script's background job) stays ignored."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)
    signal.signal(signal.SIGALRM, _interrupt)
    sys.unraisablehook = _unraisable


@contextmanager
def raised() -> Iterator[None]:
    """The work itself: in here, and only here, an interrupt is raised."""
    _state.phase = "working"
    try:
        yield
    finally:
        _state.phase = "ending"


def tell() -> None:
    """Say on stderr that it was interrupted; of a pull, what that means."""
    message = PULL_INTERRUPTED if sys.argv[1:2] == ["pull"] else "interrupted."
    with suppress(OSError):
        os.write(2, f"{message}\n".encode())


def _interrupt(_number: int, _frame: object) -> None:
    now = time.monotonic()
    if _state.first_at is not None:
        if now - _state.first_at > _PATIENCE_S:
            os._exit(INTERRUPTED)
        return
    _state.first_at = now
    if _state.phase == "starting":
        tell()
        os._exit(INTERRUPTED)
    if _state.phase == "working":
        raise KeyboardInterrupt


def _unraisable(what: Any) -> None:
    """Python drops what is raised in a weakref's callback, as its import system has them, or in a __del__. An interrupt
    is raised again a moment later, by a timer: raised from here it would be dropped, too."""
    if not issubclass(what.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(what)
        return
    _state.first_at = None
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
