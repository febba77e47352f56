"""The chart for people who choose a tool: ours beside its fastest rivals, one panel for each kind of link (pure)."""

from dataclasses import dataclass

from perf import findings, results
from perf.chart import bar
from perf.results import Block, Result
from perf.sheet import MARGIN, WIDTH, sheet, shown, text, top
from perf.tools import OURS

CASES = {
    "http-2g-nohash": "2 GiB over HTTP",
    "tls-2g-nohash": "2 GiB over TLS",
    "http-2g-sha256": "2 GiB over HTTP, SHA-256 verified",
    "capped-40m": "1 GiB, each connection capped at 40 MB/s",
    "unequal": "1 GiB, edges of unequal speed",
    "many-20ms": "1,000 files of 100 KiB, 20 ms away",
}
BASELINES = ("single",)
"""What nobody would pick as a tool."""
RIVALS = 4
NOTE = (
    f"the {RIVALS} fastest peers, with their best settings; "
    "jarvis hashes in all but the first two, others only where it says verified"
)
COLUMNS, GAP, LABEL, VALUE, HEAD, ROW = 2, 36, 88, 58, 46, 23

_ALIKE = 0.02
"""Less than this between two medians is neither's lead."""


@dataclass(frozen=True)
class Case:
    """A panel: (tool, seconds) of ours and of its fastest rivals, each with its best settings."""

    title: str
    ours_s: float
    rivals: list[tuple[str, float]]

    @property
    def times(self) -> float:
        """As fast as the fastest rival."""
        return self.rivals[0][1] / self.ours_s

    @property
    def is_ahead(self) -> bool:
        return self.times > 1 + _ALIKE

    @property
    def finding(self) -> str:
        name, _ = self.rivals[0]
        times = max(self.times, 1 / self.times)
        if times <= 1 + _ALIKE:
            return f"{OURS} is as fast as {name}"
        said = f"{times:.{2 if times < 2 else 1}f} times as fast as"
        return f"{OURS} is {said} {name}" if self.is_ahead else f"{name} is {said} {OURS}"


def cases(result: Result) -> list[Case]:
    """What was measured as it should be, of all that the overview is about."""
    blocks = ((title, results.block(result, name)) for name, title in CASES.items())
    found = [_case(title, block) for title, block in blocks if block and block["as_specified"]]
    return [case for case in found if case is not None]


def headline(found: list[Case]) -> str:
    ahead = sum(case.is_ahead for case in found)
    return f"{OURS} is the fastest in {ahead} of {len(found)} cases"


def overview(result: Result) -> str:
    """The chart. Raises ValueError where there is nothing to show."""
    found = cases(result)
    if not found:
        raise ValueError("the result has none of the overview's scenarios")
    title, machine = headline(found), result["machine"]
    rounds = min(result["scenarios"][name]["rounds"] for name in CASES if name in result["scenarios"])
    subtitle = (
        f"Seconds from start to exit, shorter is better. Medians of {rounds} alternating rounds or more, "
        f"{machine['cores']} cores, nginx on the same machine; commit {result['commit'][:7]}."
    )
    width = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * GAP) / COLUMNS
    parts, y = [], top(title, subtitle) + 8
    for row in (found[first : first + COLUMNS] for first in range(0, len(found), COLUMNS)):
        for column, case in enumerate(row):
            parts += _panel(case, MARGIN + column * (width + GAP), y, width)
        y += HEAD + (1 + max(len(case.rivals) for case in row)) * ROW + 20
    return sheet(title, subtitle, parts, y - 4, NOTE)


def _case(title: str, block: Block) -> Case | None:
    ours_s = results.median(block, findings.ours_in(block), "wall_s")
    best: dict[str, float] = {}
    for tool, wall_s in findings.peers(block, "wall_s"):
        best.setdefault(tool.partition(" ")[0], wall_s)
    rivals = [(name, wall_s) for name, wall_s in best.items() if name not in BASELINES][:RIVALS]
    return Case(title, ours_s, rivals) if ours_s is not None and rivals else None


def _panel(case: Case, x: float, y: float, width: float) -> list[str]:
    rows = sorted([(OURS, case.ours_s), *case.rivals], key=lambda row: row[1])
    scale = (width - LABEL - VALUE) / rows[-1][1]
    drawn = [text(x, y + 16, case.title, "strong"), text(x, y + 34, case.finding, "quiet")]
    for number, (name, wall_s) in enumerate(rows):
        place, weight = y + HEAD + number * ROW, "strong" if name == OURS else ""
        drawn += [
            text(x + LABEL - 8, place + 14, name, weight, "end"),
            bar(x + LABEL, place + 2, wall_s * scale, ROW - 7, "ours" if name == OURS else "peer"),
            text(x + LABEL + wall_s * scale + 7, place + 14, shown(wall_s, "s"), weight),
        ]
    return drawn
