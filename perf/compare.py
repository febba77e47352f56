"""Two results side by side: every figure that both have, and how the second stands to the first (pure)."""

from collections.abc import Iterator

from perf import results
from perf.results import Block, Result

KEYS = {
    "wall_s": "wall s",
    "cpu_s_per_gib": "CPU s/GiB",
    "peak_pss_bytes": "peak PSS MiB",
    "refetched_share": "refetched / (lanes x segment)",
    "first_request_s": "first request s",
}


def lines(old: Result, new: Result) -> Iterator[str]:
    """A table for the terminal; a figure that one of them lacks is shown as a dash, never as a gain."""
    yield f"old: {_label(old)}"
    yield f"new: {_label(new)}"
    if old["machine"] != new["machine"]:
        yield "THE MACHINES DIFFER: ratios between tools can be compared, seconds cannot."
    yield f"{'scenario':16} {'tool':15} {'figure':30} {'old':>9} {'new':>9} {'new/old':>8}"
    for scenario in dict.fromkeys([*old["scenarios"], *new["scenarios"]]):
        before, after = results.block(old, scenario), results.block(new, scenario)
        for tool in dict.fromkeys([*_tools(before), *_tools(after)]):
            yield from _rows(scenario, tool, before, after)


def _rows(scenario: str, tool: str, before: Block | None, after: Block | None) -> Iterator[str]:
    for key, title in KEYS.items():
        one, two = _figure(before, tool, key), _figure(after, tool, key)
        if one is None and two is None:
            continue
        ratio = f"{two / one:8.2f}" if one and two is not None else f"{'-':>8}"
        yield f"{scenario:16} {tool:15} {title:30} {_shown(one, key)} {_shown(two, key)} {ratio}"


def _figure(block: Block | None, tool: str, key: str) -> float | None:
    if block is None or (key == "cpu_s_per_gib" and block["size_bytes"] < 1 << 29):
        return None
    return results.median(block, tool, key)


def _tools(block: Block | None) -> list[str]:
    return list(block["commands"]) if block else []


def _shown(value: float | None, key: str) -> str:
    if value is None:
        return f"{'-':>9}"
    return f"{value / (1 << 20):9.1f}" if key.endswith("_bytes") else f"{value:9.3f}"


def _label(result: Result) -> str:
    changed = " + uncommitted changes" if result["uncommitted_changes"] else ""
    return (
        f"{result['name']} (commit {result['commit'][:12]}{changed}, {result['mode']}, {result['started']})"
    )
