"""Signals while a pull runs on a program's main thread.

Python runs their handlers between any two instructions of that thread, and most of them raise: KeyboardInterrupt in
the midst of taking a lock or starting a thread would leave the one held and the other behind, for as long as the
program lives. So handlers are put off to moments where everything is in order, a tenth of a second at most; while
a callback of the caller's runs, they are not.
"""

import signal
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any, Self, TypeVar

_PATIENCE_S = 2.0
"""After that the next signal is handled at once: somebody insists, and something may be stuck."""

_Said = TypeVar("_Said")


class PutOffSignals:
    """Of one pull. As a context: handlers of the program, on its main thread, are put off in there."""

    def __init__(self) -> None:
        self._handlers: dict[int, Callable[[int, Any], Any]] = {}
        self._pending: list[tuple[int, Any]] = []
        self._since: float | None = None
        """When the first one came that has not been handled, or whose handler has ended the pull."""
        self._is_open = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in signal.valid_signals():
                handler = signal.getsignal(number)
                if callable(handler):
                    with suppress(ValueError):  # a subinterpreter's main thread
                        signal.signal(number, self._put_off)
                        self._handlers[number] = handler
        return self

    def __exit__(self, kind: object, exc: object, trace: object) -> None:
        for number, handler in self._handlers.items():
            if signal.getsignal(number) == self._put_off:  # else a callback has set another one
                signal.signal(number, handler)
        with suppress(KeyboardInterrupt) if kind is KeyboardInterrupt else nullcontext():
            self.handle()

    def handle(self) -> None:
        """Everything is in order: run the handlers of what has come. Raises what they raise."""
        while self._pending:
            number, frame = self._pending.pop(0)
            self._handlers[number](number, frame)
            self._since = None

    def let_through(self, call: Callable[[_Said], None]) -> Callable[[_Said], None]:
        """The same, and during it handlers run at once."""

        def open_to_signals(said: _Said) -> None:
            self._is_open = True
            try:
                self.handle()
                call(said)
            finally:
                self._is_open = False

        return open_to_signals

    def _put_off(self, number: int, frame: Any) -> None:
        now = time.monotonic()
        if self._is_open or (self._since is not None and now - self._since > _PATIENCE_S):
            self._handlers[number](number, frame)
            return
        self._since = self._since or now
        self._pending.append((number, frame))
