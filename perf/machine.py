"""What the figures were measured on, without a name or a path of the machine."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
PROC = Path("/proc")


def describe() -> dict[str, Any]:
    """Cores this process may use, CPU model, memory, kernel and Python."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _field(PROC / "cpuinfo", "model name") or platform.machine(),
        "memory_bytes": int((_field(PROC / "meminfo", "MemTotal") or "0 kB").split()[0]) * 1024,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def commit() -> dict[str, Any]:
    """The checkout's commit, and whether engine, perf or cli.py differ from it."""
    head = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--", "engine", "perf/*.py", "cli.py")
    return {"commit": head or "unknown", "uncommitted_changes": bool(changed)}


def is_memory_backed(folder: Path) -> bool:
    """Whether folder lies on tmpfs: the longest mount point above it decides."""
    best, kind = "", ""
    for line in (PROC / "mounts").read_text().splitlines():
        _, point, filesystem, *_ = line.split()
        inside = folder == Path(point) or Path(point) in folder.parents
        if inside and len(point) >= len(best):
            best, kind = point, filesystem
    return kind in ("tmpfs", "ramfs")


def load1() -> float:
    """Runnable processes, averaged over the last minute: who else was at work."""
    return round(os.getloadavg()[0], 2)


def _field(path: Path, name: str) -> str | None:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None


def _git(*args: str) -> str:
    done = subprocess.run(["git", *args], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.stdout.strip()
