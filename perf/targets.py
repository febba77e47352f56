"""The figures to reach: a table of (scenario, bound, expression), judged over a result (pure).

A row is met, missed or unmeasured. Unmeasured is everything that would otherwise be a win by default: a peer that is
not there, a scenario that was not run, another size than the row is about. A wrong output of ours is a miss.
"""

from collections.abc import Callable
from dataclasses import dataclass

from perf import results
from perf.results import Block, Result
from perf.tools import OURS

MIB = 1 << 20


@dataclass(frozen=True)
class Figure:
    """A number drawn from a scenario's block, and what it is called; the tools must all have been measured."""

    text: str
    ours: str
    needs: tuple[tuple[str, str], ...]
    """(tool, key) of every median that enters."""
    compute: Callable[[Block], float]


def own(key: str, tool: str = OURS) -> Figure:
    """Our median of key."""
    return Figure(f"{tool}: {key}", tool, ((tool, key),), lambda block: _median(block, tool, key))


def worst(key: str, tool: str = OURS) -> Figure:
    """Our largest value of key over all runs: for promises that hold each time, not on average."""
    return Figure(
        f"{tool}: worst {key}", tool, ((tool, key),), lambda block: max(results.values(block, tool, key))
    )


def against(*peers: str, key: str = "wall_s", tool: str = OURS) -> Figure:
    """Our median over the smallest of the peers' medians; of a peer's variants ("aria2 -x4") the best counts."""
    return Figure(
        f"{key} / fastest of {', '.join(peers)}" if len(peers) > 1 else f"{key} / {peers[0]}",
        tool,
        tuple((name, key) for name in (tool, *peers)),
        lambda block: _median(block, tool, key) / min(_best(block, peer, key) for peer in peers),
    )


@dataclass(frozen=True)
class Target:
    """At most bound, in unit ("x" is a ratio)."""

    scenario: str
    bound: float
    unit: str
    figure: Figure


FASTEST_PEERS = ("curl", "aria2", "rclone", "hf_transfer")
TARGETS = (
    Target("http-2g-nohash", 0.75, "x", against(*FASTEST_PEERS)),
    Target("tls-2g-nohash", 0.95, "x", against(*FASTEST_PEERS)),
    Target("http-2g-sha256", 0.65, "x", against("aria2 -x4")),
    Target("tls-2g-sha256", 0.65, "x", against("aria2 -x4")),
    Target("tiny", 0.5, "s", own("wall_s")),
    Target("many", 4.0, "x", against("aria2 -i", tool="jarvis pull -d")),
    Target("many-20ms", 1.1, "x", against("aria2 -i", tool="jarvis pull -d")),
    Target("help", 0.2, "s", own("wall_s", "jarvis --help")),
    Target("memory-1g", 200 * MIB, "B", worst("peak_pss_bytes", "jarvis -c 16")),
    Target("memory-20g", 200 * MIB, "B", worst("peak_pss_bytes", "jarvis -c 16")),
    Target("kill-resume", 1.0, "x", worst("refetched_share")),
    Target("kill-resume", 1.0, "s", worst("first_request_s")),
)


@dataclass(frozen=True)
class Verdict:
    """One row of the report: verdict is "met", "missed" or "unmeasured", note says why where it needs saying."""

    target: Target
    value: float | None
    verdict: str
    note: str = ""


def judge(result: Result, targets: tuple[Target, ...] = TARGETS) -> list[Verdict]:
    return [_judge(target, results.block(result, target.scenario)) for target in targets]


def _judge(target: Target, block: Block | None) -> Verdict:
    figure = target.figure
    if block is None:
        return Verdict(target, None, "unmeasured", "scenario not run")
    if not block["as_specified"]:
        return Verdict(target, None, "unmeasured", f"run with {block['size_bytes']} bytes")
    if wrong := results.problems(block, figure.ours):
        return Verdict(target, None, "missed", f"{len(wrong)} runs of ours failed: {wrong[0]}")
    absent = [tool for tool, key in figure.needs if results.median(block, tool, key) is None]
    if absent:
        return Verdict(
            target, None, "unmeasured", "; ".join(results.why_unmeasured(block, tool) for tool in absent)
        )
    value = figure.compute(block)
    return Verdict(target, value, "met" if value <= target.bound else "missed")


def _best(block: Block, peer: str, key: str) -> float:
    variants = [name for name in block["commands"] if name == peer or name.startswith(f"{peer} ")]
    return min(found for name in variants if (found := results.median(block, name, key)) is not None)


def _median(block: Block, tool: str, key: str) -> float:
    found = results.median(block, tool, key)
    if found is None:
        raise LookupError(f"{tool} has no {key}")
    return found
