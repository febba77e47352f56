"""Two results side by side: the figures to reach first, then every figure that both have (pure).

Of two commits that were measured on different days, ratios to a peer of the same run say more than seconds do.
"""

from collections.abc import Iterator

from perf import findings, results, targets
from perf.results import Block, Result
from perf.sheet import shown

KEYS = {
    "wall_s": ("wall time", "s"),
    "cpu_s_per_gib": ("CPU time a GiB", "s"),
    "peak_pss_bytes": ("peak PSS", "B"),
    "steady_bytes_s": ("steady rate", "B/s"),
    "tail_s": ("last 5 %", "s"),
    "after_s": ("last byte to exit", "s"),
    "hash_s": ("hashing after the last byte", "s"),
    "discarded_bytes": ("thrown away", "B"),
    "refetched_share": ("refetched / (lanes x segment)", "x"),
    "first_request_s": ("first request", "s"),
}
TO_PEER = ("wall_s", "cpu_s_per_gib", "peak_pss_bytes")
"""Of these ours is also shown as a ratio to the best peer of the same run."""


def lines(old: Result, new: Result) -> Iterator[str]:
    """Tables for the terminal; a figure that one of them lacks is shown as a dash, never as a gain."""
    yield f"old: {_label(old)}"
    yield f"new: {_label(new)}"
    if old["machine"] != new["machine"]:
        yield "THE MACHINES DIFFER: ratios between tools can be compared, seconds cannot."
    yield ""
    yield from _targets(old, new)
    yield ""
    yield f"{'scenario':16} {'tool':17} {'figure':30} {'old':>10} {'new':>10} {'new/old':>8}"
    for scenario in dict.fromkeys([*old["scenarios"], *new["scenarios"]]):
        before, after = results.block(old, scenario), results.block(new, scenario)
        for tool in dict.fromkeys([*_tools(before), *_tools(after)]):
            yield from _rows(scenario, tool, before, after)


def _targets(old: Result, new: Result) -> Iterator[str]:
    """What either has measured, and how the verdict changed."""
    yield f"{'scenario':16} {'figure to reach':72} {'bound':>12} {'old':>10} {'new':>10}"
    for one, two in zip(targets.judge(old), targets.judge(new), strict=True):
        if one.verdict == two.verdict == "unmeasured":
            continue
        target = one.target
        bound = f"{'>=' if target.at_least else '<='} {shown(target.bound, target.unit)}"
        values = f"{_shown(one.value, target.unit)} {_shown(two.value, target.unit)}"
        change = two.verdict if one.verdict == two.verdict else f"{one.verdict} -> {two.verdict}"
        yield f"{target.scenario:16} {target.figure.text[:72]:72} {bound:>12} {values}  {change}"


def _rows(scenario: str, tool: str, before: Block | None, after: Block | None) -> Iterator[str]:
    for key, (title, unit) in KEYS.items():
        yield from _row(scenario, tool, title, unit, _figure(before, tool, key), _figure(after, tool, key))
        if key in TO_PEER and findings.is_ours(tool):
            ratios = _to_peer(before, tool, key), _to_peer(after, tool, key)
            yield from _row(scenario, tool, f"{title} / best peer", "x", *ratios)


def _row(
    scenario: str, tool: str, title: str, unit: str, one: float | None, two: float | None
) -> Iterator[str]:
    if one is None and two is None:
        return
    ratio = f"{two / one:8.2f}" if one and two is not None else f"{'-':>8}"
    yield f"{scenario:16} {tool:17} {title:30} {_shown(one, unit)} {_shown(two, unit)} {ratio}"


def _figure(block: Block | None, tool: str, key: str) -> float | None:
    if block is None or (key == "cpu_s_per_gib" and block["size_bytes"] < 1 << 29):
        return None
    return results.median(block, tool, key)


def _to_peer(block: Block | None, tool: str, key: str) -> float | None:
    ours, rivals = _figure(block, tool, key), findings.peers(block, key) if block else []
    return ours / rivals[0][1] if ours is not None and rivals and rivals[0][1] else None


def _tools(block: Block | None) -> list[str]:
    return list(block["commands"]) if block else []


def _shown(value: float | None, unit: str) -> str:
    return f"{'-' if value is None else shown(value, unit):>10}"


def _label(result: Result) -> str:
    changed = " + uncommitted changes" if result["uncommitted_changes"] else ""
    return (
        f"{result['name']} (commit {result['commit'][:12]}{changed}, {result['mode']}, {result['started']})"
    )
