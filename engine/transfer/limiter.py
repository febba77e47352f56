"""The rate limiter: a budget that fills with time, dealt out to the lanes' cells every tick. Pure but for the cells.

The coordinator has one for all lanes of all worker processes. An allowance is an absolute count of bytes that only the
limiter writes, so nothing is granted twice: whatever a lane takes between two deals, from whichever allowance it has
read, comes off what it is given next. Files get equal shares, and so do the lanes of a file; what one cannot use goes
to those that can (max-min fairness, as in Bertsekas and Gallager, Data Networks, §6.5.2).
"""

import math
from collections.abc import Iterable, Sequence

from engine.transfer.cells import UNLIMITED, Cell

_BURST_S = 0.25
"""What may be saved up, in seconds of the rate: a coordinator or lanes that were late catch up with so much, and over
ten seconds the rate is exceeded by 2.5 % at most."""
_FIRST_S = 0.1
_WINDOW_S = 0.09
"""Just under a tick. Deals may come closer together, when leases are sent; what a lane uses is judged over this."""
_AHEAD_S = 0.15
"""Of a lane's share: a round trip of so much leaves it in reach. On loopback the kernel takes in twice that."""
_LEAST_BUFFER, _BUFFERED_UP_TO = 1 << 14, 2_500_000
_REACHED, _REACHED_FOR_S = 0.9, 0.5
FEW, MANY = 4, 1 << 20
"""Lanes: under the lowest rate, and without one."""
_WORTH_A_LANE = 1_000_000
"""Bytes a second that are worth a lane of their own."""


class _Hand:
    """What one lane holds."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.allowance = self.taken = self.mark = cell.taken
        self.share = self.left = 0
        """What it was granted, and what of that it did not use."""
        self.used = 0
        """Bytes taken in the last whole window."""
        self.is_hungry = self.was_hungry = True
        """Whether it used up what it had, in this window and in the last. A newcomer counts as such."""

    def wish(self, modest: float) -> float:
        """What it would take: no end, or twice what it uses and a modest part to show that it could use more."""
        return math.inf if self.is_hungry or self.was_hungry else 2 * self.used + modest

    def grant(self, share: int) -> None:
        self.share = share
        self.allowance = self.taken + share
        self.cell.set_allowance(self.allowance)


class Limiter:
    """At most rate bytes a second over all lanes; None is unlimited. `rate` may be changed while it runs."""

    def __init__(self, rate: int | None) -> None:
        self.rate = rate
        self._budget = 0.0
        self._last: float | None = None
        self._window_start = 0.0
        self._window_taken = 0
        self._reached_at = -math.inf
        self._hands: dict[Cell, _Hand] = {}

    @property
    def is_reached(self) -> bool:
        """Whether the lanes have used the rate up of late, so that more of them would bring nothing."""
        return self._last is not None and self._last - self._reached_at < _REACHED_FOR_S

    @property
    def most_lanes(self) -> int:
        """More would only make their shares smaller: reads and windows too small for the work that each is."""
        return MANY if self.rate is None else max(FEW, int(self.rate // _WORTH_A_LANE))

    def receive_buffer(self, lanes: int) -> int:
        """Bytes that the kernel may take in ahead of one of so many lanes; 0 leaves that to the kernel. Left alone, it
        took in 2.4 MB a connection over TLS on loopback, whatever the rate; far above that nobody minds, and what
        a system allows to be asked for (Linux: net.core.rmem_max, 208 KiB) could be too little for a long way."""
        if self.rate is None or self.rate > _BUFFERED_UP_TO * lanes:
            return 0
        return max(_LEAST_BUFFER, int(self.rate / lanes * _AHEAD_S))

    def must_deal_to(self, cell: Cell) -> bool:
        """Whether a lane that gets a lease cannot wait for the next tick: it holds nothing, or has never been dealt to
        and would take what it likes. With small files most lanes still hold something from the lease before."""
        return self.rate is not None and (cell not in self._hands or cell.room <= 0)

    def deal(self, now: float, files: Iterable[Sequence[Cell]]) -> None:
        """Share what has accrued since the last call among the lanes at work, given by file. What was not used comes
        back first, so nothing is saved up by lanes that wait."""
        if self.rate is None:
            self._lift(files)
            return
        if self._last is None:
            self._window_start, self._last = now, now - _FIRST_S
        self._budget += self.rate * (now - self._last)
        self._last = now
        self._collect()
        hands = self._seat(files)
        # A byte a lane may be saved up: below that, integer shares would be nothing for ever.
        self._budget = min(self._budget, max(self.rate * _BURST_S, len(self._hands)))
        if now - self._window_start >= _WINDOW_S:
            self._close_window(now)
        self._hand_out(hands)

    def _lift(self, files: Iterable[Sequence[Cell]]) -> None:
        self._hands.clear()
        self._budget, self._last, self._window_taken = 0.0, None, 0
        for cells in files:
            for cell in cells:
                cell.set_allowance(UNLIMITED)

    def _collect(self) -> None:
        """Take back what was not used; a lane that took more than it now has pays it back."""
        for cell, hand in self._hands.items():
            before, hand.taken = hand.taken, cell.taken
            self._window_taken += hand.taken - before
            room = hand.allowance - hand.taken
            self._budget += room
            hand.allowance = hand.taken
            hand.left = max(room, 0)
            hand.is_hungry |= 4 * room <= hand.share

    def _seat(self, files: Iterable[Sequence[Cell]]) -> list[list[_Hand]]:
        """Lanes that have a lease now, by file; those that have none any more hold nothing."""
        hands = [[self._hands.get(cell) or _Hand(cell) for cell in cells] for cells in files]
        seated = {hand.cell: hand for file in hands for hand in file}
        for cell in self._hands.keys() - seated.keys():
            cell.set_allowance(self._hands[cell].taken)
        self._hands = seated
        return hands

    def _close_window(self, now: float) -> None:
        assert self.rate is not None  # noqa: S101 - deal() has looked
        if self._window_taken >= _REACHED * self.rate * (now - self._window_start):
            self._reached_at = now
        self._window_start, self._window_taken = now, 0
        for hand in self._hands.values():
            hand.used, hand.mark = hand.taken - hand.mark, hand.taken
            hand.was_hungry, hand.is_hungry = hand.is_hungry, False

    def _hand_out(self, files: list[list[_Hand]]) -> None:
        budget = max(self._budget, 0.0)
        modest = budget / (8 * max(len(self._hands), 1))
        wishes = [[hand.wish(modest) for hand in hands] for hands in files]
        left = [sum(hand.left for hand in hands) for hands in files]
        shares = _shares(budget, [sum(each) for each in wishes], left)
        for hands, each, share in zip(files, wishes, shares, strict=True):
            for hand, part in zip(hands, max_min(share, each), strict=True):
                hand.grant(int(part))
                self._budget -= hand.share


def _shares(budget: float, wishes: list[float], left: list[int]) -> list[float]:
    """What each file gets. It keeps what its lanes left, as far as it wishes so much: a lane that could not use its
    part leaves it to the lanes of its own file first."""
    kept = [min(pair) for pair in zip(wishes, left, strict=True)]
    scale = min(1.0, budget / (sum(kept) or 1.0))  # the rate may have been lowered
    kept = [keep * scale for keep in kept]
    more = max_min(budget - sum(kept), [wish - keep for wish, keep in zip(wishes, kept, strict=True)])
    return [keep + share for keep, share in zip(kept, more, strict=True)]


def max_min(amount: float, wishes: Sequence[float]) -> list[float]:
    """Equal shares of amount, but nobody gets more than it wishes while another one wants more. What nobody wishes is
    shared equally, too: a wish is a guess."""
    shares, left = [0.0] * len(wishes), amount
    for rank, index in enumerate(sorted(range(len(wishes)), key=wishes.__getitem__)):
        shares[index] = min(wishes[index], left / (len(wishes) - rank))
        left -= shares[index]
    return [share + max(left, 0.0) / len(wishes) for share in shares]
