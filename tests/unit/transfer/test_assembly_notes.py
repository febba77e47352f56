"""engine.transfer.assembly: what lanes noted counts where nobody has told of it, and not once it was found wrong."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import xxhash

from engine.settings import Settings
from engine.spans import Grid, Span
from engine.store.journal import Header
from engine.store.part import Part
from engine.transfer.assembly import Assembly

SEGMENT, COUNT = 1000, 4
CONTENT = os.urandom(SEGMENT * COUNT)
HEADER = Header(url="http://h/m", url_hash=1, size=len(CONTENT), segment_size=SEGMENT)


@pytest.fixture
def assembly(tmp_path: Path) -> Iterator[Assembly]:
    """All of the file has been asked for."""
    part = Part.try_open(tmp_path / "part")
    assert part is not None
    part.start(HEADER, len(CONTENT), "sparse")
    voice: Any = SimpleNamespace(planned=lambda *_, **__: None, notice=lambda _: None)
    made = Assembly("m", Settings(segment_size=SEGMENT), voice, lambda *_: None, lambda: None)
    made.part = part
    made.make_plan(Grid(len(CONTENT), SEGMENT), None, {})
    assert made.plan is not None
    made.plan.carve_rest(1)
    yield made
    made.close()


def write(assembly: Assembly, span: Span, *, turn: int = 0) -> int:
    """As a lane does; the check."""
    data = CONTENT[span.start : span.stop]
    os.pwrite(assembly.open_part.fd, data, span.start)
    check = xxhash.xxh3_64_intdigest(data)
    cast(Any, assembly.open_part.pieces).note(0, turn, span, check)
    return check


def test_what_nobody_told_is_found_within_the_lease(assembly: Assembly) -> None:
    """And read back before it counts."""
    write(assembly, Span(0, 300))
    write(assembly, Span(1000, 1700), turn=1)
    os.pwrite(assembly.open_part.fd, b"?", 1001)
    assert assembly.noted_in(Span(0, len(CONTENT))) == [Span(0, 300)]
    assert assembly.noted_in(Span(100, 2000)) == []
    assembly.wrote_piece(Span(0, 300))
    assert assembly.noted_in(Span(0, len(CONTENT))) == []


def test_what_is_lost_is_vouched_for_by_no_note(assembly: Assembly) -> None:
    """The content was wrong, and is to come again: an old note would take the wrong bytes for it."""
    for index in range(COUNT):
        span = Span(index * SEGMENT, (index + 1) * SEGMENT)
        assembly.wrote_segment(index, write(assembly, span, turn=index))
    assert assembly.is_complete
    assembly.lose([0, 2])
    assert assembly.noted_in(Span(0, len(CONTENT))) == []
    write(assembly, Span(0, 10))
    assert assembly.noted_in(Span(0, len(CONTENT))) == [Span(0, 10)]
