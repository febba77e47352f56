"""Start-up counts: what is loaded for what. How long it takes is perf's to measure."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.console.ahead import asks_for_url
from tests.command import ENTRY, Command, Result
from tests.hub import Hub
from tests.origin import Origin, Pattern

HEAVY = (
    *("urllib3", "structlog", "rich", "aiohttp", "msgspec", "psutil", "platformdirs", "ssl", "asyncio"),
    *("subprocess", "engine.transfer.coordinator", "statistics"),
)
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
    """A short pull without a terminal and without a log file needs neither rich nor structlog; and a worker asks for
    what is only known by its address, so the command loads no network either."""
    origin = origin_factory({"tiny": b"x" * 1024})
    words = ["pull", origin.url("tiny"), "-o", tmp_path / "tiny"]
    names = loaded(command.run(*words, entry=[sys.executable, "-c", PROBE]))
    assert set(names) <= {"msgspec", "subprocess", "engine.transfer.coordinator"}


@pytest.fixture
def hub(origin_factory: Callable[..., Origin], monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A Hub, empty, and the command's endpoint."""
    hub = Hub(origin_factory(), origin_factory())
    monkeypatch.setenv("HF_ENDPOINT", hub.site.base)
    return hub


def split_model(hub: Hub) -> str:
    """acme/tri, three files; its commit."""
    return hub.add("acme/tri", {f"tri-0000{n}-of-00003.gguf": bytes([n]) * 5000 for n in (1, 2, 3)})


def test_complete_model_starts_no_process_and_asks_once(command: Command, hub: Hub) -> None:
    """A model that is here: one question to its registry, and neither a worker nor what deals work out."""
    split_model(hub)
    command.run("pull", "hf.co/acme/tri").check(0)
    before = len(hub.site.requests) + len(hub.content.requests)
    result = command.run("pull", "hf.co/acme/tri", entry=[sys.executable, "-c", PROBE])
    assert set(loaded(result)) <= {"urllib3", "msgspec", "ssl"}
    assert len(result.stdout.splitlines()) == 3 and "nothing fetched" in result.stderr
    assert len(hub.site.requests) + len(hub.content.requests) == before + 1


def test_complete_pinned_model_loads_no_network(command: Command, hub: Hub) -> None:
    """A model that is here and named by its commit: nobody is asked, and nothing that could ask is loaded."""
    target = f"hf.co/acme/tri@{split_model(hub)}"
    command.run("pull", target).check(0)
    before = len(hub.site.requests)
    assert loaded(command.run("pull", target, entry=[sys.executable, "-c", PROBE])) == ["msgspec"]
    assert len(hub.site.requests) == before


def test_complete_file_loads_no_network(
    command: Command, origin_factory: Callable[..., Origin], tmp_path: Path
) -> None:
    """The same address to the same place, which is there: no worker, no request."""
    origin = origin_factory({"tiny": b"x" * 1024})
    words = ["pull", origin.url("tiny"), "-o", tmp_path / "tiny"]
    command.run(*words).check(0)
    before = len(origin.requests)
    assert loaded(command.run(*words, entry=[sys.executable, "-c", PROBE])) == ["msgspec"]
    assert len(origin.requests) == before


URLS = [
    (["pull", "http://127.0.0.1/m"], True),
    (["pull", "--quiet", "https://host/m", "-o", "m"], True),
    (["pull", "http://h/m", "-p", "0"], False),
    (["pull", "http://h/m", "-p0"], False),
    (["pull", "http://h/m", "--processes=0"], False),
    (["pull", "http://h/m", "--dry-run"], False),
    (["pull", "http://h/m", "--help"], False),
    (["pull", "http://h/m", "-o", __file__], False),
    (["pull", "hf.co/acme/tri"], False),
    (["verify", "http://h/m"], False),
    ([], False),
]


@pytest.mark.parametrize(("words", "is_url"), URLS)
def test_a_worker_is_started_ahead_for_addresses(words: list[str], is_url: bool) -> None:
    """Before anything is parsed: only where a worker will surely be the one that asks."""
    assert asks_for_url(["jarvis", *words]) is is_url


def test_nothing_is_said_that_was_not_asked(command: Command) -> None:
    """No warning of a library finds its way to stderr."""
    assert command.run("--version").check(0).stderr == ""


@pytest.mark.row("host/no-terminal")
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


@pytest.mark.row("host/no-terminal")
def test_a_result_that_cannot_be_written_is_a_failure(
    command: Command, origin_factory: Callable[..., Origin], tmp_path: Path
) -> None:
    """A full disk behind stdout is said, and is exit 1: whoever reads that file later misses the result."""
    origin = origin_factory({"model.gguf": b"small"})
    shell = ["sh", "-c", 'exec "$@" >/dev/full', "sh", *ENTRY]
    words = ("pull", origin.url("model.gguf"), "-o", tmp_path / "model.gguf")
    assert "Cannot write to stdout" in command.run(*words, entry=shell).check(1).stderr
    assert (tmp_path / "model.gguf").read_bytes() == b"small"


@pytest.mark.row("host/no-terminal")
def test_a_full_disk_is_told_once(command: Command) -> None:
    """--help and doctor, too, say that stdout refuses, once, and not that something went wrong that should not."""
    shell = ["sh", "-c", 'exec "$@" >/dev/full', "sh", *ENTRY]
    for words in (["--help"], ["doctor"]):
        result = command.run(*words, entry=shell, env={"HF_ENDPOINT": "http://127.0.0.1:9"}).check(1)
        assert result.stderr.count("error: ") == 1 and "Cannot write to stdout" in result.stderr
