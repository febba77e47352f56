"""report.md and its charts, drawn from a result and nothing else (pure but for write)."""

from collections.abc import Iterator
from pathlib import Path

from perf import findings, overview, results, targets
from perf.chart import Bar, bars
from perf.curve import Curve, curves
from perf.findings import MEMORY, TAIL, WALL, Measure, finding, is_ours, watched
from perf.limit import is_limit
from perf.results import GIB, Block, Result
from perf.sheet import shown
from perf.targets import Verdict

BASELINE = "single"
OVERVIEW = "overview.svg"
QUICK = (
    "**A quick run**: one round, fewer tools and scenarios. It shows how things stand, and decides nothing."
)


def write(result: Result, folder: Path) -> Path:
    """Write report.md and one SVG a chart into folder; the path of report.md."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in charts(result).items():
        (folder / name).write_text(text)
    path = folder / "report.md"
    path.write_text("\n".join(_lines(result)) + "\n")
    return path


def charts(result: Result) -> dict[str, str]:
    """SVG by file name."""
    drawn = {file: svg for name, block in result["scenarios"].items() for file, _, svg in _drawn(name, block)}
    return ({OVERVIEW: overview.overview(result)} if _has_overview(result) else {}) | drawn


def _has_overview(result: Result) -> bool:
    return result["mode"] == "full" and bool(overview.cases(result))


def _drawn(name: str, block: Block) -> Iterator[tuple[str, str, str]]:
    """(file name, title, SVG) of the scenario's charts: whatever was measured there for one."""
    if block["kind"] in ("pull", "many"):
        yield f"{name}.svg", finding(block), _bars(name, block, WALL)
    if _is_measured(block, "steady_bytes_s"):
        yield f"{name}-growth.svg", findings.growth(block), _growth(block)
    if len([tool for tool in block["commands"] if results.values(block, tool, "tail_s")]) > 1:
        yield f"{name}-tail.svg", finding(block, TAIL), _bars(name, block, TAIL)
    if _is_measured(block, "peak_pss_bytes"):
        yield f"{name}-memory.svg", finding(block, MEMORY), _bars(name, block, MEMORY)


def _is_measured(block: Block, key: str) -> bool:
    return any(results.values(block, tool, key) for tool in block["commands"])


def _bars(scenario: str, block: Block, measure: Measure) -> str:
    """Everybody's times; of what is measured in runs of their own, those who had such runs."""
    names = [
        tool
        for tool in results.tools(block)
        if measure is WALL
        or any(run["measured"] == results.kind_of_run(measure.key) for run in results.runs(block, tool))
    ]
    rows = [
        Bar(
            f"{tool} (baseline)" if tool == BASELINE else tool,
            tuple(results.values(block, tool, measure.key)),
            results.median(block, tool, measure.key),
            is_ours(tool),
            is_limit(tool),
            results.why_unmeasured(block, tool).partition(": ")[2][:60],
        )
        for tool in names
    ]
    rows.sort(key=lambda row: (row.median is None, row.median or 0))
    goal = (
        targets.goal(block, scenario, findings.ours_in(block), measure.key) if block["as_specified"] else None
    )
    return bars(finding(block, measure), f"{block['title']}: {measure.subtitle}", rows, measure.unit, goal)


def _growth(block: Block) -> str:
    names, ours = (
        [tool for tool in block["commands"] if results.sound_runs(block, tool, "trace")],
        findings.ours_in(block),
    )
    runs = [
        Curve(tool, [(at, value) for at, value in watched(block, tool)["written"]], tool == ours)
        for tool in names
    ]
    lanes = [(at, count) for at, count in watched(block, ours)["lanes"]] if ours in names else []
    subtitle = f"{block['title']}: what came onto the disk, over time"
    return curves(findings.growth(block), subtitle, runs, lanes)


def _lines(result: Result) -> Iterator[str]:
    yield f"# {_headline(result)}"
    yield ""
    machine = result["machine"]
    changed = " with uncommitted changes" if result["uncommitted_changes"] else ""
    yield (
        f"Commit `{result['commit'][:12]}`{changed}, {result['started']}, mode {result['mode']}. "
        f"Machine: {machine['cores']} cores, {machine['cpu']}, {machine['memory_bytes'] / GIB:.0f} GiB, "
        f"Linux {machine['kernel']}. "
        f"{_took(result)}Drawn from `{result['name']}.json`, which keeps every round."
    )
    yield ""
    if result["mode"] == "quick":
        yield from [QUICK, ""]
    if _has_overview(result):
        yield from [f"![{overview.headline(overview.cases(result))}]({OVERVIEW})", ""]
    yield from _target_lines(targets.judge(result))
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


def _took(result: Result) -> str:
    return f"The run took {result['took_s'] / 60:.0f} minutes. " if "took_s" in result else ""


def _headline(result: Result) -> str:
    quick = "Quick run: " if result["mode"] == "quick" else ""
    main = results.block(result, "http-2g-nohash") or next(iter(result["scenarios"].values()), None)
    if main is None or main["kind"] != "pull":
        return f"{quick}Benchmark"
    return f"{quick}{main['title']}: {finding(main)}"


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
    for file, title, _ in _drawn(name, block):
        yield from [f"![{title}]({file})", ""]
    if block["kind"] == "resume":
        yield from _resume_lines(block)
    elif block["kind"] != "watch":
        yield from _time_lines(block)
    if any(run["measured"] == "trace" for run in block["runs"]):
        yield from ["", *_watch_lines(block)]
    yield from ["", "```sh", *(f"{text}  # {tool}" for tool, text in block["commands"].items()), "```"]


def _time_lines(block: Block) -> Iterator[str]:
    rivals = findings.peers(block, "wall_s")
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
                f"{wall / rivals[0][1]:.2f}" if rivals else "–",
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
    yield from _median_lines(block, units)


def _watch_lines(block: Block) -> Iterator[str]:
    yield "| watched | steady rate | last 5 % | last byte to exit | of it hashing | thrown away | sound runs |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    units = {"steady_bytes_s": "B/s", "tail_s": "s", "after_s": "s", "hash_s": "s", "discarded_bytes": "B"}
    yield from _median_lines(block, units, "trace")


def _median_lines(block: Block, units: dict[str, str], measured: str | None = None) -> Iterator[str]:
    """A row of medians for each tool; measured: for those that had runs of this kind."""
    for tool in results.tools(block):
        if measured and not any(run["measured"] == measured for run in results.runs(block, tool)):
            continue
        medians = [(results.median(block, tool, key), unit) for key, unit in units.items()]
        cells = [shown(value, unit).strip() if value is not None else "–" for value, unit in medians]
        yield f"| {_name(tool)} | " + " | ".join([*cells, _soundness(block, tool, measured)]) + " |"


def _soundness(block: Block, tool: str, measured: str | None = None) -> str:
    """How many runs (of this kind) were right, and the first reason why one was not."""
    all_runs = [run for run in results.runs(block, tool) if measured in (None, run["measured"])]
    wrong = [run["problem"] for run in all_runs if run["problem"]]
    if not all_runs:
        return results.why_unmeasured(block, tool).partition(": ")[2]
    told = f" ({_cell(wrong[0])})" if wrong else ""
    return f"{len(all_runs) - len(wrong)} of {len(all_runs)}{told}"


def _name(tool: str) -> str:
    return f"**{tool}**" if is_ours(tool) else tool


def _cell(text: str) -> str:
    return text.replace("|", "\\|")[:120]
