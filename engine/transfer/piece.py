"""What a lane has written and not told yet."""

import xxhash

from engine.spans import Span
from engine.store.pieces import Pieces


class Piece:
    """A stretch of the part that ends where its lane is, with its xxh3; one after the other."""

    def __init__(self, turn: int) -> None:
        self._turn = turn
        self._number = 0
        self.notes: Pieces | None = None
        """Where it is noted, for whoever survives; None for a body that may yet turn out to be none."""
        self.begin(0)

    def begin(self, position: int) -> None:
        """A new one, of nothing yet."""
        self.start = self.stop = position
        self._number += 1
        self._xxh3 = xxhash.xxh3_64()

    @property
    def span(self) -> Span:
        return Span(self.start, self.stop)

    @property
    def xxh3(self) -> int:
        return self._xxh3.intdigest()

    def add(self, data: bytes) -> None:
        """data has been written at its end."""
        self.stop += len(data)
        self._xxh3.update(data)
        if self.notes is not None:
            self.notes.note(self._turn, self._number, self.span, self.xxh3)

    def erase(self) -> None:
        """It is not to be believed."""
        if self.notes is not None:
            self.notes.erase(self._turn, self._number)
