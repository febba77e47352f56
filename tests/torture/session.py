"""The processes of one command, found by the session that it leads: nobody else is in it, and an orphan stays there."""

import os
import time
from pathlib import Path


def members(session: int) -> list[int]:
    """Process numbers of all that are alive in it; zombies hold nothing, and do not count."""
    return [pid for pid in _all() if _session_of(pid) == session and not _is_zombie(pid)]


def wait_empty(session: int, timeout_s: float) -> tuple[list[int], float]:
    """Who is still there after so long, and how long it took."""
    started = time.monotonic()
    while (left := members(session)) and time.monotonic() - started < timeout_s:
        time.sleep(0.002)
    return left, time.monotonic() - started


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
