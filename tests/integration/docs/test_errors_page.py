"""The tables of docs/errors.md are those of the code."""

import re
from typing import get_args

from engine import errors
from engine.console.exit_codes import exit_code
from engine.transport.retry import RETRYABLE_STATUS, Failure, Kind
from tests.integration.docs.pages import text_of


def classes() -> list[type[errors.EngineError]]:
    return [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.EngineError)
    ]


def test_the_page_has_every_error_class_with_its_exit_code() -> None:
    """The table of docs/errors.md is engine/errors.py and the command's own table."""
    rows = re.findall(
        r"^\| `(\w+)` \| ([^|]*) \| (\d+|as its causes) \|", text_of("docs/errors.md"), re.MULTILINE
    )
    shown = {name: (bases, code) for name, bases, code in rows}
    assert set(shown) == {kind.__name__ for kind in classes()}
    for kind in classes():
        bases, code = shown[kind.__name__]
        assert bases == ", ".join(f"`{base.__name__}`" for base in kind.__bases__)
        if kind is not errors.SeveralFailed:
            assert int(code) == exit_code(kind.__new__(kind)), kind.__name__
        assert f"### `{kind.__name__}`\n" in text_of("docs/errors.md")


def test_several_failures_end_as_the_page_says() -> None:
    """Causes that agree give their code, others 1."""
    missing, denied = errors.NotFound("a"), errors.AccessDenied("b")
    assert exit_code(errors.SeveralFailed("both", [missing, missing])) == 3
    assert exit_code(errors.SeveralFailed("both", [missing, denied])) == 1


def test_the_page_has_every_exit_code() -> None:
    """Codes that the command can end with, and no others, are in the first table of docs/errors.md."""
    rows = re.findall(r"^\| (\d+) \| ", text_of("docs/errors.md"), re.MULTILINE)
    codes = {exit_code(kind.__new__(kind)) for kind in classes() if kind is not errors.SeveralFailed}
    assert {int(row) for row in rows} == {0, exit_code(KeyboardInterrupt()), *codes}


def test_the_page_says_which_failures_are_tried_again() -> None:
    """The last table of docs/errors.md has each kind of failure once, and is right about what is final."""
    _, _, section = text_of("docs/errors.md").partition("## What is tried again")
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \| (\w+)[^|]* \|$", section, re.MULTILINE)
    assert sorted(kind for kind, _, _ in rows) == sorted(get_args(Kind))
    for kind, what, again in rows:
        if kind != "status":
            assert Failure(kind=kind, message="").is_final == (again == "no"), kind
            continue
        listed = {
            status
            for low, high in re.findall(r"(\d{3})(?: to (\d{3}))?", what)
            for status in range(int(low), int(high or low) + 1)
        }
        assert listed == RETRYABLE_STATUS
