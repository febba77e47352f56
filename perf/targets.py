"""The figures to reach: a table of (scenario, bound, expression), judged over a result (pure).

A row is met, missed or unmeasured. Unmeasured is everything that would otherwise be a win by default: a peer that is
not there, a scenario that was not run, another size than the row is about. A wrong output of ours is a miss.
"""

from collections.abc import Callable
from dataclasses import dataclass

from perf import results, scenarios
from perf.results import Block, Result
from perf.tools import OURS

MIB, MB = 1 << 20, 1_000_000


WORDS = {
    "wall_s": "time",
    "cpu_s_per_gib": "CPU seconds a GiB",
    "peak_pss_bytes": "peak memory",
    "hash_s": "hashing after the last byte",
    "steady_bytes_s": "steady rate",
    "discarded_bytes": "bytes thrown away",
    "refetched_share": "segments a lane fetched again",
    "first_request_s": "time to the first request",
}


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
    return Figure(f"{WORDS[key]} of {tool}", tool, ((tool, key),), lambda block: _median(block, tool, key))


def worst(key: str, tool: str = OURS) -> Figure:
    """Our largest value of key over all runs: for promises that hold each time, not on average."""
    return Figure(
        f"worst {WORDS[key]} of {tool}",
        tool,
        ((tool, key),),
        lambda block: max(results.values(block, tool, key)),
    )


def against(*peers: str, key: str = "wall_s", tool: str = OURS) -> Figure:
    """Our median over the smallest of the peers' medians; of a peer's variants ("aria2 -x4") the best counts."""
    whose, best = "" if tool == OURS else f" of {tool}", "best of " if len(peers) > 1 else ""
    return Figure(
        f"{WORDS[key]}{whose} / {best}{', '.join(peers)}",
        tool,
        tuple((name, key) for name in (tool, *peers)),
        lambda block: _median(block, tool, key) / min(_best(block, peer, key) for peer in peers),
    )


def exactly(peer: str, key: str = "wall_s", tool: str = OURS) -> Figure:
    """Our median over that of the peer in just this variant."""
    return Figure(
        f"{WORDS[key]} / {peer}",
        tool,
        ((tool, key), (peer, key)),
        lambda block: _median(block, tool, key) / _median(block, peer, key),
    )


def beyond(tool: str, other: str, key: str) -> Figure:
    """How much more of key the tool's worst run has than the other's median."""
    return Figure(
        f"{WORDS[key]} of {tool} beyond that of {other}",
        tool,
        ((tool, key), (other, key)),
        lambda block: max(results.values(block, tool, key)) - _median(block, other, key),
    )


def to_link(tool: str = OURS) -> Figure:
    """Our median over the time that the link needs for the size at its cap."""
    return Figure(
        "time / (size / cap)",
        tool,
        ((tool, "wall_s"),),
        lambda block: _median(block, tool, "wall_s") * block["cap_bytes_s"] / block["size_bytes"],
    )


def to_limit(tool: str) -> Figure:
    """What came in ten seconds over what was allowed."""
    return Figure(
        "bytes in 10 s / (10 s x limit)",
        tool,
        ((tool, "window_bytes"),),
        lambda block: _median(block, tool, "window_bytes") / (10 * block["limit_bytes_s"]),
    )


@dataclass(frozen=True)
class Target:
    """At most bound, or at least, in unit ("x" is a ratio)."""

    scenario: str
    bound: float
    unit: str
    figure: Figure
    at_least: bool = False

    @property
    def sense(self) -> str:
        return "at least" if self.at_least else "at most"

    def is_met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


FASTEST_PEERS = ("curl", "aria2", "rclone", "hf_transfer", "wget2", "axel")
TARGETS = (
    Target("http-2g-nohash", 0.60, "x", against(*FASTEST_PEERS)),
    Target("tls-2g-nohash", 0.80, "x", against(*FASTEST_PEERS)),
    Target("http-2g-nohash", 1.0, "s", own("cpu_s_per_gib")),
    Target("http-2g-nohash", 1.05, "x", against(*FASTEST_PEERS, key="cpu_s_per_gib")),
    Target("http-2g-sha256", 0.50, "x", exactly("aria2")),
    Target("tls-2g-sha256", 0.65, "x", exactly("aria2")),
    Target("cap-500m", 1.05, "x", exactly("jarvis --hash none")),
    Target("capped-40m", 1.05, "x", exactly("hf_transfer 64")),
    Target("capped-40m", 0.70, "x", exactly("aria2")),
    Target("capped-40m", 1 / 3, "x", exactly("hf_transfer 64", key="peak_pss_bytes")),
    Target("unequal", 0.60, "x", exactly("aria2")),
    Target("unequal", 0.15, "x", against("hf_transfer")),
    Target("unequal", 32 * MIB, "B", worst("discarded_bytes")),
    Target("stall", 1.10, "x", exactly("jarvis unstalled")),
    Target("stall", 32 * MIB, "B", worst("discarded_bytes")),
    Target("cap-1gbit", 1.03, "x", to_link()),
    Target("cap-1gbit", 0.2, "s", worst("hash_s")),
    Target("far-8", 0.90 * 400 * MB, "B/s", own("steady_bytes_s", "jarvis -c 8"), at_least=True),
    Target("many", 2.5, "x", against("aria2 -i", tool="jarvis pull hf.co")),
    Target("many", 2.5, "x", against("aria2 -i", tool="jarvis pull -d")),
    Target("many-20ms", 1.0, "x", against("aria2 -i", tool="jarvis pull hf.co")),
    Target("many-20ms", 1.0, "x", against("aria2 -i", tool="jarvis pull -d")),
    Target("memory-1g", 150 * MIB, "B", worst("peak_pss_bytes", "jarvis -c 16")),
    Target("memory-1g", 40 * MIB, "B", beyond("jarvis -c 64", "jarvis -c 16", "peak_pss_bytes")),
    Target("memory-20g", 150 * MIB, "B", worst("peak_pss_bytes", "jarvis -c 16")),
    Target("memory-20g", 40 * MIB, "B", beyond("jarvis -c 64", "jarvis -c 16", "peak_pss_bytes")),
    Target("tiny", 0.30, "s", own("wall_s")),
    Target("help", 0.2, "s", own("wall_s", "jarvis --help")),
    Target("kill-resume", 1.0, "x", worst("refetched_share")),
    Target("kill-resume", 1.0, "s", worst("first_request_s")),
    *(
        Target(name, bound, "x", to_limit(f"jarvis at {rate // MB}MB/s"), at_least=bound < 1)
        for name, rate in scenarios.LIMITS.items()
        for bound in (0.97, 1.03)
    ),
)


def asked(scenario: str, targets: tuple[Target, ...] = TARGETS) -> set[tuple[str, str]]:
    """(tool, kind of run) of everything that the scenario's targets need."""
    needs = (need for target in targets if target.scenario == scenario for need in target.figure.needs)
    return {(tool, results.kind_of_run(key)) for tool, key in needs}


def goal(
    block: Block, scenario: str, tool: str, key: str, targets: tuple[Target, ...] = TARGETS
) -> float | None:
    """The largest median of key with which the tool would meet every "at most" of its targets; None: there is none."""
    found = (
        _goal(block, target)
        for target in targets
        if target.scenario == scenario and not target.at_least and target.figure.needs[0] == (tool, key)
    )
    return min((value for value in found if value is not None), default=None)


def _goal(block: Block, target: Target) -> float | None:
    needs = target.figure.needs
    if any(results.median(block, name, key) is None for name, key in needs):
        return None
    if target.unit == "x":
        return target.bound * _median(block, *needs[0]) / target.figure.compute(block)
    return target.bound if len(needs) == 1 else None


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
    return Verdict(target, value, "met" if target.is_met(value) else "missed")


def _best(block: Block, peer: str, key: str) -> float:
    variants = [name for name in block["commands"] if name == peer or name.startswith(f"{peer} ")]
    return min(found for name in variants if (found := results.median(block, name, key)) is not None)


def _median(block: Block, tool: str, key: str) -> float:
    found = results.median(block, tool, key)
    if found is None:
        raise LookupError(f"{tool} has no {key}")
    return found
