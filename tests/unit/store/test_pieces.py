"""engine.store.pieces: what lanes note of unfinished segments, and what of it is believed."""

import os
from pathlib import Path

import pytest

from engine.spans import Span
from engine.store.journal import Claim, Header, Journal
from engine.store.pieces import _PLACES, Pieces, parse, read

HEADER = Header(url="http://h/m", url_hash=1, size=1000, segment_size=100)
GRID = HEADER.grid
SEED = 5


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pieces"


@pytest.fixture
def pieces(path: Path) -> Pieces:
    made = Pieces.create(path, SEED)
    assert made is not None
    return made


def test_a_piece_that_grows_is_one(pieces: Pieces, path: Path) -> None:
    """The last word of its turn counts; other lanes and turns have places of their own."""
    pieces.note(0, 0, Span(10, 20), 1)
    pieces.note(0, 0, Span(10, 60), 2)
    pieces.note(0, 1, Span(100, 200), 3)
    pieces.note(7, 0, Span(500, 501), 4)
    found = {Span(10, 60): 2, Span(100, 200): 3, Span(500, 501): 4}
    assert read(path, SEED, GRID) == pieces.read(GRID) == found


def test_a_lane_keeps_its_latest_pieces(pieces: Pieces) -> None:
    """Older ones have long been written down."""
    for turn in range(_PLACES + 2):
        pieces.note(3, turn, Span(turn, turn + 1), turn)
    assert sorted(pieces.read(GRID).values()) == list(range(2, _PLACES + 2))


def test_what_is_erased_is_gone(pieces: Pieces) -> None:
    """Of one turn of one lane."""
    pieces.note(0, 0, Span(0, 10), 1)
    pieces.note(0, 1, Span(100, 110), 2)
    pieces.erase(0, 0)
    assert pieces.read(GRID) == {Span(100, 110): 2}


@pytest.mark.parametrize(
    "span", [Span(10, 10), Span(20, 10), Span(90, 110), Span(950, 1001), Span(2000, 2001)]
)
def test_what_no_segment_holds_is_no_piece(pieces: Pieces, span: Span) -> None:
    """Empty, backwards, across an edge, past the end."""
    pieces.note(0, 0, span, 1)
    assert pieces.read(GRID) == {}


def test_a_place_that_is_torn_or_of_another_version_is_none(pieces: Pieces, path: Path) -> None:
    """Any flipped bit of it, and any other header of the journal."""
    pieces.note(0, 0, Span(10, 20), 1)
    raw = path.read_bytes()
    assert parse(raw, SEED + 1, GRID) == {}
    assert parse(raw[:-1], SEED, GRID) == {}
    for bit in range(8 * len(raw)):
        torn = bytearray(raw)
        torn[bit // 8] ^= 1 << bit % 8
        assert parse(bytes(torn), SEED, GRID) == {}


def test_a_place_that_cannot_be_written_is_no_failure(pieces: Pieces) -> None:
    """The pull goes on; a kill then costs what it costs without notes."""
    pieces.close()
    pieces.close()
    pieces.note(0, 0, Span(10, 20), 1)
    pieces.erase(0, 0)


@pytest.mark.parametrize("what", ["folder", "link", "pipe", "nothing"])
def test_what_is_no_file_is_let_be(path: Path, what: str) -> None:
    """Nobody waits for a pipe, and no link is followed."""
    if what == "folder":
        path.mkdir()
    elif what == "link":
        path.symlink_to("elsewhere")
    elif what == "pipe":
        os.mkfifo(path)
    assert read(path, SEED, GRID) == {}
    assert (Pieces.create(path, SEED) is None) == (what != "nothing")


def noted(tmp_path: Path) -> Journal:
    """A journal whose run was killed: it names segment 0, and lanes had noted that, all of 3 and some of 4."""
    journal = Journal.create(tmp_path / "journal", HEADER)
    journal.append(0, 10)
    pieces = Pieces.create(tmp_path / "pieces", journal.seed)
    assert pieces is not None
    for turn, (start, stop) in enumerate([(0, 100), (300, 400), (400, 450)]):
        pieces.note(0, turn, Span(start, stop), turn)
    pieces.close()
    journal.close()
    return journal


def test_the_next_run_writes_down_what_was_noted(tmp_path: Path) -> None:
    """A whole segment as one, what the journal names not again; then the places may be used again."""
    noted(tmp_path)
    claim = Claim.read(tmp_path / "journal")
    assert claim is not None and claim.nbytes == 250
    first = Journal.load(tmp_path / "journal")
    assert first is not None
    first.close()
    (tmp_path / "pieces").unlink()
    again = Journal.load(tmp_path / "journal")
    assert again is not None
    again.close()
    for journal in (first, again):
        assert journal.checks == {0: 10, 3: 1}
        assert journal.pieces == {Span(400, 450): 2}


def test_notes_of_another_header_are_none(tmp_path: Path) -> None:
    """The file has another version by now, and its journal is new: the bytes are not that version's."""
    noted(tmp_path)
    other = Header(url="http://h/m", url_hash=1, size=1000, segment_size=100, etag='"2"')
    Journal.create(tmp_path / "journal", other).close()
    claim = Claim.read(tmp_path / "journal")
    assert claim is not None and claim.nbytes == 0
    journal = Journal.load(tmp_path / "journal")
    assert journal is not None and journal.checks == journal.pieces == {}
    journal.close()
