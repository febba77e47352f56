"""The processes of one command, found by the session that it leads: nobody else is in it, and an orphan stays there."""

import os
import time
from pathlib import Path

_PATIENCE_S = 30.0


def members(session: int) -> list[int]:
    """Process numbers of all that are alive in it; zombies hold nothing, and do not count."""
    return [pid for pid in _all() if _session_of(pid) == session and not _is_zombie(pid)]


class Farewell:
    """What is left of a session whose leader has ended, from then on.

    A process on a machine that is busy with others may get no processor for seconds. So two times are told apart: the
    clock's, and a process's own, in which it was asleep or at work and did not just wait for a processor.
    """

    def __init__(self, session: int) -> None:
        self._session = session
        self._own_s: dict[int, float] = {}
        self._used_s: dict[int, float] = {}
        self.seconds = 0.0
        """By the clock, until the last one was gone."""

    def wait(self, own_s: float) -> list[int]:
        """Until all are gone; else those that have had so much time of their own, or after half a minute all."""
        started = last = time.monotonic()
        while left := members(self._session):
            now = time.monotonic()
            for pid in left:
                self._look(pid, now - last)
            last, self.seconds = now, now - started
            late = [pid for pid in left if self._own_s.get(pid, 0.0) > own_s]
            if late or self.seconds > _PATIENCE_S:
                return late or left
            time.sleep(0.002)
        return []

    def _look(self, pid: int, passed_s: float) -> None:
        used_s, wants_processor = _threads(pid)
        worked_s = used_s - self._used_s.get(pid, used_s)
        self._used_s[pid] = used_s
        self._own_s[pid] = self._own_s.get(pid, 0.0) + (worked_s if wants_processor else passed_s)


def _threads(pid: int) -> tuple[float, bool]:
    """Processor time that a process has used, and whether a thread of it runs or waits for a processor."""
    used, wants = 0, False
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        used += int(fields[11]) + int(fields[12])
        wants = wants or fields[0] == "R"
    return used / os.sysconf("SC_CLK_TCK"), wants


def _all() -> list[int]:
    return [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True
