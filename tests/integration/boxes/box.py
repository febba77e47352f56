"""Foreign server programs with a configuration of ours, each at a free port, from `with` to their end."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

_START_WITHIN_S = 15.0
_STOP_WITHIN_S = 5.0
_TAKEN = ("in use", "EADDRINUSE")


@dataclass(frozen=True)
class Box:
    """A program that takes connections."""

    port: int
    log: Path
    """What it printed."""

    def url(self, path: str = "", scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}/{path}"


@contextlib.contextmanager
def box(
    program: str,
    folder: Path,
    configure: Callable[[int], Sequence[str]],
    *,
    env: Mapping[str, str] = {},
    port: int = 0,
) -> Iterator[Box]:
    """Run a program in folder; configure(port) writes down what it is to do and returns its arguments. Skipped where it
    is not installed (in CI that fails). port: this one, where it is not to be a free one."""
    binary = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if binary is None:
        pytest.skip(f"{program} is not installed")
    log = folder / f"{Path(program).name}.out"
    for _ in range(5):
        at = port or _free_port()
        process = _start([binary, *configure(at)], folder, log, env)
        try:
            if _wait_accepting(process, at):
                yield Box(at, log)
                return
        finally:
            _stop(process)
        said = log.read_text("utf-8", "replace")
        if not any(word in said for word in _TAKEN):
            break
    raise RuntimeError(f"{program} does not start:\n{log.read_text('utf-8', 'replace')}")


def _start(words: list[str], folder: Path, log: Path, env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    with log.open("ab") as out:
        return subprocess.Popen(
            words,
            cwd=folder,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,  # its helpers end with it
        )


def _wait_accepting(process: "subprocess.Popen[bytes]", port: int) -> bool:
    until = time.monotonic() + _START_WITHIN_S
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        time.sleep(0.02)
    return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_WITHIN_S)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
