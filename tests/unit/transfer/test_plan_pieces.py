"""Pieces in the plan: written, but of segments that have no check."""

from engine.spans import Grid, Span
from engine.transfer.plan import Plan

GRID = Grid(1000, 100)


def test_pieces_are_what_is_written_without_a_check_cut_at_segments() -> None:
    """A run across an edge becomes two pieces; checked segments are none."""
    plan = Plan(GRID, held=[0])
    plan.hold_piece(Span(150, 200))
    plan.hold_piece(Span(200, 230))
    assert plan.pieces == [Span(150, 200), Span(200, 230)]


def test_a_held_piece_is_not_leased_again() -> None:
    """The lease before it ends where it begins, and the one after it begins where it ends."""
    plan = Plan(GRID)
    plan.hold_piece(Span(150, 180))
    assert plan.carve(1, 0.0, 1) == Span(0, 100)
    assert plan.carve(2, 0.0, 1) == Span(100, 150)
    assert plan.carve(3, 0.0, 1) == Span(180, 200)


def test_pieces_that_fill_a_segment_ask_for_its_check() -> None:
    """Whoever holds the last piece is told which segment is whole."""
    plan = Plan(GRID)
    assert plan.hold_piece(Span(100, 150)) == []
    assert plan.hold_piece(Span(150, 200)) == [1]
