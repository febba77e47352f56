"""Live bars on a terminal."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from engine.console.sizes import format_rate, format_size
from engine.console.streams import Lines, printable
from engine.console.tally import Tally
from engine.model_downloader import format_eta
from engine.transfer.events import Event, Progress

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_AFTER_S = 0.25
"""What is over sooner shows no bars, and does not wait for rich to load."""
_MOST_FILES = 8
_NAME_CELLS = 40


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
        if self._live is None:
            if time.monotonic() - self._started < _AFTER_S or event.phase == "done":
                return
            self._live = _start(self)
        self._live.refresh()

    def __rich__(self) -> "RenderableType":
        """The picture of now; asked for at each redraw."""
        return _table(self._tally)

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


def _table(tally: Tally) -> "RenderableType":
    from rich.table import Table

    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=_NAME_CELLS)
    table.add_column(ratio=1)
    for _ in range(5):
        table.add_column(no_wrap=True, justify="right")
    active = tally.active
    for event in active[:_MOST_FILES]:
        table.add_row(*_file_row(event))
    now = tally.standing
    if now.files > 1:
        more = f", {len(active) - _MOST_FILES} more at work" if len(active) > _MOST_FILES else ""
        table.add_row(
            f"{now.finished} of {now.files} files{more}",
            _bar(now.done_bytes, now.size, "total"),
            _percent(now.done_bytes, now.size),
            f"{format_size(now.done_bytes)}/{format_size(now.size)}",
            format_rate(now.bytes_per_s),
            format_eta(now.eta_s),
            f"{now.lanes} lanes",
        )
    return table


def _file_row(event: Progress) -> list[Any]:
    from rich.text import Text

    name = Text(printable(event.file))
    if event.phase == "verifying":
        of = f"{format_size(event.hashed_bytes)}/{format_size(event.size or 0)}"
        return [
            name,
            _bar(event.hashed_bytes, event.size, "verifying"),
            _percent(event.hashed_bytes, event.size),
            of,
            "verifying",
            "",
            "",
        ]
    if event.phase == "connecting":
        return [name, _bar(0, None, "downloading"), "", "", "connecting", "", ""]
    of = format_size(event.done_bytes) + (f"/{format_size(event.size)}" if event.size is not None else "")
    return [
        name,
        _bar(event.done_bytes, event.size, "downloading"),
        _percent(event.done_bytes, event.size),
        of,
        format_rate(event.bytes_per_s),
        format_eta(event.eta_s),
        f"{event.lanes} lane{'' if event.lanes == 1 else 's'}",
    ]


def _bar(done: int, size: int | None, kind: str) -> Any:
    from rich.progress_bar import ProgressBar

    styles = {"downloading": "cyan", "verifying": "magenta", "total": "green"}
    return ProgressBar(
        total=size or None,
        completed=done,
        complete_style=styles[kind],
        finished_style=styles[kind],
        pulse=size is None,
    )


def _percent(done: int, size: int | None) -> str:
    return f"{100 * done // size} %" if size else ""
