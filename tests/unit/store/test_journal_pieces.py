"""Pieces of unfinished segments in the journal: what an orderly end keeps to the byte."""

from pathlib import Path

from engine.spans import Span
from engine.store.journal import Header, Journal

HEADER = Header(url="http://h/m", url_hash=1, size=1000, segment_size=100)


def reloaded(path: Path) -> Journal:
    journal = Journal.load(path)
    assert journal is not None
    journal.close()
    return journal


def test_pieces_come_back_beside_checks(tmp_path: Path) -> None:
    """What was appended is read again, segments and pieces apart."""
    journal = Journal.create(tmp_path / "journal", HEADER)
    journal.append(3, 33)
    journal.append_piece(Span(410, 450), 41)
    journal.close()
    again = reloaded(tmp_path / "journal")
    assert again.checks == {3: 33}
    assert again.pieces == {Span(410, 450): 41}


def test_a_piece_of_a_segment_that_was_finished_later_is_forgotten(tmp_path: Path) -> None:
    """The segment's own check says more."""
    journal = Journal.create(tmp_path / "journal", HEADER)
    journal.append_piece(Span(410, 450), 41)
    journal.append(4, 44)
    journal.close()
    assert reloaded(tmp_path / "journal").pieces == {}


def test_a_piece_that_no_segment_holds_ends_the_journal(tmp_path: Path) -> None:
    """Empty, across an edge, or past the end: it makes no sense, so nothing after it is believed."""
    for span in (Span(450, 450), Span(150, 250), Span(950, 1001)):
        journal = Journal.create(tmp_path / "journal", HEADER)
        journal.append(0, 10)
        journal.append_piece(span, 1)
        journal.append(1, 11)
        journal.close()
        again = reloaded(tmp_path / "journal")
        assert (again.checks, again.pieces) == ({0: 10}, {})
