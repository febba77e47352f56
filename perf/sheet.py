"""The sheet that charts are drawn on: SVG by hand, light or dark as the reader's screen is (pure).

A chart stands in pages of either ground, and cannot know which: so it brings a ground of its own, and its colours
fit that one.
"""

import math
import textwrap
from xml.sax.saxutils import escape

WIDTH, MARGIN = 760, 20
TITLE_LETTERS, SUBTITLE_LETTERS = 68, 106
"""What fits into a line of each."""
FONTS = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', sans-serif"

LIGHT = {
    "ground": "#ffffff",
    "edge": "#d1d9e0",
    "ink": "#1f2328",
    "quiet": "#59636e",
    "grid": "#e4e8ec",
    "ours": "#0b7a55",
    "peer": "#b4c0ca",
    "line-1": "#d9730d",
    "line-2": "#3b76c4",
    "line-3": "#9a5bb5",
    "line-4": "#7d8790",
}
DARK = {
    "ground": "#12171e",
    "edge": "#3d444d",
    "ink": "#f0f6fc",
    "quiet": "#9198a1",
    "grid": "#2a313a",
    "ours": "#2fb583",
    "peer": "#55616d",
    "line-1": "#f0993e",
    "line-2": "#6ea8f0",
    "line-3": "#c48ada",
    "line-4": "#8b949e",
}
LINES = 4
"""So many colours there are for lines of peers."""


def sheet(title: str, subtitle: str, parts: list[str], height: float, note: str = "") -> str:
    """A whole SVG. title states the finding; parts begin below top() and end at height; then the note."""
    lines = _wrapped(title, TITLE_LETTERS)
    below = _wrapped(subtitle, SUBTITLE_LETTERS)
    full = height + (26 if note else 0) + 10
    head = [text(MARGIN, 34 + 22 * row, line, "title") for row, line in enumerate(lines)]
    head += [text(MARGIN, 34 + 22 * len(lines) + 18 * row, line, "quiet") for row, line in enumerate(below)]
    foot = [text(MARGIN, height + 16, note, "quiet small")] if note else []
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{full:.0f}" '
            f'viewBox="0 0 {WIDTH} {full:.0f}" role="img" aria-label="{escape(title, {chr(34): "&quot;"})}">',
            f"<style>{_style()}</style>",
            f'<rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{full - 1:.0f}" rx="8"/>',
            *head,
            *parts,
            *foot,
            "</svg>\n",
        ]
    )


def top(title: str, subtitle: str) -> float:
    """Where the chart begins below its title and subtitle."""
    return 32 + 22 * len(_wrapped(title, TITLE_LETTERS)) + 18 * len(_wrapped(subtitle, SUBTITLE_LETTERS))


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """Words on their base line. kind: classes, of title, quiet, small, strong."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def ticks(most: float, count: int = 4) -> list[float]:
    """Round numbers from zero to at least most, about count of them: steps of 1, 2 or 5."""
    rough = most / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]


def shown(value: float, unit: str) -> str:
    """A value for people: three figures or so. Units: s, x (a ratio), B (bytes, shown as MiB), B/s (shown as MB/s)."""
    if unit == "B/s":
        return f"{value / 1_000_000:.0f} MB/s"
    if unit == "B":
        return f"{value / (1 << 20):.0f} MiB"
    if unit == "x":
        return f"{value:.2f}"
    return f"{value:.{2 if value >= 0.995 else 3}f} {unit}" if unit == "s" else f"{value:.0f} {unit}"


def _wrapped(words: str, letters: int) -> list[str]:
    return textwrap.wrap(words, letters)


def _style() -> str:
    base = (
        f"text{{font-family:{FONTS};font-size:13px}} .title{{font-size:17px;font-weight:600}} "
        ".halo{paint-order:stroke;stroke-width:4px;stroke-linejoin:round} "
        ".small{font-size:11px} .strong{font-weight:700} .area{fill-opacity:.12} "
        "polyline{fill:none;stroke-width:1.6;stroke-linejoin:round}"
    )
    return f"{base} {_colours(LIGHT)} @media (prefers-color-scheme: dark){{{_colours(DARK)}}}"


def _colours(of: dict[str, str]) -> str:
    lines = " ".join(
        f"polyline.line-{n},line.line-{n}{{stroke:{of[f'line-{n}']}}}" for n in range(1, LINES + 1)
    )
    return (
        f"text{{fill:{of['ink']}}} .quiet{{fill:{of['quiet']}}} "
        f".ground{{fill:{of['ground']};stroke:{of['edge']}}} .grid{{stroke:{of['grid']}}} "
        f".halo{{stroke:{of['ground']}}} .ours{{fill:{of['ours']}}} .peer{{fill:{of['peer']}}} "
        f".limit{{fill:none;stroke:{of['quiet']};stroke-dasharray:5 3}} "
        f".dot{{fill:{of['ground']};stroke:{of['ink']};stroke-width:1.2}} "
        f".goal{{stroke:{of['ink']};stroke-width:1.4;stroke-dasharray:4 3}} "
        f"polyline.ours,line.ours{{fill:none;stroke:{of['ours']};stroke-width:2.6}} {lines}"
    )
