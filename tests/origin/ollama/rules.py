"""rules.toml, read: what the registry does when all is well, and what it refuses."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("rules.toml")


@dataclass(frozen=True)
class Rule:
    """One refusal: where it may strike, by which question (conditions.py), and what is then answered."""

    name: str
    source: str
    """The line of the file that it follows."""
    on: tuple[str, ...]
    question: str
    status: int
    code: str
    message: str


@dataclass(frozen=True)
class Rules:
    lines: dict[str, str]
    manners: dict[str, Any]
    manner_sources: dict[str, str]
    rules: tuple[Rule, ...]


def read_rules(path: Path = FILE) -> Rules:
    """KeyError for a rule or a manner that follows no line of the file."""
    told = tomllib.loads(path.read_text())
    lines: dict[str, str] = told["lines"]
    rules = tuple(
        Rule(r["name"], r["from"], tuple(r["on"]), r["if"], r["status"], r["code"], r["message"])
        for r in told["rules"]
    )
    sources = {name: manner["from"] for name, manner in told["manners"].items()}
    for source in [*sources.values(), *(rule.source for rule in rules)]:
        lines[source]
    return Rules(lines, {name: manner["value"] for name, manner in told["manners"].items()}, sources, rules)


RULES = read_rules()
MANNERS = RULES.manners
