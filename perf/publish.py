"""A result's chart for README.md, and the sentences beside it: what the project says of its speed comes from here."""

import re
from pathlib import Path

from perf import overview, targets
from perf.machine import REPOSITORY
from perf.results import Result

CHART = Path("docs", "benchmark.svg")
BEGIN, END = "<!-- benchmark: written by perf/publish.py -->", "<!-- benchmark: end -->"


def publish(result: Result, path: Path, root: Path = REPOSITORY) -> Path:
    """Draw the chart and rewrite README's part below root; the chart's path. path: of the result, below root.
    Raises ValueError for a quick result, one that lies elsewhere, and a README without the place for it."""
    if result["mode"] != "full":
        raise ValueError("only a full run is published")
    if not path.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"{path} does not lie in the repository, so nobody could look at its report")
    report = path.resolve().relative_to(root.resolve()).with_suffix("") / "report.md"
    readme = root / "README.md"
    place = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    old = readme.read_text()
    if not place.search(old):
        raise ValueError(f"README.md has no part between {BEGIN} and {END}")
    chart = overview.overview(result)
    (root / CHART).write_text(chart)
    told = "\n".join([BEGIN, "", *_lines(result, report), "", END])
    readme.write_text(place.sub(lambda _: told, old))
    return root / CHART


def _lines(result: Result, report: Path) -> list[str]:
    found = overview.cases(result)
    verdicts = [row.verdict for row in targets.judge(result)]
    counts = ", ".join(f"{verdicts.count(word)} {word}" for word in ("met", "missed", "unmeasured"))
    return [
        f"![{overview.headline(found)}]({CHART.as_posix()})",
        "",
        *(f"- {case.title}: {case.finding} ({_seconds(case)})." for case in found),
        "",
        f"From [the report]({report.as_posix()}) of commit `{result['commit'][:12]}`, {result['started'][:10]}, "
        f"{result['machine']['cores']} cores. Of the figures that we want to reach, {counts}; every round is kept.",
    ]


def _seconds(case: overview.Case) -> str:
    name, theirs_s = case.rivals[0]
    return f"{case.ours_s:.2f} s, {name} {theirs_s:.2f} s"
