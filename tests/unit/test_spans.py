"""Spans, sets of them, and the grid of segments: compared with Python's own sets of integers."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.spans import Grid, Span, SpanSet
from tests.properties import steady

LIMIT = 40
spans = st.tuples(st.integers(0, LIMIT), st.integers(0, LIMIT)).map(lambda pair: Span(min(pair), max(pair)))
steps = st.lists(st.tuples(st.booleans(), spans), max_size=30)


def bytes_of(spans_: SpanSet) -> set[int]:
    return {offset for span in spans_ for offset in range(span.start, span.stop)}


def build(operations: list[tuple[bool, Span]]) -> tuple[SpanSet, set[int]]:
    """The same additions and removals, once as spans and once as integers."""
    ours, theirs = SpanSet(), set[int]()
    for is_addition, span in operations:
        if is_addition:
            ours.add(span)
            theirs |= set(range(span.start, span.stop))
        else:
            ours.remove(span)
            theirs -= set(range(span.start, span.stop))
    return ours, theirs


@given(steps)
@steady(300)
def test_set_is_a_set(operations):
    """After any additions and removals a SpanSet holds what a set of integers would hold."""
    ours, theirs = build(operations)
    assert bytes_of(ours) == theirs
    assert ours.nbytes == len(theirs)
    assert bool(ours) == bool(theirs)


@given(steps)
@steady(300)
def test_set_is_canonical(operations):
    """Spans are sorted, not empty, and never touch, so equal sets have equal lists."""
    ours, theirs = build(operations)
    listed = list(ours)
    assert all(listed)
    assert all(a.stop < b.start for a, b in pairwise(listed))
    assert ours == SpanSet(Span(offset, offset + 1) for offset in theirs)


@given(steps, spans)
@steady(300)
def test_set_answers(operations, asked):
    """has, first, contiguous_from and complement agree with the integers."""
    ours, theirs = build(operations)
    wanted = set(range(asked.start, asked.stop))
    assert ours.has(asked) == (wanted <= theirs)
    assert bytes_of(ours.complement(asked)) == wanted - theirs
    first = ours.first()
    assert (first.start if first else None) == (min(theirs) if theirs else None)
    end = asked.start
    while end in theirs:
        end += 1
    assert ours.contiguous_from(asked.start) == end


@pytest.mark.parametrize("step", ["add", "remove"])
def test_set_ignores_empty_span(step):
    """An empty span changes nothing, wherever it stands."""
    ours = SpanSet([Span(2, 8)])
    for offset in (0, 2, 5, 8, 20):
        getattr(ours, step)(Span(offset, offset))
    assert list(ours) == [Span(2, 8)]


def test_set_is_equal_to_sets_only():
    """A SpanSet never equals the list of its spans."""
    assert SpanSet([Span(0, 1)]) != [Span(0, 1)]
    assert repr(SpanSet([Span(0, 1), Span(1, 3), Span(5, 6)])) == "SpanSet([(0, 3), (5, 6)])"


@pytest.mark.parametrize(
    ("span", "length", "inside", "outside"),
    [(Span(3, 7), 4, (3, 6), (2, 7)), (Span(0, 1), 1, (0,), (1,)), (Span(5, 5), 0, (), (4, 5, 6))],
)
def test_span_is_half_open(span, length, inside, outside):
    """The start belongs to a span, the stop does not."""
    assert len(span) == length
    assert bool(span) == (length > 0)
    assert all(offset in span for offset in inside)
    assert not any(offset in span for offset in outside)


@pytest.mark.parametrize(
    ("size", "segment", "count", "last"),
    [
        (1, 8, 1, Span(0, 1)),
        (8, 8, 1, Span(0, 8)),
        (9, 8, 2, Span(8, 9)),
        (64, 8, 8, Span(56, 64)),
        ((20 << 30) + 1, 8 << 20, 2561, Span(20 << 30, (20 << 30) + 1)),
    ],
)
def test_grid_cuts_with_a_shorter_last_segment(size, segment, count, last):
    """Segments cover the file without overlap; only the last one may be shorter."""
    grid = Grid(size, segment)
    assert grid.count == count
    assert grid.span_of(count - 1) == last
    assert list(grid.runs(range(count))) == [Span(0, size)]


@given(st.integers(1, 500), st.integers(1, 60), st.data())
@steady()
def test_grid_finds_the_segment_of_every_byte(size, segment, data):
    """index_of and span_of agree for every byte."""
    grid = Grid(size, segment)
    offset = data.draw(st.integers(0, size - 1))
    assert offset in grid.span_of(grid.index_of(offset))


def test_empty_file_has_no_segments():
    """A grid of nothing has no segment and no run."""
    assert Grid(0, 8).count == 0
    assert not Grid(0, 8).runs([])
