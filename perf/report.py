"""report.md and its charts, drawn from a result and nothing else (pure but for write)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perf import results
from perf.chart import Bar, bars, shown
from perf.curve import Curve, curves
from perf.results import GIB, Block, Result
from perf.targets import Verdict, judge
from perf.tools import OURS

BASELINE = "single"


def write(result: Result, folder: Path) -> Path:
    """Write report.md and one SVG a chart into folder; the path of report.md."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in charts(result).items():
        (folder / name).write_text(text)
    path = folder / "report.md"
    path.write_text("\n".join(_lines(result)) + "\n")
    return path


def charts(result: Result) -> dict[str, str]:
    """SVG by file name: wall time, and where they were watched peak memory, the tail, and throughput over time."""
    drawn = {}
    for name, block in result["scenarios"].items():
        if block["kind"] == "pull":
            drawn[f"{name}.svg"] = _chart(block, "wall_s", "s")
            if any(results.values(block, tool, "peak_pss_bytes") for tool in block["commands"]):
                drawn[f"{name}-memory.svg"] = _chart(block, "peak_pss_bytes", "B")
            if any(results.values(block, tool, "tail_s") for tool in block["commands"]):
                drawn[f"{name}-tail.svg"] = _chart(block, "tail_s", "s")
                drawn[f"{name}-growth.svg"] = _growth(block)
    return drawn


def finding(block: Block, key: str = "wall_s", unit: str = "s") -> str:
    """The sentence that a chart's title is: where we stand against the best peer."""
    what, best_is = {"tail_s": ("needs for its last 5 %", "fastest"), "wall_s": ("takes", "fastest")}.get(
        key, ("needs", "leanest")
    )
    rivals = _peers(block, key)
    ours = results.median(block, OURS, key)
    if not rivals:
        return (
            f"{OURS} {what} {shown(ours, unit)}; no peer measured" if ours is not None else "Nothing measured"
        )
    best, figure = rivals[0]
    if ours is None:
        return f"{best} is the {best_is} of {len(rivals)} at {shown(figure, unit)}; {OURS} is unmeasured"
    ratio = ours / figure
    relation = f"{ratio:.2f} of {best}" if ratio < 1 else f"{ratio:.2f} times {best}"
    return f"{OURS} {what} {shown(ours, unit)}: {relation}, the {best_is} peer"


def _peers(block: Block, key: str) -> list[tuple[str, float]]:
    """(name, median) of measured peers, smallest first."""
    found = [(tool, results.median(block, tool, key)) for tool in block["commands"] if not _is_ours(tool)]
    return sorted(((tool, figure) for tool, figure in found if figure is not None), key=lambda pair: pair[1])


def _chart(block: Block, key: str, unit: str) -> str:
    names = results.tools(block)
    rows = [
        Bar(
            f"{tool} (baseline)" if tool == BASELINE else tool,
            tuple(results.values(block, tool, key)),
            results.median(block, tool, key),
            _is_ours(tool),
            results.why_unmeasured(block, tool).partition(": ")[2][:60],
        )
        for tool in names
    ]
    rows.sort(key=lambda row: (row.median is None, row.median or 0))
    measured = {"wall_s": "wall time, exec to exit", "tail_s": "from 95 % on disk to the exit"}.get(
        key, "peak PSS of all processes"
    )
    return bars(finding(block, key, unit), f"{block['title']}: {measured}", rows, unit)


def growth_finding(block: Block) -> str:
    """The sentence above the curves: the steady rate of the tool that is ours, and with how many lanes."""
    name = next((tool for tool in block["commands"] if _is_ours(tool)), "")
    rate = results.median(block, name, "steady_bytes_s")
    if rate is None:
        return f"{OURS} was not watched"
    lanes = max((count for _, count in _watched(block, name)["lanes"]), default=0)
    return f"{name} keeps {shown(rate, 'B/s')} over the middle half, with up to {lanes} lanes"


def _growth(block: Block) -> str:
    names = [tool for tool in block["commands"] if results.values(block, tool, "tail_s")]
    runs = [
        Curve(tool, [(at, value) for at, value in _watched(block, tool)["written"]], _is_ours(tool))
        for tool in names
    ]
    ours = next((tool for tool in names if _is_ours(tool)), None)
    lanes = [(at, count) for at, count in _watched(block, ours)["lanes"]] if ours else []
    return curves(
        growth_finding(block), f"{block['title']}: throughput over time, and our lanes", runs, lanes
    )


def _watched(block: Block, tool: str) -> dict[str, Any]:
    return results.sound_runs(block, tool, "trace")[0]


def _lines(result: Result) -> Iterator[str]:
    yield f"# {_headline(result)}"
    yield ""
    machine = result["machine"]
    changed = " with uncommitted changes" if result["uncommitted_changes"] else ""
    yield (
        f"Commit `{result['commit'][:12]}`{changed}, {result['started']}, mode {result['mode']}. "
        f"Machine: {machine['cores']} cores, {machine['cpu']}, {machine['memory_bytes'] / GIB:.0f} GiB, "
        f"Linux {machine['kernel']}. "
        f"Drawn from `{result['name']}.json`, which keeps every round."
    )
    yield ""
    yield from _target_lines(judge(result))
    for name, block in result["scenarios"].items():
        yield from ["", f"## {name}: {block['title']}", ""]
        yield from _block_lines(name, block)
    yield from ["", "## How it was measured", ""]
    yield from (f"- {text}" for text in result["method"])
    yield (
        "- Versions: "
        + ", ".join(f"{name} {version or 'absent'}" for name, version in result["versions"].items())
        + "."
    )


def _headline(result: Result) -> str:
    main = results.block(result, "http-2g-nohash") or next(iter(result["scenarios"].values()), None)
    if main is None or main["kind"] != "pull":
        return "Benchmark"
    return f"{main['title']}: {finding(main)}"


def _target_lines(verdicts: list[Verdict]) -> Iterator[str]:
    counts = {word: sum(row.verdict == word for row in verdicts) for word in ("met", "missed", "unmeasured")}
    yield "## Figures to reach: " + ", ".join(f"{count} {word}" for word, count in counts.items())
    yield ""
    yield "| scenario | figure | bound | measured | |"
    yield "| --- | --- | --- | --- | --- |"
    for row in verdicts:
        target = row.target
        value = shown(row.value, target.unit) if row.value is not None else "–"
        verdict = f"**{row.verdict}**" if row.verdict != "met" else "met"
        note = f" ({_cell(row.note)})" if row.note else ""
        cells = [
            target.scenario,
            target.figure.text,
            f"{target.sense} {shown(target.bound, target.unit)}",
            value,
            f"{verdict}{note}",
        ]
        yield f"| {' | '.join(cells)} |"


def _block_lines(name: str, block: Block) -> Iterator[str]:
    if block["kind"] == "pull":
        yield from [f"![{finding(block)}]({name}.svg)", ""]
        if any(results.values(block, tool, "peak_pss_bytes") for tool in block["commands"]):
            memory = finding(block, "peak_pss_bytes", "B")
            yield from [f"![{memory}]({name}-memory.svg)", ""]
        if any(results.values(block, tool, "tail_s") for tool in block["commands"]):
            yield from [f"![{growth_finding(block)}]({name}-growth.svg)", ""]
            yield from [f"![{finding(block, 'tail_s')}]({name}-tail.svg)", ""]
    yield from _resume_lines(block) if block["kind"] == "resume" else _time_lines(block)
    yield from ["", "```sh", *(f"{text}  # {tool}" for tool, text in block["commands"].items()), "```"]


def _time_lines(block: Block) -> Iterator[str]:
    peers = _peers(block, "wall_s")
    yield "| tool | median | least to most | to the fastest peer | GiB/s | CPU s/GiB | peak PSS | sound runs |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for tool in results.tools(block):
        walls = results.values(block, tool, "wall_s")
        wall, memory = results.median(block, tool, "wall_s"), results.median(block, tool, "peak_pss_bytes")
        cells = ["–"] * 5
        if wall is not None:
            gib = block["size_bytes"] / GIB
            cells = [
                shown(wall, "s"),
                f"{min(walls):.3g} to {max(walls):.3g}",
                f"{wall / peers[0][1]:.2f}" if peers else "–",
                f"{gib / wall:.2f}" if gib >= 0.5 else "–",
                f"{results.median(block, tool, 'cpu_s_per_gib'):.2f}" if gib >= 0.5 else "–",
            ]
        cells += [shown(memory, "B") if memory is not None else "–", _soundness(block, tool)]
        yield f"| {_name(tool)} | " + " | ".join(cells) + " |"


def _resume_lines(block: Block) -> Iterator[str]:
    yield "| tool | sent again | lanes | of lanes x 8 MiB | first request | orphans gone | sound runs |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    units = {
        "refetched_bytes": "B",
        "lanes": "",
        "refetched_share": "x",
        "first_request_s": "s",
        "orphans_gone_s": "s",
    }
    for tool in results.tools(block):
        medians = [(results.median(block, tool, key), unit) for key, unit in units.items()]
        cells = [shown(value, unit).strip() if value is not None else "–" for value, unit in medians]
        yield f"| {_name(tool)} | " + " | ".join([*cells, _soundness(block, tool)]) + " |"


def _soundness(block: Block, tool: str) -> str:
    """How many runs were right, and the first reason why one was not."""
    all_runs, wrong = results.runs(block, tool), results.problems(block, tool)
    if not all_runs:
        return results.why_unmeasured(block, tool).partition(": ")[2]
    told = f" ({_cell(wrong[0])})" if wrong else ""
    return f"{len(all_runs) - len(wrong)} of {len(all_runs)}{told}"


def _name(tool: str) -> str:
    return f"**{tool}**" if _is_ours(tool) else tool


def _is_ours(tool: str) -> bool:
    return tool.partition(" ")[0] == OURS


def _cell(text: str) -> str:
    return text.replace("|", "\\|")[:120]
