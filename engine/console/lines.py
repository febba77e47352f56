"""Progress as plain lines, for logs and pipes: one every few seconds."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from engine.console.sizes import format_rate, format_size
from engine.console.streams import Lines
from engine.console.tally import Tally
from engine.console.words import progress_line
from engine.model_downloader import format_eta
from engine.plain_text import printable
from engine.transfer.events import Event

EVERY_S = 3.0


class View(Protocol):
    """Shows a pull to a person while it runs."""

    def __call__(self, event: Event) -> None:
        """Something happened."""

    def say(self, text: str) -> None:
        """A line that stays."""

    def stepping_aside(self) -> AbstractContextManager[None]:
        """Nothing that would be redrawn stands on the terminal for so long."""

    def close(self) -> None:
        """Take away what does not stay. May be called twice."""


class PlainView:
    """Lines on stderr; with every_s None, only those that are said."""

    def __init__(
        self,
        out: Lines,
        tally: Tally,
        every_s: float | None = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out = out
        self._tally = tally
        self._every_s = every_s
        self._clock = clock
        self._last = clock()

    def __call__(self, event: Event) -> None:  # noqa: ARG002 - View's signature; the tally has taken it in
        if self._every_s is None or self._clock() - self._last < self._every_s:
            return
        active = self._tally.active
        if not active:
            return
        self._last = self._clock()
        self.say(progress_line(active[0]) if self._tally.standing.files == 1 else self._all())

    def say(self, text: str) -> None:
        self._out.say(printable(text))

    def stepping_aside(self) -> AbstractContextManager[None]:
        return nullcontext()

    def close(self) -> None:
        pass

    def _all(self) -> str:
        now = self._tally.standing
        percent = f" ({100 * now.done_bytes // now.size} %)" if now.size else ""
        return (
            f"{now.finished} of {now.files} files, {format_size(now.done_bytes)} of {format_size(now.size)}{percent}, "
            f"{format_rate(now.bytes_per_s)}, {format_eta(now.eta_s)} left, {now.lanes} connections"
        )
