"""docs/reliability.md: its table of what may happen, what is promised, and which tests show it.

`python -m tests.reliability` writes the part between the two marks, from catalogue.toml and from the marks
`@pytest.mark.row("family/name")` that stand in the tests' source, at a test or in a table that it is parametrized with.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.catalogue import NOT_OURS, ROWS, TITLES

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/reliability.md"
BEGIN, END = "<!-- rows: written by python -m tests.reliability -->", "<!-- rows: end -->"


@dataclass(frozen=True, order=True)
class Witness:
    """A test function: its file, seen from the root, and its name."""

    path: str
    name: str

    @property
    def link(self) -> str:
        return f"[{self.name.removeprefix('test_').replace('_', ' ')}](../{self.path})"


Function = ast.FunctionDef | ast.AsyncFunctionDef
Shown = dict[str, list[Witness]]
"""Tests by the id of the row that they show."""


def shown(root: Path = ROOT) -> Shown:
    """By all test files below tests."""
    found: Shown = {}
    for path in sorted(root.glob("tests/**/test_*.py")):
        for test, ids in marked(path.read_text(encoding="utf-8")):
            for row in ids:
                found.setdefault(row, []).append(Witness(path.relative_to(root).as_posix(), test.name))
    return found


def marked(source: str) -> Iterator[tuple[Function, list[str]]]:
    """Test functions of a file, and the ids that they are marked with, themselves or in a table they name."""
    body = ast.parse(source).body
    tables = {name: _ids([node]) for node in body for name in _assigned(node)}
    for node in body:
        if isinstance(node, Function) and node.name.startswith("test_"):
            named = [n.id for mark in node.decorator_list for n in ast.walk(mark) if isinstance(n, ast.Name)]
            ids = [*_ids(node.decorator_list), *(row for name in named for row in tables.get(name, []))]
            yield node, list(dict.fromkeys(ids))


def _assigned(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _ids(nodes: Iterable[ast.AST]) -> list[str]:
    """What pytest.mark.row is called with below these nodes. ValueError for an id that is no text."""
    calls = [n for node in nodes for n in ast.walk(node) if isinstance(n, ast.Call)]
    words = [word for call in calls if ast.unparse(call.func) == "pytest.mark.row" for word in call.args]
    return [str(ast.literal_eval(word)) for word in words]


def table(found: Shown) -> str:
    """Everything between the marks: the count, a table a family, and what is left out."""
    tests = {test for row in ROWS for test in found.get(row.id, [])}
    lines = [f"{len(ROWS)} rows; {len(tests)} tests show them.", ""]
    for family, title in TITLES.items():
        lines += [
            f"### {title}",
            "",
            "| row | what happens | what is promised | shown by |",
            "| --- | --- | --- | --- |",
        ]
        for row in (row for row in ROWS if row.family == family):
            links = ", ".join(test.link for test in found.get(row.id, []))
            lines.append(f"| `{row.id}` | {row.fault} | {row.promise} | {links} |")
        lines.append("")
    lines += ["### Left out", "", *(f"- {reason}" for reason in NOT_OURS.values()), ""]
    return "\n".join(lines)


def written(page: str, found: Shown) -> str:
    """The page with its part written anew. ValueError where the marks are not there once each."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has no part between {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{table(found)}\n{END}{after}"


def main() -> None:
    found = shown()
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
    untested = [row.id for row in ROWS if row.id not in found]
    print(f"{len(ROWS)} rows, {len(untested)} without a test", *untested, sep="\n")


if __name__ == "__main__":
    main()
