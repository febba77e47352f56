"""One process, measured from exec to exit, with everything it started.

Wall time runs from just before posix_spawn to the moment wait4 returns. CPU time is wait4's rusage:
the process and every descendant it reaped. The harness is a child subreaper (prctl(2)), so a
descendant that outlives its parent comes to us: its CPU is added, and it is reported as left over.
Memory is sampled in runs of their own: reading smaps_rollup walks page tables under the lock that
page faults need, and would slow down what is timed.
"""

import contextlib
import ctypes
import mmap
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from perf.payload import allocated_bytes

PROC = Path("/proc")
SAMPLE_EVERY_S = 0.05
PR_SET_CHILD_SUBREAPER = 36
MADV_POPULATE_WRITE = 23  # Linux 5.14; Python has no name for it yet


@dataclass(frozen=True)
class Exit:
    """How a run ended. CPU seconds include descendants; leftovers are processes alive a second after it."""

    wall_s: float
    user_s: float
    sys_s: float
    code: int
    leftovers: int
    peak_pss_bytes: int | None = None


class Run:
    """A started command in a session of its own, stdin closed, output in a file."""

    def __init__(self, argv: list[str], env: dict[str, str], log: Path) -> None:
        become_subreaper()
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ]
        self.started_at = time.time()
        self._start = time.monotonic()
        try:
            self.pid = os.posix_spawn(argv[0], argv, env, file_actions=actions, setsid=True)
        finally:
            os.close(output)

    @property
    def age_s(self) -> float:
        """Since just before posix_spawn."""
        return time.monotonic() - self._start

    def kill(self) -> None:
        """SIGKILL the process itself, none of its children."""
        os.kill(self.pid, signal.SIGKILL)

    def is_over(self) -> bool:
        """Whether it has exited; it is not reaped yet."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, options) is not None

    def wait(self, timeout_s: float, *, leftovers_wait_s: float = 1.0) -> Exit:
        """Wait for the exit; after timeout_s the whole session is killed (exit code -9)."""
        timer = threading.Timer(timeout_s, kill_session, [self.pid])
        timer.start()
        try:
            _, status, usage = os.wait4(self.pid, 0)
            wall_s = time.monotonic() - self._start
        except (
            BaseException
        ):  # Ctrl-C of the harness: the session is not the terminal's, so nobody else ends it
            kill_session(self.pid)
            raise
        finally:
            timer.cancel()
        count, user_s, sys_s = _reap_session(self.pid, leftovers_wait_s)
        return Exit(
            wall_s, usage.ru_utime + user_s, usage.ru_stime + sys_s, os.waitstatus_to_exitcode(status), count
        )


def timed(argv: list[str], env: dict[str, str], log: Path, timeout_s: float) -> Exit:
    """Run argv to its end with nothing else going on in the harness."""
    return Run(argv, env, log).wait(timeout_s)


def sampled(argv: list[str], env: dict[str, str], log: Path, timeout_s: float) -> Exit:
    """Run argv to its end and watch the memory of its processes: the peak of the sum of their PSS."""
    run = Run(argv, env, log)
    peak = 0

    def look() -> None:
        nonlocal peak
        peak = max(peak, sum(pss_bytes(pid) for pid in tree(run.pid)))

    with beside(look, SAMPLE_EVERY_S):
        done = run.wait(timeout_s)
    return replace(done, peak_pss_bytes=peak)


@contextlib.contextmanager
def beside(look: Callable[[], None], every_s: float) -> Iterator[None]:
    """look() again and again, on a thread of its own, until the block ends."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(every_s):
            look()

    watcher = threading.Thread(target=watch, name="beside")
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


class WarmMemory:
    """Memory held between runs and given back just before each, so that every tool finds pages the machine has.

    A virtual machine returns free pages to its host within seconds, and whoever writes next pays for their
    return: 2 GiB into tmpfs took 0.6 s warm and 1.3 to 2.8 s after a pause. The order of tools would decide.
    """

    def __init__(self) -> None:
        self._size = 0
        self._pages: mmap.mmap | None = None
        self._left: Path | None = None

    def hold(self, size_bytes: int) -> None:
        """Hold size_bytes of touched memory; 0 holds none. Where there is not so much, none is held."""
        if size_bytes != self._size:
            self.release()
            self._size = size_bytes
            self._fill(size_bytes)

    def hold_again(self, left: Path) -> None:
        """Take back what release() gave away. left: a run's target in memory, which counts and goes with the rest."""
        self._left = left
        self._fill(self._size - allocated_bytes(left))

    def release(self) -> None:
        if self._left is not None:
            shutil.rmtree(self._left)
            self._left = None
        if self._pages is not None:
            self._pages.close()
            self._pages = None

    def _fill(self, size_bytes: int) -> None:
        if self._pages is None and size_bytes > 0:
            with contextlib.suppress(OSError):
                self._pages = mmap.mmap(-1, size_bytes)
                self._pages.madvise(MADV_POPULATE_WRITE)


def tree(root: int) -> list[int]:
    """The root, its descendants, and whatever else is in the session that it leads."""
    parents, sessions = {}, {}
    for pid, fields in _stats():
        parents[pid], sessions[pid] = int(fields[1]), int(fields[3])
    found = {pid for pid, session in sessions.items() if session == root} | {root}
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found and pid not in found}
        found |= more
        grown = bool(more)
    return sorted(found)


def pss_bytes(pid: int) -> int:
    """Proportional set size of one process, 0 when it is gone (proc_pid_smaps(5))."""
    try:
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # it ended between the listing and the reading
    return 0


def session_pids(leader: int) -> list[int]:
    """Living processes of the session that leader leads; zombies do not count."""
    return [pid for pid, fields in _stats() if int(fields[3]) == leader and fields[0] != "Z"]


def kill_session(leader: int) -> None:
    for pid in session_pids(leader):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def wait_until(condition: Callable[[], Any], timeout_s: float, every_s: float = 0.005) -> bool:
    """Poll until condition() is true; False when timeout_s passed first."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(every_s)
    return True


def become_subreaper() -> None:
    """Orphans of a run are handed to this process instead of init; repeating it does no harm."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _reap_session(leader: int, wait_s: float) -> tuple[int, float, float]:
    """End what a run left behind: how many outlived it by wait_s, and the CPU seconds of those we reaped."""
    wait_until(lambda: not session_pids(leader), wait_s)
    leftovers = len(session_pids(leader))
    kill_session(leader)
    wait_until(lambda: not session_pids(leader), 5.0)
    user_s = sys_s = 0.0
    for pid, fields in _stats():
        if int(fields[3]) == leader and int(fields[1]) == os.getpid():
            with contextlib.suppress(ChildProcessError):
                _, _, usage = os.wait4(pid, os.WNOHANG)
                user_s, sys_s = user_s + usage.ru_utime, sys_s + usage.ru_stime
    return leftovers, user_s, sys_s


def _stats() -> Iterator[tuple[int, list[str]]]:
    """(pid, fields of /proc/PID/stat from the state on: state, ppid, pgrp, session …) of every process."""
    for entry in os.scandir(PROC):
        if not entry.name.isdigit():
            continue
        try:
            text = (PROC / entry.name / "stat").read_text()
        except OSError:
            continue
        yield int(entry.name), text.rpartition(")")[2].split()
