"""report.md and its charts, drawn from a result and nothing else (pure but for write)."""

from collections.abc import Iterator
from pathlib import Path

from perf import findings, overview, results, tables, targets
from perf.chart import Bar, bars
from perf.curve import Curve, curves
from perf.findings import MEMORY, TAIL, WALL, Measure, finding, is_ours, watched
from perf.limit import is_limit
from perf.results import GIB, Block, Result

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
    yield from tables.target_lines(targets.judge(result))
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


def _block_lines(name: str, block: Block) -> Iterator[str]:
    for file, title, _ in _drawn(name, block):
        yield from [f"![{title}]({file})", ""]
    if block["kind"] == "resume":
        yield from tables.resume_lines(block)
    elif block["kind"] != "watch":
        yield from tables.time_lines(block)
    if any(run["measured"] == "trace" for run in block["runs"]):
        yield from ["", *tables.watch_lines(block)]
    yield from ["", "```sh", *(f"{text}  # {tool}" for tool, text in block["commands"].items()), "```"]
