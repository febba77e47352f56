"""What all charts share: round numbers at the axes, titles that fit, colours for both grounds."""

from xml.etree import ElementTree

import pytest

from perf.sheet import DARK, LIGHT, TITLE_LETTERS, sheet, ticks, top


@pytest.mark.parametrize(
    ("most", "marks"),
    [(1.0, [0, 0.5, 1.0]), (7, [0, 2, 4, 6, 8]), (32, [0, 10, 20, 30, 40]), (1.3e9, [0, 5e8, 1e9, 1.5e9])],
)
def test_marks_are_round_numbers_that_reach_beyond_the_most(most, marks):
    """Steps are ones, twos or fives."""
    assert ticks(most, 4 if most != 1.0 else 2) == pytest.approx(marks)


def test_long_title_is_broken_and_the_chart_moves_down():
    """No word is lost beyond the edge."""
    title = "word " * (TITLE_LETTERS // 3)
    svg = ElementTree.fromstring(sheet(title, "what was done", [], 200))
    lines = [
        text.text or ""
        for text in svg.iter("{http://www.w3.org/2000/svg}text")
        if text.get("class") == "title"
    ]
    assert len(lines) == 2
    assert " ".join(lines) == title.strip()
    assert max(len(line) for line in lines) <= TITLE_LETTERS
    assert top(title, "x") > top("short", "x")


def test_both_grounds_have_every_colour():
    """A reader's dark screen shows the same things."""
    assert set(LIGHT) == set(DARK)
    assert not set(LIGHT.values()) & set(DARK.values())
