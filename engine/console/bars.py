"""Live bars on a terminal."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal

import msgspec

from engine.console.sizes import format_rate, format_size
from engine.console.streams import Lines
from engine.console.tally import Standing, Tally
from engine.model_downloader import format_eta
from engine.plain_text import printable
from engine.transfer.events import Event, Progress

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.live import Live

_AFTER_S = 0.25
"""What is over sooner shows no bars, and does not wait for rich to load."""
_MOST_FILES = 8
_NAME_CELLS = 40
_WIDE_CELLS = 90
"""Narrower terminals show neither amounts nor lanes."""


class Bars:
    """One bar for each file under way, one for all of them where there are several."""

    def __init__(self, tally: Tally, out: Lines) -> None:
        self._tally = tally
        self._out = out
        self._started = time.monotonic()
        self._live: Live | None = None
        self._is_closed = False

    def __call__(self, event: Event) -> None:
        if not isinstance(event, Progress) or self._is_closed:
            return
        if self._live is None and (time.monotonic() - self._started < _AFTER_S or event.phase == "done"):
            return
        try:
            self._live = self._live or _start(self)
            self._live.refresh()
        except OSError:  # the terminal is gone
            self.close()

    def __rich_console__(self, _console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """The picture of now; asked for at each redraw."""
        yield _table(rows(self._tally), options.max_width)

    def say(self, text: str) -> None:
        text = printable(text)
        if self._live is None:
            self._out.say(text)
        else:
            self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def stepping_aside(self) -> Iterator[None]:
        if self._live is None:
            yield
            return
        self._live.stop()
        try:
            yield
        finally:
            self._live = _start(self)

    def close(self) -> None:
        self._is_closed = True
        if self._live is not None:
            with suppress(OSError):
                self._live.stop()
            self._live = None


def _start(bars: Bars) -> "Live":
    from rich.console import Console
    from rich.live import Live

    # No thread of its own: progress comes often enough, and a thread would outlive a crash.
    live = Live(
        bars,
        console=Console(stderr=True),
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    live.start()
    return live


class Row(msgspec.Struct, frozen=True):
    """One line of the picture, in words."""

    name: str
    kind: Literal["downloading", "verifying", "total"]
    done: int
    size: int | None
    amount: str
    rate: str
    eta: str = ""
    lanes: str = ""

    @property
    def percent(self) -> str:
        return f"{100 * self.done // self.size} %" if self.size else ""


def rows(tally: Tally) -> list[Row]:
    """A line for each file under way, as many as can be watched, and one for all where there are several."""
    active, now = tally.active, tally.standing
    lines = [_file_row(event) for event in active[:_MOST_FILES]]
    if now.files > 1:
        lines.append(_total_row(now, len(active) - len(lines)))
    return lines


def _file_row(event: Progress) -> Row:
    name = printable(event.file)
    if event.phase == "connecting":
        return Row(name, "downloading", 0, None, "", "connecting")
    is_verifying = event.phase == "verifying"
    done = event.hashed_bytes if is_verifying else event.done_bytes
    amount = format_size(done) + (f"/{format_size(event.size)}" if event.size is not None else "")
    if is_verifying:
        return Row(name, "verifying", done, event.size, amount, "verifying")
    rate, eta = format_rate(event.bytes_per_s), format_eta(event.eta_s)
    return Row(name, "downloading", done, event.size, amount, rate, eta, _lanes(event.lanes))


def _total_row(now: Standing, hidden: int) -> Row:
    more = f", {hidden} more at work" if hidden > 0 else ""
    return Row(
        f"{now.finished} of {now.files} files{more}",
        "total",
        now.done_bytes,
        now.size,
        f"{format_size(now.done_bytes)}/{format_size(now.size)}",
        format_rate(now.bytes_per_s),
        format_eta(now.eta_s),
        _lanes(now.lanes),
    )


def _lanes(number: int) -> str:
    return f"{number} lane{'' if number == 1 else 's'}"


def _table(lines: Sequence[Row], width: int) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    is_wide = width >= _WIDE_CELLS
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=_NAME_CELLS if is_wide else width // 3)
    table.add_column(ratio=1)
    for _ in range(5 if is_wide else 3):
        table.add_column(no_wrap=True, justify="right")
    for row in lines:
        words = (row.percent, row.amount, row.rate, row.eta, row.lanes)
        shown = words if is_wide else (row.percent, row.rate, row.eta)
        table.add_row(Text(row.name), _bar(row), *map(Text, shown))
    return table


def _bar(row: Row) -> "RenderableType":
    from rich.progress_bar import ProgressBar

    style = {"downloading": "cyan", "verifying": "magenta", "total": "green"}[row.kind]
    return ProgressBar(
        total=row.size or None,
        completed=row.done,
        complete_style=style,
        finished_style=style,
        pulse=row.size is None,
    )
