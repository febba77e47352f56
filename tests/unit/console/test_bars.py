"""What the live picture shows; tests/integration/test_cli_terminal.py sees it on a terminal."""

import io

import pytest

from engine.console import bars
from engine.console.bars import Bars, rows
from engine.console.lines import Lines
from engine.console.tally import Tally
from tests.unit.console.made import file_done, progress


def tally_of(*names: str) -> Tally:
    return Tally({f"/models/{name}": 2_000_000_000 for name in names})


def test_one_file_has_one_line() -> None:
    """Name, percent, amount, rate, remaining time, lanes; no total beside a single file."""
    tally = tally_of("m.gguf")
    tally.note(progress())
    (row,) = rows(tally)
    assert (row.name, row.percent, row.amount) == ("m.gguf", "25 %", "500.0 MB/2.0 GB")
    assert (row.rate, row.eta, row.lanes) == ("310 MB/s", "5s", "8 lanes")


def test_verifying_shows_how_far_the_hash_is() -> None:
    """A phase of its own, with its own measure."""
    tally = tally_of("m.gguf")
    tally.note(progress(phase="verifying", done_bytes=2_000_000_000))
    (row,) = rows(tally)
    assert (row.kind, row.percent, row.rate, row.lanes) == ("verifying", "20 %", "verifying", "")


def test_unknown_size_has_no_percent() -> None:
    """What nobody knows is not made up."""
    tally = Tally({"/models/m.gguf": None})
    tally.note(progress(size=None, eta_s=None))
    (row,) = rows(tally)
    assert (row.percent, row.amount, row.eta) == ("", "500.0 MB", "--")


def test_many_files_show_the_active_ones() -> None:
    """Eight at most, then how many more there are, then the total of all, the finished ones included."""
    names = [f"{number}.gguf" for number in range(14)]
    tally = tally_of(*names)
    tally.note(file_done(names[0], size=2_000_000_000))
    for name in names[1:13]:
        tally.note(progress(name))
    *files, total = rows(tally)
    assert [row.name for row in files] == names[1:9]
    assert total.name == "1 of 14 files, 4 more at work"
    assert (total.amount, total.lanes) == ("8.0 GB/28.0 GB", "96 lanes")


def test_name_cannot_command_the_terminal() -> None:
    """A file's name is a stranger's text."""
    tally = tally_of("m.gguf")
    tally.note(progress(file="a\x1b[2Jb"))
    assert rows(tally)[0].name == "a?[2Jb"


def test_what_is_over_at_once_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bars appear only once a pull takes its time, and not for its last event."""
    out = io.StringIO()
    now = 100.0
    monkeypatch.setattr(bars.time, "monotonic", lambda: now)
    view = Bars(tally_of("m.gguf"), Lines(out))
    view(progress())
    now += 10
    view(progress(phase="done"))
    view.close()
    assert out.getvalue() == ""
