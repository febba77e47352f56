"""Whose file gets the next lane."""

from collections import Counter
from collections.abc import Sequence

from engine.transfer.file_transfer import FileTransfer


class Turns:
    """Files in order, so that one after the other is done; where they share a rate, the one with the fewest lanes
    first. Origins that have not answered yet have equal shares, and while they have a lane, the others come before
    them: who is silent would have all lanes else, in the end."""

    def __init__(self) -> None:
        self._answered: set[str] = set()

    def heard(self, transfer: FileTransfer) -> None:
        """Its origin has answered."""
        self._answered.add(transfer.origin)

    def begin(self, transfers: Sequence[FileTransfer], *, is_limited: bool) -> None:
        """Leases are about to be given to these."""
        self._is_limited = is_limited
        self._unanswered = Counter[str]()
        if len({transfer.origin for transfer in transfers}) > 1:
            for transfer in transfers:
                self.given(transfer, len(transfer.leases.out))

    def given(self, transfer: FileTransfer, leases: int = 1) -> None:
        if transfer.origin not in self._answered:
            self._unanswered[transfer.origin] += leases

    def next(self, transfers: Sequence[FileTransfer]) -> FileTransfer:
        if self._is_limited:
            return min(transfers, key=lambda t: (self._unanswered[t.origin], len(t.leases.out)))
        if len(self._unanswered):
            return min(transfers, key=lambda t: self._unanswered[t.origin])
        return transfers[0]
