"""Start-up counts: what is loaded for what, and how long it takes."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tests.command import Command, Result
from tests.origin import Origin

HEAVY = ("urllib3", "structlog", "rich", "aiohttp", "msgspec", "psutil", "platformdirs", "ssl", "asyncio")
PROBE = (
    "import sys, json, atexit; out = sys.stderr\n"
    f"atexit.register(lambda: print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]), file=out))\n"
    "from engine.cli import main; main()"
)


def loaded(result: Result) -> list[str]:
    names: list[str] = json.loads(result.check(0).stderr.splitlines()[-1])
    return names


def test_help_loads_click_alone(command: Command) -> None:
    """--help needs no network, no colours, no store."""
    for words in (["--help"], ["pull", "--help"], ["--version"]):
        assert loaded(command.run(*words, entry=[sys.executable, "-c", PROBE])) == []


def test_small_pull_loads_no_luxury(
    command: Command, origin_factory: Callable[..., Origin], tmp_path: Path
) -> None:
    """A short pull without a terminal and without a log file needs neither rich nor structlog."""
    origin = origin_factory({"tiny": b"x" * 1024})
    words = ["pull", origin.url("tiny"), "-o", tmp_path / "tiny"]
    names = loaded(command.run(*words, entry=[sys.executable, "-c", PROBE]))
    assert set(names) <= {"urllib3", "msgspec", "ssl"}


def test_help_is_fast(command: Command) -> None:
    """Half of the runs take less than 0.2 s from exec to exit."""
    assert median(command.run("--help").check(0).seconds for _ in range(7)) < 0.2


def test_small_pull_is_fast(command: Command, origin_factory: Callable[..., Origin], tmp_path: Path) -> None:
    """Half of the pulls of 1 KiB take less than 0.5 s from exec to exit."""
    origin = origin_factory({"tiny": b"x" * 1024})
    runs = [command.run("pull", origin.url("tiny"), "-o", tmp_path / str(i)).check(0) for i in range(7)]
    assert median(run.seconds for run in runs) < 0.5


def test_nothing_is_said_that_was_not_asked(command: Command) -> None:
    """No warning of a library finds its way to stderr."""
    assert command.run("--version").check(0).stderr == ""
