"""Horizontal bars: a bar is a median, a dot is a round, ours is the green one (pure)."""

from dataclasses import dataclass

from perf.sheet import WIDTH, sheet, shown, text, top

LEFT, RIGHT, ROW = 164, 96, 30
BASE = ROW / 2 + 4.5
NOTE = "bar: median; dot: one run; green: ours; shorter is better"
LIMIT_NOTE = "; dashed: a bare C loop, no tool"


@dataclass(frozen=True)
class Bar:
    """One tool: its rounds in the chart's unit; none means unmeasured, and note says why."""

    label: str
    values: tuple[float, ...]
    median: float | None
    is_ours: bool = False
    is_limit: bool = False
    """Whether it is no tool but what the machine can do."""
    note: str = ""


def bars(title: str, subtitle: str, rows: list[Bar], unit: str, goal: float | None = None) -> str:
    """The chart. title states the finding, subtitle what was done; values are drawn from zero. goal: for ours."""
    start = top(title, subtitle)
    largest = (
        max([value for row in rows for value in row.values] + ([goal] if goal else []), default=1.0) or 1.0
    )
    scale = (WIDTH - LEFT - RIGHT) / largest
    parts = [_row(row, start + ROW * index, scale) for index, row in enumerate(rows)]
    end = start + ROW * len(rows)
    if goal:
        parts.append(_goal(LEFT + goal * scale, start, end, f"to reach: {shown(goal, unit)}"))
    parts += [_value(row, start + ROW * index, scale, unit) for index, row in enumerate(rows)]
    note = NOTE + LIMIT_NOTE * any(row.is_limit for row in rows)
    return sheet(title, subtitle, parts, end + (20 if goal else 6), note)


def _goal(x: float, start: float, end: float, words: str) -> str:
    line = f'<line class="goal" x1="{x:.1f}" x2="{x:.1f}" y1="{start:.1f}" y2="{end + 4:.1f}"/>'
    return line + text(x, end + 17, words, "quiet small", "middle")


def _row(row: Bar, y: float, scale: float) -> str:
    label = text(LEFT - 10, y + BASE, row.label, "strong" if row.is_ours else "", "end")
    if row.median is None:
        return label
    drawn = bar(
        LEFT,
        y + 5,
        row.median * scale,
        ROW - 10,
        "limit" if row.is_limit else "ours" if row.is_ours else "peer",
    )
    return label + drawn + "".join(_dot(LEFT + value * scale, y + ROW / 2) for value in row.values)


def _value(row: Bar, y: float, scale: float, unit: str) -> str:
    if row.median is None:
        return text(LEFT, y + BASE, f"unmeasured: {row.note}", "quiet halo")
    end = LEFT + max([row.median, *row.values]) * scale
    return text(end + 10, y + BASE, shown(row.median, unit), "halo strong" if row.is_ours else "halo")


def bar(x: float, y: float, width: float, height: float, kind: str) -> str:
    """kind: ours, peer, limit."""
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height:.1f}" rx="2"/>'


def _dot(x: float, y: float) -> str:
    return f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2.8"/>'
