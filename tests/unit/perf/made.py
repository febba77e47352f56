"""Results as the harness writes them, made by hand for the pure parts."""

from typing import Any

GIB = 1 << 30


def timed(tool: str, *walls: float, problem: str | None = None) -> list[dict[str, Any]]:
    """Sound timed runs of tool; with a problem, unsound ones."""
    return [
        {
            "tool": tool,
            "round": number,
            "measured": "time",
            "wall_s": wall,
            "user_s": 0.5,
            "sys_s": 1.5,
            "problem": problem,
        }
        for number, wall in enumerate(walls, 1)
    ]


def sampled(tool: str, *peaks: int) -> list[dict[str, Any]]:
    """Memory runs, which are slow and must not count as times."""
    return [
        {
            "tool": tool,
            "round": 0,
            "measured": "memory",
            "wall_s": 99.0,
            "peak_pss_bytes": peak,
            "problem": None,
        }
        for peak in peaks
    ]


def block(
    *runs: list[dict[str, Any]], missing: dict[str, str] | None = None, **changes: Any
) -> dict[str, Any]:
    flat = [run for group in runs for run in group]
    return {
        "title": "2 GiB over HTTP",
        "kind": "pull",
        "size_bytes": 2 * GIB,
        "as_specified": True,
        "tls": False,
        "verified": False,
        "rounds": 3,
        "commands": {run["tool"]: f"{run['tool']} $TARGET" for run in flat},
        "missing": missing or {},
        "runs": flat,
        **changes,
    }


def result(**scenarios: dict[str, Any]) -> dict[str, Any]:
    """Scenario names with underscores for hyphens."""
    return {
        "name": "made",
        "mode": "full",
        "started": "2026-01-02T03:04:05+00:00",
        "commit": "0123456789abcdef",
        "uncommitted_changes": False,
        "machine": {"cores": 2, "cpu": "a cpu", "memory_bytes": 8 * GIB, "kernel": "6.1", "python": "3.13"},
        "versions": {"jarvis": "0.1.0", "curl": None},
        "method": ["Timed is the whole process."],
        "scenarios": {name.replace("_", "-"): value for name, value in scenarios.items()},
    }
