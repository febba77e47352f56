"""One guard, and what is wrong with its entry, as far as that can be told without running anything."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Guard:
    """A line that keeps a promise."""

    name: str
    file: str
    """Below the checkout."""
    old: str
    """Occurs once in the file, so that an entry cannot rot without a word."""
    new: str
    """The same without the guard."""
    tests: tuple[str, ...]
    """Node ids without parameters; each must turn red."""

    def faults(self, root: Path = ROOT) -> list[str]:
        """What is wrong with the entry; empty where nothing is."""
        found = []
        count = (root / self.file).read_text(encoding="utf-8").count(self.old)
        if count != 1:
            found.append(f"{self.name}: the old text occurs {count} times in {self.file}")
        if self.old == self.new or not self.tests:
            found.append(f"{self.name}: it changes nothing, or names no test")
        for node in self.tests:
            path, _, function = node.partition("::")
            if function not in _functions(root / path):
                found.append(f"{self.name}: there is no test {node}")
        return found

    def switch_off(self, root: Path) -> None:
        """In the copy of the checkout at root."""
        path = root / self.file
        path.write_text(path.read_text(encoding="utf-8").replace(self.old, self.new), encoding="utf-8")


@cache
def _functions(path: Path) -> frozenset[str]:
    """Names of the test functions of a module."""
    if not path.is_file():
        return frozenset()
    module = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in module.body if isinstance(node, ast.FunctionDef))
