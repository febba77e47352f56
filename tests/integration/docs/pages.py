"""The documents: where they are, the blocks in them, and whether what was printed is what they show."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.command import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
GUIDE = sorted(ROOT.glob("docs/guide/*.md"))
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?: ?(?:[kMGT]?B(?:/s)?|s)\b)?")
WHEN_SLOW = re.compile(
    r" Where the time went: .*$|^.*: (?:connecting|verifying, .*|.* connections?)\n", re.MULTILINE
)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def agrees(shown: str, printed: str) -> bool:
    """Whether output is what a document shows: "…" for anything, a line of it for any lines, any numbers.

    What only comes when it took long, progress and where the time went, is left aside.
    """
    printed = WHEN_SLOW.sub("", printed)
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "…" else _line_pattern(line) + r"\n" for line in shown.splitlines()
    )
    return re.fullmatch(pattern, NUMBER.sub("#", printed)) is not None


def _line_pattern(line: str) -> str:
    return ".*?".join(re.escape(NUMBER.sub("#", piece.rstrip())) for piece in line.rstrip().split("…"))


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Command and what it prints; lines that end with a backslash go on."""
    for entry in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = re.sub(r"\\\n *", "", entry).partition("\n")
        yield command, shown


def reader() -> dict[str, Any]:
    """The reader of docs/formats.md, as a stranger would copy it."""
    (source,) = blocks(text_of("docs/formats.md"), "python")
    names: dict[str, Any] = {}
    exec(compile(source, "formats.md", "exec"), names)
    return names


def records(journal: Path) -> dict[int, int]:
    try:
        checks: dict[int, int] = reader()["read_journal"](journal)[1]
    except ValueError:
        return {}
    return checks
