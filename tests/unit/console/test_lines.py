"""Plain progress, the tally behind it, and text that cannot command a terminal."""

import io

import pytest

from engine.console.lines import PlainView
from engine.console.streams import Lines
from engine.console.tally import Tally
from engine.plain_text import printable
from engine.transfer.events import Event, Plan
from tests.unit.console.made import file_done, progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def shown(events: list[tuple[float, Event]], sizes: dict[str, int | None]) -> list[str]:
    """What a plain view writes when these events come at these seconds."""
    out, clock, tally = io.StringIO(), Clock(), Tally(sizes)
    view = PlainView(Lines(out), tally, every_s=3.0, clock=clock)
    for second, event in events:
        clock.now = 100.0 + second
        tally.note(event)
        view(event)
    return out.getvalue().splitlines()


def test_a_line_every_few_seconds() -> None:
    """Ten seconds of events twice a second make three lines."""
    lines = shown([(i / 2, progress()) for i in range(20)], {"/models/m.gguf": None})
    assert lines == ["m.gguf: 500.0 MB of 2.0 GB (25 %), 310 MB/s, 5s left, 8 connections"] * 3


def test_a_short_pull_says_nothing() -> None:
    """What is over within three seconds needs no progress."""
    assert shown([(0.5, progress()), (1.0, file_done())], {"/models/m.gguf": None}) == []


def test_several_files_share_a_line() -> None:
    """Files, bytes and rates together; a finished file counts in full."""
    sizes: dict[str, int | None] = {"/models/a": 1_000_000, "/models/b": 3_000_000}
    events: list[tuple[float, Event]] = [
        (0.1, file_done("a", size=1_000_000)),
        (4.0, progress("b", done_bytes=1_000_000, size=3_000_000, bytes_per_s=2e6, lanes=4)),
    ]
    assert shown(events, sizes) == [
        "1 of 2 files, 2.0 MB of 4.0 MB (50 %), 2 MB/s".replace("2 MB/s", "2.0 MB/s")
        + ", 1s left, 4 connections"
    ]


def test_held_bytes_count_from_the_plan_on() -> None:
    """What an earlier run left is done before the first byte of this one."""
    tally = Tally({"/models/m.gguf": None})
    tally.note(Plan(file="m.gguf", path="/models/m.gguf", url="", size=1000, held_bytes=400, ranges=True))
    assert (tally.standing.done_bytes, tally.standing.size, tally.standing.finished) == (400, 1000, 0)


def test_the_tally_forgets_rates_of_finished_files() -> None:
    """A file that is done has neither rate nor lanes."""
    tally = Tally({"/models/m.gguf": 2_000_000_000})
    tally.note(progress())
    tally.note(progress(phase="done", done_bytes=2_000_000_000))
    now = tally.standing
    assert (now.bytes_per_s, now.lanes, now.finished, tally.active) == (0, 0, 1, [])


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def test_a_reader_that_went_away_is_no_error() -> None:
    """Lines that nobody reads are dropped."""
    lines = Lines(Broken())
    lines.say("one")
    lines.say("two")
    assert lines.is_broken


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain – text", "plain – text"),
        ("red \x1b[31m", "red ?[31m"),
        ("two\nlines\r\nthree", "two lines three"),
        ("bell\a nul\0", "bell? nul?"),
        ("right\u202eleft", "right?left"),
        ("kept \u2060joiner", "kept \u2060joiner"),
        ("  in   side", "in   side"),
    ],
)
def test_printable(text: str, safe: str) -> None:
    """One line, and nothing in it that a terminal obeys."""
    assert printable(text) == safe


def test_connections_of_files_that_are_over_do_not_count() -> None:
    """The last word on a file that failed, or waits, says that none works for it."""
    tally = Tally({"/models/a": 5, "/models/b": 5})
    tally.note(progress("a", lanes=3))
    tally.note(progress("b", lanes=2))
    assert tally.standing.lanes == 5
    tally.note(progress("a", lanes=0))
    assert (tally.standing.lanes, tally.standing.bytes_per_s) == (2, 310e6)
