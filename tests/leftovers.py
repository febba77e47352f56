"""Finds threads and processes that a test has left behind.

Processes are found as children, and by a mark in their environment, which a worker keeps whose
parent has been killed and which so is nobody's child of ours any more. Both cost milliseconds, so they are asked
for only when the machine has processes that it did not have before.
"""

import os
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")


class Watch:
    """From its making on: which threads and processes have come and not gone."""

    def __init__(self) -> None:
        self.mark = uuid.uuid4().hex
        """To be put into the environment as JARVIS_TEST_MARK."""
        self._threads = set(threading.enumerate())
        self._pids = set(psutil.pids())

    def wait_gone(self, timeout_s: float) -> list[str]:
        """Give what is ending so long to end; then descriptions of what is left."""
        until = time.monotonic() + timeout_s
        while (left := self._left()) and time.monotonic() < until:
            time.sleep(0.02)
        return left

    def kill(self) -> None:
        """End the processes that are left, so that they spoil no other test."""
        for process in self._left_processes():
            _quietly(process.kill)

    def _left(self) -> list[str]:
        threads = [
            thread for thread in threading.enumerate() if thread not in self._threads and thread.is_alive()
        ]
        return [f"thread {thread.name!r}" for thread in threads] + [
            f"process {process.pid} ({_command_line(process)})" for process in self._left_processes()
        ]

    def _left_processes(self) -> list[psutil.Process]:
        new = set(psutil.pids()) - self._pids
        if not new:
            return []
        found = {process for process in _children() if process.pid in new} | _marked(self.mark, new)
        return [process for process in found if not _is_ended(process)]


def _children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _marked(mark: str, pids: set[int]) -> set[psutil.Process]:
    entry = f"JARVIS_TEST_MARK={mark}".encode()
    marked = [pid for pid in pids if pid != os.getpid() and entry in _environment(pid)]
    return {process for process in map(_process, marked) if process is not None}


def _process(pid: int) -> psutil.Process | None:
    return _quietly(lambda: psutil.Process(pid))


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def _is_ended(process: psutil.Process) -> bool:
    """Gone, or a zombie: whoever started it has yet to ask how it ended, but it holds nothing."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _command_line(process: psutil.Process) -> str:
    return " ".join(_quietly(process.cmdline) or ["?"])[:120]


def _quietly(ask: Callable[[], T]) -> T | None:
    """What psutil answers, or None when the process has gone (or is not ours to ask)."""
    try:
        return ask()
    except psutil.Error:
        return None
