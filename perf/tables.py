"""The tables of a report, in Markdown (pure)."""

from collections.abc import Iterator

from perf import findings, results
from perf.findings import is_ours
from perf.results import GIB, Block
from perf.sheet import shown
from perf.targets import Verdict


def target_lines(verdicts: list[Verdict]) -> Iterator[str]:
    counts = {word: sum(row.verdict == word for row in verdicts) for word in ("met", "missed", "unmeasured")}
    yield "## Figures to reach: " + ", ".join(f"{count} {word}" for word, count in counts.items())
    yield ""
    yield "| scenario | figure | bound | measured | |"
    yield "| --- | --- | --- | --- | --- |"
    for row in verdicts:
        target = row.target
        value = "–" if row.value is None else _judged(row.value, target.unit)
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


def _judged(value: float, unit: str) -> str:
    """A ratio with a digit more than its bound, so that a near miss does not look like a hit."""
    return f"{value:.3f}" if unit == "x" else shown(value, unit)


def time_lines(block: Block) -> Iterator[str]:
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


def resume_lines(block: Block) -> Iterator[str]:
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


def watch_lines(block: Block) -> Iterator[str]:
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
