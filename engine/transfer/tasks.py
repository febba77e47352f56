"""Long work of one file (hashing, syncing, finishing), off the coordinator's thread and back on it."""

from collections.abc import Callable
from typing import Any

from engine.errors import EngineError
from engine.store.disk import disk_error

Done = Callable[[Any, BaseException | None], None]
Submit = Callable[[Callable[[], Any], Done], None]
"""Runs its first argument on another thread, and its second with the result on the coordinator's."""


class Tasks:
    """Counts what is under way; `settled` and `failed` are the file's."""

    def __init__(self, submit: Submit, *, failed: Callable[[EngineError], None]) -> None:
        self._submit = submit
        self._failed = failed
        self._count = 0

    def __bool__(self) -> bool:
        """Whether any is under way."""
        return self._count > 0

    def start(self, work: Callable[[], Any], done: Callable[[Any], None], *, inline: bool) -> None:
        """Run work, then done with its result here; an error goes to `failed`. inline: small work is not worth a
        thread, so it is done before this returns."""
        if not inline:
            self.hand_to(lambda back: self._submit(work, back), done)
            return
        try:
            result = work()
        except (OSError, EngineError) as exc:
            self._failed(as_engine_error(exc))
        else:
            done(result)

    def hand_to(self, other: Callable[[Done], None], done: Callable[[Any], None]) -> None:
        """Likewise, where another sees to the work: it gets what it is to call when that is done."""
        self._count += 1

        def back(result: Any, exc: BaseException | None) -> None:
            self._count -= 1
            if exc is None:
                done(result)
            else:
                self._failed(as_engine_error(exc))

        other(back)


def as_engine_error(exc: BaseException) -> EngineError:
    """What a helper thread's exception is to the caller; bugs are raised as they are."""
    if isinstance(exc, EngineError):
        return exc
    if isinstance(exc, OSError):
        return disk_error("read back what was written", None, exc.errno or 0)
    raise exc
