"""Error class -> exit code (docs/errors.md)."""

from collections.abc import Iterable

from engine.console.interrupts import INTERRUPTED
from engine.errors import (
    AccessDenied,
    Busy,
    DigestMismatch,
    NetworkError,
    NotFound,
    PathError,
    SeveralFailed,
    StoreError,
    UsageError,
)

OK, OTHER = 0, 1

_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (UsageError, 2),
    (PathError, 2),
    (NotFound, 3),
    (AccessDenied, 4),
    (NetworkError, 5),
    (DigestMismatch, 6),
    (StoreError, 7),
    (Busy, 8),
    (KeyboardInterrupt, INTERRUPTED),
)


def exit_code(exc: BaseException) -> int:
    """The code for one error; 1 where it has none of its own."""
    if isinstance(exc, SeveralFailed):
        return combined(exit_code(cause) for cause in exc.causes)
    return next((code for kind, code in _CODES if isinstance(exc, kind)), OTHER)


def combined(codes: Iterable[int]) -> int:
    """One code for several targets: 0 if none failed, theirs if they agree, else 1."""
    different = set(codes)
    return different.pop() if len(different) == 1 else OTHER if different else OK
