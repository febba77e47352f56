"""Start-up counts: what is loaded for what. How long it takes is perf's to measure."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from tests.command import ENTRY, Command, Result
from tests.origin import Origin, Pattern

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


def test_nothing_is_said_that_was_not_asked(command: Command) -> None:
    """No warning of a library finds its way to stderr."""
    assert command.run("--version").check(0).stderr == ""


def test_closed_standard_streams_lead_nowhere(
    command: Command, origin_factory: Callable[..., Origin], tmp_path: Path
) -> None:
    """Where the caller closed stdin, stdout and stderr, a pull through workers works, and no file that it opens
    takes a standard stream's number: what arrives is exact."""
    content = Pattern(4 * 1024 * 1024)
    origin = origin_factory({"model.gguf": content})
    shell = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *ENTRY]
    words = (
        "pull",
        origin.url("model.gguf"),
        "-o",
        tmp_path / "model.gguf",
        "-p",
        2,
        "--segment-size",
        "1MiB",
    )
    result = command.run(*words, entry=shell).check(0)
    assert (result.stdout, result.stderr) == ("", "")
    assert content.first_difference(tmp_path / "model.gguf") is None


def test_a_result_that_cannot_be_written_is_a_failure(
    command: Command, origin_factory: Callable[..., Origin], tmp_path: Path
) -> None:
    """A full disk behind stdout is said, and is exit 1: whoever reads that file later misses the result."""
    origin = origin_factory({"model.gguf": b"small"})
    shell = ["sh", "-c", 'exec "$@" >/dev/full', "sh", *ENTRY]
    words = ("pull", origin.url("model.gguf"), "-o", tmp_path / "model.gguf")
    assert "Cannot write to stdout" in command.run(*words, entry=shell).check(1).stderr
    assert (tmp_path / "model.gguf").read_bytes() == b"small"


def test_a_full_disk_is_told_once(command: Command) -> None:
    """--help and doctor, too, say that stdout refuses, once, and not that something went wrong that should not."""
    shell = ["sh", "-c", 'exec "$@" >/dev/full', "sh", *ENTRY]
    for words in (["--help"], ["doctor"]):
        result = command.run(*words, entry=shell, env={"HF_ENDPOINT": "http://127.0.0.1:9"}).check(1)
        assert result.stderr.count("error: ") == 1 and "Cannot write to stdout" in result.stderr
