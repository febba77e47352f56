"""The rate limiter: a budget that fills with time, dealt out to the lanes' cells every tick. Pure but for the cells.

An allowance is an absolute count of bytes that only the limiter writes, so nothing is granted twice: whatever a lane
takes between two deals, from whichever allowance it has read, comes off what it is given next.
"""

from collections.abc import Sequence

from engine.transfer.cells import UNLIMITED, Cell

_BURST_S = 0.2
_WINDOW_S = 0.09
"""Just under a tick. Deals may come closer together, when leases are sent; what a lane uses is judged over this."""


class _Hand:
    """What one lane holds."""

    def __init__(self, taken: int) -> None:
        self.allowance = self.taken = self.mark = taken
        self.share = 0
        self.used = 0
        """Bytes taken in the last whole window."""
        self.is_hungry = self.was_hungry = True
        """Whether it used up what it had, in this window and in the last. A newcomer counts as such."""

    @property
    def wants_more(self) -> bool:
        return self.is_hungry or self.was_hungry


class Limiter:
    """At most rate bytes a second over all lanes; None is unlimited. `rate` may be changed while it runs."""

    def __init__(self, rate: int | None) -> None:
        self.rate = rate
        self._budget = 0.0
        self._last: float | None = None
        self._window_start = 0.0
        self._hands: dict[Cell, _Hand] = {}

    def deal(self, now: float, cells: Sequence[Cell]) -> None:
        """Share what has accrued since the last call among the lanes at work. What was not used comes back first, so
        nothing is saved up by lanes that wait, and lanes that cannot use their share leave it to the others."""
        if self.rate is None:
            self._hands.clear()
            for cell in cells:
                cell.set_allowance(UNLIMITED)
            return
        self._budget += (now - self._last) * self.rate if self._last is not None else self.rate * _BURST_S / 2
        self._last = now
        self._collect()
        self._seat(cells)
        # A byte a lane may be saved up: below that, integer shares would be nothing for ever.
        self._budget = min(self._budget, max(self.rate * _BURST_S, len(self._hands)))
        if now - self._window_start >= _WINDOW_S:
            self._window_start = now
            self._close_window()
        self._hand_out()

    def _collect(self) -> None:
        """Take back what was not used; a lane that took more than it now has pays it back."""
        for cell, hand in self._hands.items():
            hand.taken = cell.taken
            room = hand.allowance - hand.taken
            self._budget += room
            hand.allowance = hand.taken
            hand.is_hungry |= 4 * room <= hand.share

    def _seat(self, cells: Sequence[Cell]) -> None:
        """Lanes that have a lease now; those that have none any more hold nothing."""
        for cell in self._hands.keys() - set(cells):
            cell.set_allowance(self._hands.pop(cell).taken)
        for cell in cells:
            if cell not in self._hands:
                self._hands[cell] = _Hand(cell.taken)

    def _close_window(self) -> None:
        for hand in self._hands.values():
            hand.used, hand.mark = hand.taken - hand.mark, hand.taken
            hand.was_hungry, hand.is_hungry = hand.is_hungry, False

    def _hand_out(self) -> None:
        """Equal shares; but where some want more, the others get no more than twice what they use, and a little to
        show that they could use more."""
        budget = max(self._budget, 0.0)
        hungry = sum(hand.wants_more for hand in self._hands.values())
        equal = budget / max(len(self._hands), 1)
        for hand in self._hands.values():
            modest = min(equal, 2 * hand.used + equal / 8)
            hand.share = int(equal if not hungry else 0 if hand.wants_more else modest)
        left = budget - sum(hand.share for hand in self._hands.values())
        for cell, hand in self._hands.items():
            if hungry and hand.wants_more:
                hand.share = int(left / hungry)
            hand.allowance = hand.taken + hand.share
            self._budget -= hand.share
            cell.set_allowance(hand.allowance)
