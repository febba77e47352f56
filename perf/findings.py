"""The sentences that titles of charts are, computed from what was measured (pure)."""

from dataclasses import dataclass
from typing import Any

from perf import results
from perf.limit import is_limit
from perf.results import Block
from perf.sheet import shown
from perf.tools import OURS


@dataclass(frozen=True)
class Measure:
    """A figure that has a chart: what a tool does with so much of it, and what the one with least is called."""

    key: str
    unit: str
    does: str
    least: str
    subtitle: str


WALL = Measure("wall_s", "s", "takes {}", "fastest", "wall time, exec to exit")
TAIL = Measure("tail_s", "s", "needs {} for its last 5 %", "fastest", "from 95 % on disk to the exit")
MEMORY = Measure("peak_pss_bytes", "B", "needs {}", "leanest", "peak PSS of all processes")


def is_ours(tool: str) -> bool:
    return tool.partition(" ")[0] == OURS


def ours_in(block: Block) -> str:
    """The one of our commands that the block is about: the first."""
    return next((tool for tool in results.named(block) if is_ours(tool)), OURS)


def peers(block: Block, key: str) -> list[tuple[str, float]]:
    """(name, median) of measured peers, smallest first; what is no downloader is none."""
    rivals = [tool for tool in block["commands"] if not is_ours(tool) and not is_limit(tool)]
    found = [(tool, results.median(block, tool, key)) for tool in rivals]
    return sorted(((tool, figure) for tool, figure in found if figure is not None), key=lambda pair: pair[1])


def finding(block: Block, measure: Measure = WALL) -> str:
    """Where we stand against the best peer; where there is none, against our other command."""
    name, rivals = ours_in(block), peers(block, measure.key)
    ours = results.median(block, name, measure.key)
    if ours is None and rivals:
        best = (
            f"{rivals[0][0]} is the {measure.least} of {len(rivals)} at {shown(rivals[0][1], measure.unit)}"
        )
        return f"{best}; {name} is unmeasured"
    if ours is None:
        return "Nothing measured"
    said = f"{name} {measure.does.format(shown(ours, measure.unit))}"
    if rivals:
        return f"{said}: {_related(ours, *rivals[0])}, the {measure.least} peer"
    others = [(tool, results.median(block, tool, measure.key)) for tool in block["commands"] if tool != name]
    controls = [(tool, figure) for tool, figure in others if figure is not None]
    return f"{said}: {_related(ours, *controls[0])}" if controls else f"{said}; no peer measured"


def growth(block: Block) -> str:
    """Above the curves: the steady rate of ours, with how many lanes, and that of the best peer."""
    name = ours_in(block)
    rate = results.median(block, name, "steady_bytes_s")
    if rate is None:
        return f"{name} was not watched"
    lanes = max((count for _, count in watched(block, name)["lanes"]), default=0)
    said = f"{name} keeps {shown(rate, 'B/s')} over the middle half, with up to {lanes:g} lanes"
    rivals = peers(block, "steady_bytes_s")
    return f"{said}; {rivals[-1][0]} {shown(rivals[-1][1], 'B/s')}" if rivals else said


def watched(block: Block, tool: str) -> dict[str, Any]:
    """The sound watched run of the tool that stands for the others: of steady rates the middle one."""
    runs = sorted(
        results.sound_runs(block, tool, "trace"), key=lambda run: float(run.get("steady_bytes_s", 0))
    )
    return runs[len(runs) // 2]


def _related(ours: float, other: str, figure: float) -> str:
    ratio = ours / figure
    return f"{ratio:.2f} of {other}" if ratio < 1 else f"{ratio:.2f} times {other}"
