"""The `jarvis` command as tests use it: a real process of the installed entry point, or one that was forked off a
process in which the same is loaded (tests/starter.py)."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from tests.starter import Started, Starter

ENTRY = [sys.executable, "-c", "from engine.cli import main; main()"]
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Result:
    """How a command ended. code is negative for a signal, as subprocess has it."""

    args: tuple[str, ...]
    code: int
    stdout: str
    stderr: str
    seconds: float

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """What `--json` printed."""
        return [json.loads(line) for line in self.stdout.splitlines() if line.strip()]

    def events_named(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event.get("event") == name]

    def check(self, code: int = 0) -> "Result":
        """Itself, once the exit code is the expected one; else AssertionError with all it said."""
        assert self.code == code, f"{self}\nexpected exit code {code}"
        return self

    def __str__(self) -> str:
        return (
            f"jarvis {' '.join(self.args)}: exit code {self.code} after {self.seconds:.2f} s\n"
            f"--- stdout\n{self.stdout}--- stderr\n{self.stderr}"
        )


class Running:
    """A command that was started; its output is collected while it runs."""

    def __init__(self, args: tuple[str, ...], process: "subprocess.Popen[bytes] | Started") -> None:
        self.args = args
        self.process = process
        self._started = time.monotonic()
        self._changed = threading.Condition()
        self._out: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._open_streams = set(self._out)
        self._readers = [
            threading.Thread(target=self._collect, args=(name,), name=f"jarvis-{name}", daemon=True)
            for name in self._out
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stdout(self) -> str:
        return self._text("stdout")

    @property
    def stderr(self) -> str:
        return self._text("stderr")

    @property
    def raw_stderr(self) -> str:
        """With the joiners (U+2060) in it that break up a "404" which is not the server's (engine/errors.py)."""
        with self._changed:
            return self._out["stderr"].decode("utf-8", "replace")

    def wait_output(
        self, holds: Callable[[str, str], bool], what: str = "output", timeout_s: float = 20
    ) -> None:
        """Until holds(stdout, stderr) is true; AssertionError when the command ends or time passes before."""
        with self._changed:
            self._changed.wait_for(
                lambda: holds(self.stdout, self.stderr) or not self._open_streams, timeout_s
            )
        assert holds(self.stdout, self.stderr), (
            f"no {what} within {timeout_s} s:\n{self.stdout}\n{self.stderr}"
        )

    def children(self) -> list[psutil.Process]:
        """Its worker processes, and theirs, now."""
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def send(self, number: int = signal.SIGINT) -> None:
        self.process.send_signal(number)

    def interrupt_group(self) -> None:
        """SIGINT to it and all of its children, as Ctrl-C on a terminal does."""
        with suppress(ProcessLookupError):  # the last one may have ended
            os.killpg(self.pid, signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL, to it alone."""
        self.process.kill()

    def wait(self, timeout_s: float = 60) -> Result:
        """Its end; subprocess.TimeoutExpired (the command is killed then) when that does not come."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired as exc:
            self.kill_tree()
            exc.add_note(f"--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}")
            raise
        seconds = time.monotonic() - self._started
        for reader in self._readers:
            reader.join(5)
        return Result(self.args, code, self.stdout, self.stderr, seconds)

    def kill_tree(self) -> None:
        """End it and its children, whatever they do; nothing is left of them."""
        for process in [*self.children(), self.process]:
            try:
                process.kill()
            except (psutil.NoSuchProcess, ProcessLookupError):
                pass
        self.process.wait(10)
        for reader in self._readers:
            reader.join(5)

    def _collect(self, name: str) -> None:
        stream = getattr(self.process, name)
        with stream:
            while data := stream.read1(65536):
                with self._changed:
                    self._out[name] += data
                    self._changed.notify_all()
        with self._changed:
            self._open_streams.discard(name)
            self._changed.notify_all()

    def _text(self, name: str) -> str:
        """Without those joiners: a port or a digest may hold a 404 too."""
        with self._changed:
            return self._out[name].decode("utf-8", "replace").replace("\u2060", "")


class Command:
    """Starts `jarvis` with the test's environment, by default in folder/work."""

    def __init__(self, folder: Path, starter: Starter) -> None:
        self.folder = folder / "work"
        self._starter = starter
        self._started: list[Running] = []

    def run(self, *args: object, timeout_s: float = 60, **options: Any) -> Result:
        """Run to the end. Options are those of spawn()."""
        return self.spawn(*args, **options).wait(timeout_s)

    def spawn(
        self,
        *args: object,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
        stdin: bytes | None = None,
        entry: list[str] | None = None,
    ) -> Running:
        """Start and return at once. env: further variables; None takes one away. entry: how, when not by the starter.

        The process leads a session of its own, so interrupt_group() reaches it and its children alone.
        """
        self.folder.mkdir(exist_ok=True)
        words = tuple(str(arg) for arg in args)
        environment, cwd = _environment(env or {}), cwd or self.folder
        process = None if entry else self._starter.start(words, environment, cwd, stdin is not None)
        if process is None:
            process = _interpreter([*(entry or ENTRY), *words], environment, cwd, stdin is not None)
        if stdin is not None and process.stdin is not None:
            with process.stdin:
                process.stdin.write(stdin)
        self._started.append(running := Running(words, process))
        return running

    def kill_all(self) -> None:
        """End what still runs."""
        for running in self._started:
            if running.process.poll() is None:
                running.kill_tree()
            else:
                running.wait()


def _interpreter(
    words: list[str], environment: dict[str, str], cwd: Path, has_stdin: bool
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        words,
        stdin=subprocess.PIPE if has_stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=cwd,
        start_new_session=True,
    )


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """This process' environment with the checkout's engine first, and changes."""
    merged: dict[str, str | None] = {**os.environ, "PYTHONPATH": str(ROOT), **changes}
    return {name: value for name, value in merged.items() if value is not None}
