"""How much of its modules a target reaches: coverage.py, branches counted."""

from pathlib import Path
from typing import Any

import engine

ENGINE = Path(engine.__file__).parent
Reached = dict[str, list[Any]]
"""By module: branches reached, branches there are, lines in which one or a whole statement was missed."""


def start() -> Any:
    """To be called before the engine's modules are imported."""
    import coverage

    watch = coverage.Coverage(branch=True, data_file=None, source=[str(ENGINE)], config_file=False)
    watch.start()
    return watch


def stop(watch: Any, modules: tuple[str, ...]) -> Reached:
    watch.stop()
    return {module: _reached(watch, module) for module in modules}


def _reached(watch: Any, module: str) -> list[Any]:
    analysis = watch._analyze(str(ENGINE / module))
    numbers = analysis.numbers
    missed = sorted({*analysis.missing_branch_arcs(), *analysis.missing})
    return [numbers.n_branches - numbers.n_missing_branches, numbers.n_branches, missed]


def table(results: list[tuple[str, Reached]]) -> str:
    """As the page has it."""
    lines = ["", "| target | module | branches | missed at |", "| --- | --- | --- | --- |"]
    for name, modules in results:
        for module, (reached, there, missed) in modules.items():
            share = f"{100 * reached / there:.0f} % of {there}" if there else "none to take"
            lines.append(f"| {name} | `{module}` | {share} | {', '.join(map(str, missed))} |")
    return "\n".join(lines)
