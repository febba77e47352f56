"""A run watched from beside: how much of the file lies on the disk at which moment, and what our events tell.

What a tool has written is seen in the blocks of its folder, so it works for every tool. Our own commands also tell
how many lanes are at work, and what came after the last byte. Watched runs give no times.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from perf.curve import value_at
from perf.measure import Exit, Run, beside
from perf.payload import allocated_bytes

EVERY_S = 0.02
POINTS = 200
"""At most so many are kept of each series."""
TAIL_SHARE = 0.95
WINDOW_S = 10.0

Series = list[tuple[float, float]]


def traced(
    argv: list[str], env: dict[str, str], log: Path, timeout_s: float, folder: Path, size_bytes: int
) -> tuple[Exit, dict[str, Any]]:
    """Run argv to its end. The facts: `written` and `lanes`, series of (seconds, value), and what derive() says."""
    run = Run(argv, env, log)
    written: Series = [(0.0, 0)]
    events = _Events(log)

    def look() -> None:
        now = run.age_s
        written.append((now, min(allocated_bytes(folder), size_bytes)))
        events.read(now)

    with beside(look, EVERY_S):
        done = run.wait(timeout_s)
    events.read(done.wall_s)
    written.append((done.wall_s, size_bytes if done.code == 0 else written[-1][1]))
    facts = {"written": thinned(written), "lanes": thinned(events.lanes), **events.last}
    return done, facts | derive(written, size_bytes)


class _Events:
    """Our events, one line of JSON each, stamped when they are read."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._offset = 0
        self.lanes: Series = []
        self.last: dict[str, float] = {}
        """Of the file's last event: hash_s, fetched and discarded bytes."""

    def read(self, now: float) -> None:
        """Take in the whole lines that have come since."""
        with self._log.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            if line.startswith(b"{"):
                self._take(json.loads(line), now)

    def _take(self, event: dict[str, Any], now: float) -> None:
        if event["event"] == "progress":
            self.lanes.append((now, event["lanes"]))
        elif event["event"] == "file":
            self.last = {key: event[key] for key in ("hash_s", "fetched_bytes", "discarded_bytes")}


def derive(written: Series, size_bytes: int) -> dict[str, float]:
    """steady_bytes_s: the rate from a quarter to three quarters of the file; tail_s: from 95 % of it to the exit;
    after_s: from the moment when all of it was seen on the disk to the exit, which is the last sample;
    window_bytes: what came in ten seconds, from one second after the first byte on, in runs that are so long."""
    return _rates(written, size_bytes) | _window(written)


def _window(written: Series) -> dict[str, float]:
    start = (reached(written, 1) or 0.0) + 1.0
    if written[-1][0] < start + WINDOW_S:
        return {}
    return {"window_bytes": value_at(written, start + WINDOW_S) - value_at(written, start)}


def _rates(written: Series, size_bytes: int) -> dict[str, float]:
    quarter, late, tail = (reached(written, share * size_bytes) for share in (0.25, 0.75, TAIL_SHARE))
    if quarter is None or late is None or tail is None or late <= quarter:
        return {}
    exit_s = written[-1][0]
    whole = reached(written[:-1], size_bytes)
    facts = {"steady_bytes_s": size_bytes / 2 / (late - quarter), "tail_s": exit_s - tail}
    return facts | ({"after_s": exit_s - whole} if whole is not None else {})


def reached(series: Series, value: float) -> float | None:
    """When a growing series came to the value, between two samples in proportion; None if it never did."""
    for (t0, v0), (t1, v1) in pairwise(series):
        if v1 >= value:
            return t0 if v1 <= v0 else t0 + (t1 - t0) * max(0.0, value - v0) / (v1 - v0)
    return None


def thinned(series: Series) -> list[list[float]]:
    """Every n-th point and the last one, rounded to milliseconds."""
    step = max(1, -(-len(series) // POINTS))
    kept = series[::step] + (series[-1:] if (len(series) - 1) % step else [])
    return [[round(at, 3), value] for at, value in kept]
