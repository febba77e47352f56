"""A result as it lies in JSON, and the questions that targets, report and comparison ask it (pure).

    {"name", "mode", "started", "commit", "machine", "versions", "method",
     "scenarios": {name: {"title", "size_bytes", "as_specified", "tls", "verified", "cap_bytes_s", "limit_bytes_s",
                          "commands": {tool: text}, "missing": {tool: why}, "runs": [run, …]}}}

A run: tool, round, measured ("time", "memory", "trace", "resume"), what was measured, and problem (None when it was
right). Every run is kept; a run with a problem never enters a figure.
"""

import statistics
from typing import Any

Result = dict[str, Any]
Block = dict[str, Any]
GIB = 1 << 30


def block(result: Result, scenario: str) -> Block | None:
    found: Block | None = result["scenarios"].get(scenario)
    return found


def runs(block: Block, tool: str) -> list[dict[str, Any]]:
    return [run for run in block["runs"] if run["tool"] == tool]


def problems(block: Block, tool: str) -> list[str]:
    return [run["problem"] for run in runs(block, tool) if run["problem"]]


def values(block: Block, tool: str, key: str) -> list[float]:
    """What the sound runs of tool measured as key; watched runs are slowed down, so only "time" runs give times."""
    return [_value(run, key, block) for run in sound_runs(block, tool, kind_of_run(key)) if _has(run, key)]


def sound_runs(block: Block, tool: str, measured: str) -> list[dict[str, Any]]:
    """The tool's runs of this kind that were right."""
    return [run for run in runs(block, tool) if run["measured"] == measured and not run["problem"]]


def median(block: Block, tool: str, key: str) -> float | None:
    """None where nothing sound was measured."""
    found = values(block, tool, key)
    return statistics.median(found) if found else None


def named(block: Block) -> list[str]:
    """Every tool of the block, measured or missing."""
    return list(dict.fromkeys([*block["commands"], *block["missing"]]))


def tools(block: Block) -> list[str]:
    """Every tool of the block, measured or missing, fastest first, unmeasured ones last."""
    return sorted(
        named(block),
        key=lambda name: (median(block, name, "wall_s") is None, median(block, name, "wall_s") or 0),
    )


def why_unmeasured(block: Block, tool: str) -> str:
    """The reason why tool has no figure, for people."""
    if tool in block["missing"]:
        return f"{tool}: {block['missing'][tool]}"
    wrong = problems(block, tool)
    return f"{tool}: {wrong[0]}" if wrong else f"{tool}: not run"


def kind_of_run(key: str) -> str:
    """Which runs measure key."""
    return KIND_OF_RUN.get(key, "time")


KIND_OF_RUN = {
    "peak_pss_bytes": "memory",
    **dict.fromkeys(
        ("steady_bytes_s", "tail_s", "after_s", "window_bytes", "hash_s", "fetched_bytes", "discarded_bytes"),
        "trace",
    ),
    **dict.fromkeys(
        ("refetched_bytes", "refetched_share", "lanes", "first_request_s", "orphans_gone_s"), "resume"
    ),
}
"""By key, where it is not "time": the kind of run that measures it."""


def _has(run: dict[str, Any], key: str) -> bool:
    """A trace too short to tell something does not tell it."""
    return key.startswith("cpu_s") or key in run


def _value(run: dict[str, Any], key: str, block: Block) -> float:
    if key == "cpu_s":
        return float(run["user_s"] + run["sys_s"])
    if key == "cpu_s_per_gib":
        return float((run["user_s"] + run["sys_s"]) * GIB / block["size_bytes"])
    return float(run[key])
