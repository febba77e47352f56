"""Ctrl-C, SIGTERM and SIGHUP: the command ends within a second, keeps what it has, and says so."""

import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.command import ENTRY, Running
from tests.integration.trial import wait_gone
from tests.origin import Origin
from tests.origin.content import Pattern

SIZE = 40_000_000
Spawn = Callable[..., Running]


@pytest.fixture
def content() -> Pattern:
    return Pattern(SIZE, 9)


@pytest.fixture
def origin(origin_factory: Callable[..., Origin], content: Pattern) -> Origin:
    return origin_factory({"m.gguf": content})


def wait_share(running: Running, share: float) -> None:
    def has_it(out: str, _: str) -> bool:
        lines = [json.loads(line) for line in out.splitlines() if line.endswith("}")]
        return any(e["event"] == "progress" and e["done_bytes"] >= SIZE * share for e in lines)

    running.wait_output(has_it, f"{share:.0%} of the file")


@pytest.mark.alone
@pytest.mark.parametrize("processes", ["0", "2"])
@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "SIGHUP", "terminal"])
@pytest.mark.row("process/sigint", "process/sigterm")
def test_interrupted_pull_ends_at_once_and_resumes(
    spawn: Spawn, jarvis: Any, origin: Origin, content: Pattern, tmp_path: Path, how: str, processes: str
) -> None:
    """Exit 130 within a second, workers gone with it; what is kept is told and used by the same command, to the
    byte."""
    words = [
        "pull",
        origin.url("m.gguf"),
        "-o",
        tmp_path / "m",
        "-p",
        processes,
        "--segment-size",
        "256KiB",
        "--json",
    ]
    running = spawn(*words, "--limit-rate", "25MB/s")
    wait_share(running, 0.3)
    workers = running.children()
    assert len(workers) == int(processes)
    started = time.monotonic()
    if how == "terminal":
        running.interrupt_group()
    else:
        running.send(getattr(signal, how))
    result = running.wait().check(130)
    assert time.monotonic() - started < 1.0
    wait_gone(workers)
    (error,) = result.events_named("error")
    assert error["error"] == "Interrupted" and error["kept_bytes"] > SIZE // 5
    assert result.events_named("done")[0]["exit_code"] == 130
    assert "interrupted: " in result.stderr and "the same command goes on from there" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "m").exists()
    (file,) = jarvis(*words).check(0).events_named("file")
    assert file["held_bytes"] == error["kept_bytes"]
    assert file["held_bytes"] + file["fetched_bytes"] == SIZE
    assert content.first_difference(tmp_path / "m") is None


@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.row("process/signal-before-first-byte")
def test_interrupted_before_the_first_byte(spawn: Spawn, origin: Origin, tmp_path: Path, number: int) -> None:
    """A server that does not answer cannot hold the command back; nothing is kept, and that is said."""
    fault = origin.fault("hang_before_headers")
    running = spawn("pull", origin.url("m.gguf"), "-o", tmp_path / "m")
    origin.ledger.wait(lambda: bool(fault.fired), 20, "the hanging request")
    started = time.monotonic()
    running.send(number)
    result = running.wait().check(130)
    assert time.monotonic() - started < 1.0
    assert "nothing is kept" in result.stderr and "Traceback" not in result.stderr
    assert list(tmp_path.glob("m*")) == []


@pytest.mark.alone
@pytest.mark.row("process/signal-before-first-byte")
def test_interrupted_while_a_source_is_asked(spawn: Spawn, origin: Origin, tmp_path: Path) -> None:
    """The same while a registry is asked for the list of files: what is kept of them is not known, so not denied."""
    fault = origin.fault("hang_before_headers")
    running = spawn("pull", "hf.co/ns/repo", "-d", tmp_path, env={"HF_ENDPOINT": origin.url("").rstrip("/")})
    origin.ledger.wait(lambda: bool(fault.fired), 20, "the hanging request")
    started = time.monotonic()
    running.send()
    assert "what is there is kept, and the same command goes on" in running.wait().check(130).stderr
    assert time.monotonic() - started < 1.0


AT_IMPORT = (
    "import os, signal, sys; module, how = sys.argv[1:3]; del sys.argv[1:3]\n"
    "class Dropped:\n"
    "    def __del__(self): os.kill(os.getpid(), signal.SIGINT); os.getpid()\n"
    "def watch(event, args):\n"
    "    global module\n"
    "    if event == 'import' and args[0] == module:\n"
    "        module = None; print('at the import', file=sys.stderr)\n"
    "        Dropped() if how == 'dropped' else os.kill(os.getpid(), getattr(signal, how))\n"
    "sys.addaudithook(watch); from engine.cli import main; main()"
)
"""The command, which gets a signal in the middle of an import: at once, or where Python drops what is raised."""


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "SIGHUP", "dropped"])
@pytest.mark.parametrize(
    "module",
    ["click", "engine.transfer.spawn", "engine.console.pulling", "msgspec", "engine.transfer.coordinator", "urllib3"],
)  # fmt: skip
@pytest.mark.row("process/signal-before-first-byte")
def test_interrupted_while_it_loads(
    spawn: Spawn, origin: Origin, tmp_path: Path, module: str, how: str
) -> None:
    """Before anything is fetched, too, a signal ends the command with 130 and a line in words, and nothing else."""
    fault = origin.fault("hang_before_headers")
    words = ("pull", origin.url("m.gguf"), "-o", tmp_path / "m", "-p", "0")
    result = spawn(module, how, *words, entry=[sys.executable, "-c", AT_IMPORT]).wait(20).check(130)
    assert not fault.fired
    first, line = result.stderr.splitlines()
    assert first == "at the import" and line.startswith("interrupted: ")
    assert "kept" in line and "the same command" in line.lower()


def test_interrupted_verify(spawn: Spawn, tmp_path: Path) -> None:
    """The other commands end in the same way; what would go on is not claimed."""
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 40)
    running = spawn("verify", tmp_path / "large", "--sha256", "0" * 64, "--json")
    running.wait_output(lambda out, _: "progress" in out, "the hashing")
    running.send()
    assert running.wait().check(130).stderr.endswith("interrupted.\n")


@pytest.mark.alone
@pytest.mark.row("process/signal-before-first-byte")
def test_stuck_name_lookup_does_not_hold_it_back(spawn: Spawn, tmp_path: Path) -> None:
    """A name lookup blocks in C, where no signal reaches it; the command ends all the same."""
    boot = (
        "import socket, sys, threading\n"
        "def stuck(*a, **k):\n"
        "    print('looking', file=sys.stderr, flush=True); threading.Event().wait()\n"
        "socket.getaddrinfo = stuck\n"
        "from engine.cli import main; main()"
    )
    for target in ("https://no.example/m.gguf", "hf.co/ns/repo"):
        running = spawn("pull", target, "-d", tmp_path, "-p", "0", entry=[sys.executable, "-c", boot])
        running.wait_output(lambda _, err: "looking" in err, "the lookup")
        started = time.monotonic()
        running.send()
        running.wait().check(130)
        assert time.monotonic() - started < 1.0


@pytest.mark.row("process/sigint")
def test_second_signal_does_not_disturb_the_first(
    spawn: Spawn, jarvis: Any, origin: Origin, tmp_path: Path
) -> None:
    """An impatient second Ctrl-C neither makes a traceback nor costs what was received."""
    words = [
        "pull",
        origin.url("m.gguf"),
        "-o",
        tmp_path / "m",
        "-p",
        "2",
        "--segment-size",
        "256KiB",
        "--json",
    ]
    running = spawn(*words, "--limit-rate", "25MB/s")
    wait_share(running, 0.3)
    running.send()
    running.send(signal.SIGTERM)
    running.send()
    result = running.wait().check(130)
    assert "Traceback" not in result.stderr
    assert jarvis(*words).check(0).events_named("file")[0]["held_bytes"] > SIZE // 5


@pytest.mark.row("process/sigterm")
def test_ignored_signal_stays_ignored(spawn: Spawn, origin: Origin, content: Pattern, tmp_path: Path) -> None:
    """Under nohup (SIGHUP ignored by the caller), the pull goes on when the terminal closes."""
    boot = "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    entry = [sys.executable, "-c", boot, *ENTRY]
    running = spawn(
        "pull", origin.url("m.gguf"), "-o", tmp_path / "m", "--json", "--limit-rate", "40MB/s", entry=entry
    )
    wait_share(running, 0.1)
    running.send(signal.SIGHUP)
    running.wait().check(0)
    assert content.first_difference(tmp_path / "m") is None


def test_force_is_told_how_to_go_on(spawn: Spawn, origin: Origin, tmp_path: Path) -> None:
    """The same command with --force would start at zero: the message says so."""
    running = spawn(
        "pull",
        origin.url("m.gguf"),
        "-o",
        tmp_path / "m",
        "--force",
        "--json",
        "--limit-rate",
        "25MB/s",
        "--segment-size",
        "256KiB",
    )
    wait_share(running, 0.3)
    running.send()
    assert "the same command without --force goes on" in running.wait().check(130).stderr


def test_part_is_only_what_stays(spawn: Spawn, origin: Origin, tmp_path: Path) -> None:
    """Beside the target there is the part's folder and nothing else."""
    folder = tmp_path / "d"
    running = spawn("pull", origin.url("m.gguf"), "-d", folder, "--json", "--limit-rate", "25MB/s")
    wait_share(running, 0.2)
    running.send()
    running.wait().check(130)
    assert [path.name for path in folder.iterdir()] == ["m.gguf.jarvis-part"]
