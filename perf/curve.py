"""Throughput over time: a panel of rates, ours green, and below it a panel of our lanes (pure)."""

from dataclasses import dataclass
from itertools import pairwise

from perf.sheet import LINES, WIDTH, sheet, text, ticks, top

LEFT, RIGHT, RATES, GAP, LANES = 76, 30, 190, 40, 64
STEPS = 40
"""Rates are averages over so many equal parts of the longest run."""
MEGA = 1_000_000
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Curve:
    """One run: (seconds, bytes) of its file's growth."""

    label: str
    written: Points
    is_ours: bool = False


@dataclass(frozen=True)
class Panel:
    """A field of the chart: its floor, and pixels for each second and each unit upwards."""

    floor: float
    across: float
    up: float

    def places(self, points: Points) -> str:
        return " ".join(
            f"{LEFT + at * self.across:.1f},{self.floor - value * self.up:.1f}" for at, value in points
        )

    def line(self, points: Points, kind: str) -> str:
        return f'<polyline class="{kind}" points="{self.places(points)}"/>'

    def area(self, points: Points, kind: str) -> str:
        if not points:
            return ""
        closed = [(points[0][0], 0.0), *points, (points[-1][0], 0.0)]
        return f'<polygon class="{kind} area" points="{self.places(closed)}"/>'

    def grid(self, values: list[float], words: list[str]) -> list[str]:
        """A line and its words for each value."""
        drawn = []
        for value, said in zip(values, words, strict=True):
            y = self.floor - value * self.up
            drawn.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            drawn.append(text(LEFT - 8, y + 4, said, "quiet small", "end"))
        return drawn


def curves(title: str, subtitle: str, runs: list[Curve], lanes: Points) -> str:
    """The chart; title states the finding. lanes: (seconds, how many) of ours."""
    end_s = max((run.written[-1][0] for run in runs), default=1.0)
    drawn = {run.label: rates(run.written, end_s / STEPS) for run in runs}
    marks = ticks(max((rate for points in drawn.values() for _, rate in points), default=MEGA) or MEGA)
    counts = ticks(max((count for _, count in lanes), default=1.0), 2)
    across = (WIDTH - LEFT - RIGHT) / end_s
    start = top(title, subtitle) + 26
    above = Panel(start + RATES, across, RATES / marks[-1])
    below = Panel(above.floor + GAP + LANES, across, LANES / counts[-1])
    kinds = _kinds(runs)
    parts = [
        *_legend(runs, kinds, start - 18),
        *above.grid(marks, [f"{value / MEGA:.0f}{' MB/s' if value else ''}" for value in marks]),
        *[above.area(drawn[run.label], "ours") for run in runs if run.is_ours],
        *[
            above.line(drawn[run.label], kinds[run.label])
            for run in sorted(runs, key=lambda run: run.is_ours)
        ],
    ]
    if lanes:
        until = max((run.written[-1][0] for run in runs if run.is_ours), default=end_s)
        held = stairs([(min(at, until), count) for at, count in [*lanes, (until, lanes[-1][1])]])
        parts += [
            text(LEFT, above.floor + GAP - 10, "lanes of ours", "quiet small"),
            *below.grid(counts, [f"{value:g}" for value in counts]),
            below.area(held, "ours"),
            below.line(held, "ours"),
        ]
    floor = below.floor if lanes else above.floor
    parts += [
        text(LEFT + at * across, floor + 18, f"{at:g} s", "quiet small", "middle")
        for at in ticks(end_s, 6)
        if at <= end_s * 1.001
    ]
    return sheet(title, subtitle, parts, floor + 26)


def _kinds(runs: list[Curve]) -> dict[str, str]:
    """A colour for each; more peers than there are colours share the last one."""
    peers = [run.label for run in runs if not run.is_ours]
    of_peers = {label: f"line-{min(index, LINES)}" for index, label in enumerate(peers, 1)}
    return of_peers | {run.label: "ours" for run in runs if run.is_ours}


def _legend(runs: list[Curve], kinds: dict[str, str], y: float) -> list[str]:
    drawn, x = [], float(LEFT)
    for run in sorted(runs, key=lambda run: not run.is_ours):
        drawn.append(
            f'<line class="{kinds[run.label]}" x1="{x:.0f}" x2="{x + 18:.0f}" y1="{y}" y2="{y}" stroke-width="3"/>'
        )
        drawn.append(text(x + 24, y + 4.5, run.label, "strong" if run.is_ours else ""))
        x += 48 + 8 * len(run.label)
    return drawn


def rates(written: Points, step_s: float) -> Points:
    """(seconds, bytes a second) of each step, at its end; the last one ends with the run and is half to 1.5 long."""
    found, at, before = [(0.0, 0.0)], 0.0, 0.0
    end = written[-1][0] if written else 0.0
    while at < end:
        until = end if end - at < 1.5 * step_s else at + step_s
        now = value_at(written, until)
        found.append((until, (now - before) / (until - at)))
        at, before = until, now
    return found


def value_at(points: Points, at: float) -> float:
    """The value at a moment, between two points in proportion; the last one after the end."""
    for (t0, v0), (t1, v1) in pairwise(points):
        if t0 <= at < t1:
            return v0 + (v1 - v0) * (at - t0) / (t1 - t0)
    return points[-1][1]


def stairs(points: Points) -> Points:
    """A number that stays until the next one comes."""
    steps = [step for (_, before), (at, now) in pairwise(points) for step in ((at, before), (at, now))]
    return [*points[:1], *steps]
