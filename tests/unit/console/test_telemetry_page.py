"""docs/telemetry.md against the code: every event and field that a program can meet stands there, and no other."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import msgspec

import engine
from engine.transfer import events

PAGE = Path(engine.__file__).parent.parent / "docs" / "telemetry.md"
LEVELS = ("debug", "info", "warning")


def test_json_events_and_the_page_name_the_same_fields() -> None:
    """Each event of --json has a section of its own, whose table lists exactly its fields."""
    assert documented("JSON events") == json_events()


def test_log_events_and_the_page_name_the_same_fields() -> None:
    """Each event that the engine logs has a row, which lists exactly the fields that it is logged with."""
    assert documented("Log events") == logged_events()


def test_the_scanner_finds_log_calls() -> None:
    """A scanner that found nothing would agree with an empty page."""
    found = logged_events()
    assert found["request.started"] >= {"url"}
    assert len(found) > 10


def json_events() -> dict[str, set[str]]:
    kinds = [
        kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, events.Event)
    ]
    return {
        str(kind.__struct_config__.tag): {
            "event",
            *(field.encode_name for field in msgspec.structs.fields(kind)),
        }
        for kind in kinds
        if kind is not events.Event
    }


def logged_events() -> dict[str, set[str]]:
    """Fields by event name, from every call of a Log in the source."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in Path(engine.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _is_log(node.func):
                name = node.args[0]
                assert isinstance(name, ast.Constant), (
                    f"{path}:{node.lineno}: an event's name must be a literal"
                )
                found[str(name.value)] |= {keyword.arg or "**" for keyword in node.keywords}
    return dict(found)


def _is_log(function: ast.expr) -> bool:
    """`_log.info` and the like, or `Log("…").info`."""
    if not isinstance(function, ast.Attribute) or function.attr not in LEVELS:
        return False
    owner = function.value
    if isinstance(owner, ast.Call):
        return isinstance(owner.func, ast.Name) and owner.func.id == "Log"
    return isinstance(owner, ast.Name) and owner.id == "_log"


def documented(heading: str) -> dict[str, set[str]]:
    """Fields by event of one `##` section. An event is a `###` title with a table of fields, or a table's row
    whose second column lists them."""
    text = PAGE.read_text(encoding="utf-8")
    section = re.split(r"(?m)^## ", text.split(f"\n## {heading}\n", 1)[1], maxsplit=1)[0]
    parts = re.split(r"(?m)^### `([a-z.]+)`.*$", section)
    if len(parts) > 1:
        return {
            name: set(re.findall(r"(?m)^\| `([a-z0-9_]+)`", body))
            for name, body in zip(parts[1::2], parts[2::2], strict=True)
        }
    rows = re.findall(r"(?m)^\| `([a-z.]+)` \|([^|]*)\|", section)
    return {name: set(re.findall(r"`([a-z0-9_]+)`", fields)) for name, fields in rows}
