"""Horizontal bars as SVG, by hand: a bar is a median, a dot is a round, ours is the dark one (pure)."""

from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, TOP, ROW = 760, 150, 110, 66, 30
OURS_FILL, PEER_FILL, DOT, TEXT, QUIET = "#0b6e4f", "#b8c4cc", "#22303a", "#22303a", "#5d6b75"

LEGEND = "bar: median, dot: one round, dark: ours, shorter is better"


@dataclass(frozen=True)
class Bar:
    """One tool: its rounds in the chart's unit; none means unmeasured, and note says why."""

    label: str
    values: tuple[float, ...]
    median: float | None
    is_ours: bool = False
    note: str = ""


def bars(title: str, subtitle: str, rows: list[Bar], unit: str) -> str:
    """The chart. title states the finding, subtitle what was done; values are drawn from zero."""
    height = TOP + ROW * len(rows) + 34
    largest = max((value for row in rows for value in row.values), default=1.0) or 1.0
    scale = (WIDTH - LEFT - RIGHT) / largest
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="13" '
        f'role="img" aria-label="{_quoted(title)}">'
    )
    parts = [
        head,
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(14, 26, title, TEXT, 'font-size="16" font-weight="600"'),
        _text(14, 47, subtitle, QUIET),
        *(_row(row, TOP + ROW * index, scale, unit) for index, row in enumerate(rows)),
        _text(14, height - 12, LEGEND, QUIET, 'font-size="11"'),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _row(row: Bar, top: float, scale: float, unit: str) -> str:
    base = top + ROW / 2 + 4
    weight = 'font-weight="700"' if row.is_ours else ""
    label = _text(LEFT - 10, base, row.label, TEXT, f'text-anchor="end" {weight}')
    if row.median is None:
        return label + _text(LEFT, base, f"unmeasured: {row.note}", QUIET, 'font-style="italic"')
    end = LEFT + max([row.median, *row.values]) * scale
    bar = (
        f'<rect x="{LEFT}" y="{top + 5:.1f}" width="{row.median * scale:.1f}" height="{ROW - 10}" rx="2" '
        f'fill="{OURS_FILL if row.is_ours else PEER_FILL}"/>'
    )
    dots = "".join(_dot(LEFT + value * scale, top + ROW / 2) for value in row.values)
    return label + bar + dots + _text(end + 10, base, shown(row.median, unit), TEXT, weight)


def _dot(x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{DOT}" fill-opacity="0.75"/>'


def _text(x: float, y: float, text: str, fill: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}" {more}>{escape(text)}</text>'


def shown(value: float, unit: str) -> str:
    """A value for people: three figures or so. Units: s, x (a ratio), B (bytes, shown as MiB), B/s (shown as MB/s)."""
    if unit == "B/s":
        return f"{value / 1_000_000:.0f} MB/s"
    if unit == "B":
        return f"{value / (1 << 20):.0f} MiB"
    if unit == "x":
        return f"{value:.2f}"
    return f"{value:.{2 if value >= 0.995 else 3}f} {unit}" if unit == "s" else f"{value:.0f} {unit}"


def _quoted(text: str) -> str:
    return escape(text, {'"': "&quot;"})
