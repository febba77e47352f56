"""Throughput over time as SVG, by hand: a panel of rates, ours dark, and below it a panel of our lanes (pure)."""

from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

from perf.chart import OURS_FILL, PEER_FILL, QUIET, TEXT

WIDTH, LEFT, RIGHT, TOP, RATES, GAP, LANES = 760, 70, 110, 66, 190, 26, 70
HEIGHT = TOP + RATES + GAP + LANES + 50
STEPS = 40
"""Rates are averages over so many equal parts of the longest run."""
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Curve:
    """One run: (seconds, bytes) of its file's growth."""

    label: str
    written: Points
    is_ours: bool = False


def rates(written: Points, step_s: float) -> Points:
    """(seconds, bytes a second) of each step, at its end."""
    found, at, before = [], step_s, 0.0
    while written and at < written[-1][0] + step_s:
        now = value_at(written, at)
        found.append((at, (now - before) / step_s))
        at, before = at + step_s, now
    return found


def value_at(points: Points, at: float) -> float:
    """The value at a moment, between two points in proportion; the last one after the end."""
    for (t0, v0), (t1, v1) in pairwise(points):
        if t0 <= at < t1:
            return v0 + (v1 - v0) * (at - t0) / (t1 - t0)
    return points[-1][1]


def curves(title: str, subtitle: str, runs: list[Curve], lanes: Points) -> str:
    """The chart; title states the finding. lanes: (seconds, how many) of ours."""
    end_s = max((run.written[-1][0] for run in runs), default=1.0)
    drawn = {run.label: rates(run.written, end_s / STEPS) for run in runs}
    most = max((rate for points in drawn.values() for _, rate in points), default=1.0) or 1.0
    most_lanes = max((count for _, count in lanes), default=1.0) or 1.0
    across, floor = (WIDTH - LEFT - RIGHT) / end_s, TOP + RATES
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui, sans-serif" font-size="13" role="img">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _text(14, 26, title, TEXT, 'font-size="16" font-weight="600"'),
        _text(14, 47, subtitle, QUIET),
        _text(8, TOP + 12, f"{most / 1e6:.0f} MB/s", QUIET),
        _text(8, floor, "0", QUIET),
    ]
    for run in sorted(runs, key=lambda run: run.is_ours):
        colour, points = OURS_FILL if run.is_ours else PEER_FILL, drawn[run.label]
        parts.append(_line(points, across, floor, RATES / most, colour, 2.4 if run.is_ours else 1.4))
        if points:
            x, y = LEFT + min(points[-1][0], end_s) * across, floor - points[-1][1] * RATES / most
            parts.append(_text(x + 4, y, run.label, TEXT if run.is_ours else QUIET))
    base = floor + GAP + LANES
    parts += [
        _text(8, floor + GAP + 12, f"{most_lanes:.0f} lanes", QUIET),
        _line(stairs(lanes), across, base, LANES / most_lanes, OURS_FILL, 1.6),
        _text(LEFT, base + 20, "0 s", QUIET),
        _text(LEFT + end_s * across, base + 20, f"{end_s:.1f} s", QUIET, 'text-anchor="end"'),
        "</svg>\n",
    ]
    return "\n".join(parts)


def stairs(points: Points) -> Points:
    """A number that stays until the next one comes."""
    steps = [step for (_, before), (at, now) in pairwise(points) for step in ((at, before), (at, now))]
    return [*points[:1], *steps]


def _line(points: Points, across: float, floor: float, up: float, colour: str, width: float) -> str:
    places = " ".join(f"{LEFT + at * across:.1f},{floor - value * up:.1f}" for at, value in points)
    return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _text(x: float, y: float, text: str, fill: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}" {more}>{escape(text)}</text>'
