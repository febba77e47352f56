"""The processor: how many cores a pull may use, and whether they are what holds it up."""

import os
import time
from collections import deque
from collections.abc import Sequence

_WINDOW_S = 0.15
"""The kernel counts in hundredths of a second; less than this says nothing."""
_SPARE_SHARE = 0.25
_OWN_SHARE = 0.3


def usable_cores() -> int:
    """Cores by affinity and by the cgroup's cpu.max (psutil reads neither), at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:  # noqa: PTH123 - pathlib adds nothing here
            quota, period = file.read().split()
        if quota != "max":
            cores = min(cores, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):
        pass  # no cgroup v2, or no limit in it
    return max(cores, 1)


class Load:
    """Whether the machine's cores are busy, and this pull's own processes are why (proc_stat(5), proc_pid_stat(5)).
    Where there is no /proc, nobody knows, and the answer is no."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float, float]] = deque()
        self._cores = os.cpu_count() or 1

    def look(self, now: float, workers: Sequence[int]) -> None:
        """Take note of what has been used by now; workers: process numbers."""
        try:
            own_s = time.process_time() + sum(_used_s(pid) for pid in workers)
            self._samples.append((now, _idle_s(), own_s))
            while len(self._samples) > 2 and self._samples[1][0] <= now - _WINDOW_S:
                self._samples.popleft()
        except (OSError, ValueError, IndexError):
            self._samples.clear()

    @property
    def is_bound(self) -> bool:
        """Over the last looks: hardly a core to spare, and a good part of them is ours."""
        if len(self._samples) < 2:
            return False
        (t0, idle0, own0), (t1, idle1, own1) = self._samples[0], self._samples[-1]
        available_s = (t1 - t0) * self._cores
        return idle1 - idle0 < _SPARE_SHARE * available_s and own1 - own0 > _OWN_SHARE * available_s


def _idle_s() -> float:
    """Of all cores together since boot, waiting for disks included."""
    fields = _read("/proc/stat").partition(b"\n")[0].split()
    return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")


def _used_s(pid: int) -> float:
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _read(path: str) -> bytes:
    """The beginning of a file that the kernel makes up when it is read; looked at fifty times a second."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 4096)
    finally:
        os.close(fd)
