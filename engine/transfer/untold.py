"""What a lane has written of its lease and not told yet: segments of which it is not known whether their frames are
sound, then the piece that it is in."""

from collections.abc import Callable

import xxhash

from engine.spans import Span
from engine.store.pieces import Pieces
from engine.transfer.cells import Cell
from engine.transfer.messages import Lease, PieceWritten, SegmentWritten, Up


class Untold:
    """Of one lease after the other; turn is the lane's number among all. Its caller sees to it that one thread is here
    at a time."""

    def __init__(self, turn: int, cell: Cell, emit: Callable[[Up], None]) -> None:
        self._turn = turn
        self._cell = cell
        self._emit = emit
        self._parts: list[tuple[Span, SegmentWritten | PieceWritten]] = []
        """What is over, in order, with its message."""
        self._piece = 0
        """Pieces are numbered, so that each has a place among the notes."""
        self.notes: Pieces | None = None
        """Where the piece is noted, for whoever survives; None for a body that may yet turn out to be none."""
        self._sound = 0
        """Up to here the body's frames have turned out to be sound."""
        self._begin_piece(0)

    @property
    def start(self) -> int:
        return self._parts[0][0].start if self._parts else self._piece_start

    def begin(self, lease: Lease) -> None:
        """Nothing of this one is written."""
        self._ids = lease.lease, lease.file
        self.notes = None
        self._parts.clear()
        self._sound = lease.span.start if lease.span else 0
        self._begin_piece(self._sound)

    def add(self, data: bytes) -> None:
        """data is on disk, too."""
        self.stop += len(data)
        self._xxh3.update(data)
        if self.notes is not None:
            span = Span(self._piece_start, self.stop)
            self.notes.note(self._turn, self._piece, span, self._xxh3.intdigest())

    def end_segment(self, index: int, segment: Span) -> None:
        """What is written is all that the lease has of this one."""
        piece = Span(self._piece_start, self.stop)
        if piece == segment:
            self._parts.append((piece, SegmentWritten(*self._ids, index, self._xxh3.intdigest())))
        elif piece:
            self._parts.append((piece, PieceWritten(*self._ids, piece)))
        self._begin_piece(self.stop)
        self.tell(self._sound)

    def tell(self, stop: int) -> None:
        """The frames up to stop are sound: report what is over by then."""
        self._sound = max(self._sound, stop)
        while self._parts and self._parts[0][0].stop <= self._sound:
            _, message = self._parts.pop(0)
            self._count()
            self._emit(message)
        self._count()

    def tell_rest(self) -> int:
        """The lease ends: report what is sound. How many bytes are not, and thrown away."""
        rest = Span(self.start, max(self.start, self._sound))
        discarded = self._go_back(rest.stop)
        if rest:
            self._emit(PieceWritten(*self._ids, rest))
        return discarded

    def drop(self) -> int:
        """None of it is to be believed. How many bytes that are."""
        if self.notes is not None:
            self.notes.erase(self._turn, self._piece)
        return self._go_back(self.start)

    def _go_back(self, position: int) -> int:
        discarded = self.stop - position
        self._parts.clear()
        self._sound = position
        self._begin_piece(position)
        return discarded

    def _begin_piece(self, position: int) -> None:
        self._piece_start = self.stop = position
        self._piece += 1
        self._xxh3 = xxhash.xxh3_64()
        self._count()

    def _count(self) -> None:
        self._cell.set_unreported(self.stop - self.start)
