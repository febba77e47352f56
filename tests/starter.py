"""Commands that begin where Python's start ends: forked off a process that has loaded the engine.

Nine tenths of what a short command costs is loading it, thousands of times in one run. What is skipped is that
alone, and the worker that is started ahead while a command loads. It has its own process, session, folder, environment
and streams, starts workers when it needs them, and ends as an interpreter ends. Tests of the start itself, and all that
name an entry of their own, start an interpreter (tests/command.py).

Both sides are here. Over one socket go requests (JSON, and four descriptors: the command's standard streams, and where
its process id and then its exit code are written); the starter ends when the other end is closed.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from engine.transfer import spawn

_BOOT = "import sys; from tests.starter import serve; serve(int(sys.argv[1])); from engine.cli import main; main()"
_LOADED = (
    "engine.console.pulling",
    "engine.console.verifying",
    "engine.transfer.coordinator",
    "urllib3",
    "ssl",
)
_LARGEST = 100_000
"""Bytes of a request, which is one packet."""


class Starter:
    """The process that commands are forked off, from `with` to its end."""

    def __init__(self, root: Path) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {**os.environ, "PYTHONPATH": str(root)}
        self._pythons = _pythons(environment)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,  # as a command's: Python asks its streams when it starts whether they can seek
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def __enter__(self) -> "Starter":
        return self

    def __exit__(self, *exc: object) -> None:
        self._channel.close()
        self._process.communicate(timeout=10)

    def start(
        self, words: Sequence[str], env: Mapping[str, str], cwd: Path, has_stdin: bool
    ) -> "Started | None":
        """A command of these words; None where only an interpreter of its own will do: its environment says how
        Python itself is to start, or is too large."""
        request = json.dumps({"words": words, "env": dict(env), "cwd": str(cwd)}).encode()
        if len(request) > _LARGEST or _pythons(env) != self._pythons:
            return None
        stdin, feed = os.pipe() if has_stdin else (os.open(os.devnull, os.O_RDONLY), None)
        (out, stdout), (err, stderr), (report, status) = (os.pipe() for _ in range(3))
        theirs = [stdin, stdout, stderr, status]
        try:
            socket.send_fds(self._channel, [request], theirs)
        finally:
            for fd in theirs:
                os.close(fd)
        return Started(report, feed, out, err)


def _pythons(environment: Mapping[str, str]) -> dict[str, str]:
    """What an interpreter reads when it starts."""
    return {name: value for name, value in environment.items() if name.startswith(("PYTHON", "LC_", "LANG"))}


class Started:
    """What subprocess.Popen is to others, of a command that was forked off."""

    def __init__(self, report: int, stdin: int | None, stdout: int, stderr: int) -> None:
        self._report = os.fdopen(
            report, "rb", buffering=0
        )  # unread lines stay in the pipe, where select sees them
        self.stdin: IO[bytes] | None = None if stdin is None else os.fdopen(stdin, "wb")
        self.stdout: IO[bytes] = os.fdopen(stdout, "rb")
        self.stderr: IO[bytes] = os.fdopen(stderr, "rb")
        self.returncode: int | None = None
        self.pid = int(self._report.readline())

    def poll(self) -> int | None:
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("jarvis", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended, and is reaped over there
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout_s: float | None) -> int | None:
        if self.returncode is None and select.select([self._report], [], [], timeout_s)[0]:
            self.returncode = int(self._report.readline())
            self._report.close()
        return self.returncode


# The starter's side


def serve(number: int) -> None:
    """Fork on request. Returns in each new command, set up as one that was just started; never in the starter."""
    for name in _LOADED:
        importlib.import_module(name)
    spawn.start_ahead = lambda: None  # nothing is left to load beside it
    gc.collect()
    gc.freeze()
    channel = socket.socket(fileno=number)
    running: dict[int, tuple[int, int]] = {}
    poll = select.poll()
    poll.register(number, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd in running:
                _report_end(*running.pop(fd))
                poll.unregister(fd)
                os.close(fd)
                continue
            data, fds, _, _ = socket.recv_fds(channel, _LARGEST, 4)
            if not data:
                os._exit(0)
            pid = os.fork()
            if pid == 0:
                channel.detach()
                return _become(json.loads(data), fds)
            for stream in fds[:3]:
                os.close(stream)
            watch = os.pidfd_open(pid)
            running[watch] = (pid, fds[3])
            poll.register(watch, select.POLLIN)


def _report_end(pid: int, status: int) -> None:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.write(status, f"{code}\n".encode())
    os.close(status)


def _become(request: dict[str, Any], fds: list[int]) -> None:
    """What is left of the starter here: what it has loaded."""
    os.setsid()
    for number, fd in enumerate(fds[:3]):
        os.dup2(fd, number)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv[1:] = request["words"]
    os.write(fds[3], f"{os.getpid()}\n".encode())
    os.closerange(3, 1 << 16)
