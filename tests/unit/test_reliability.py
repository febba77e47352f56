"""The catalogue of what may happen, the marks of tests, and the page that is made of both."""

import ast

import pytest

from tests.catalogue import NOT_OURS, ROWS
from tests.reliability import BEGIN, END, PAGE, ROOT, marked, shown, written


@pytest.fixture(scope="module")
def found():
    return shown()


def test_every_row_has_a_test(found):
    """What is promised is shown."""
    assert [row.id for row in ROWS if row.id not in found] == []


def test_every_mark_names_a_row(found):
    """A row that is renamed or taken out leaves no mark behind."""
    assert sorted(found.keys() - {row.id for row in ROWS}) == []


def test_the_page_is_what_would_be_written(found):
    """docs/reliability.md was written after the last change; else run python -m tests.reliability."""
    page = PAGE.read_text(encoding="utf-8")
    assert written(page, found) == page


def test_a_marked_test_looks_whether_its_fault_struck():
    """What a server was told to do and did not do proves nothing."""
    blind = [
        (path.name, test.name)
        for path in ROOT.glob("tests/**/test_*.py")
        for test, ids in marked(path.read_text(encoding="utf-8"))
        if ids and ".fault(" in (source := ast.unparse(test)) and "fired" not in source
    ]
    assert blind == []


def test_rows_are_told_apart_and_fit_a_table():
    """An id and a fault of its own each, in sentences, without what would end a cell."""
    assert len({row.id for row in ROWS}) == len({row.fault for row in ROWS}) == len(ROWS)
    for text in [*(text for row in ROWS for text in (row.fault, row.promise)), *NOT_OURS.values()]:
        assert text.endswith(".") and "|" not in text and "\n" not in text


SOURCE = """
LIES = [("a", 1), pytest.param("b", marks=pytest.mark.row("range/one", "range/two"))]
OTHER: list = [pytest.mark.row("range/three")]
@pytest.mark.parametrize("lie", LIES)
@pytest.mark.row("body/four")
def test_lies(lie): pytest.mark.row("inside/it")
def test_plain(): pass
def helper(): pass
"""


def test_marks_are_found_at_tests_and_in_their_tables():
    """A scanner that found nothing would agree with an empty page."""
    assert {test.name: ids for test, ids in marked(SOURCE)} == {
        "test_lies": ["body/four", "range/one", "range/two"],
        "test_plain": [],
    }


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{END}{BEGIN}"])
def test_a_page_without_the_marks_is_not_written(page):
    """There is no place for the table then."""
    with pytest.raises(ValueError, match="no part between"):
        written(page, {})
