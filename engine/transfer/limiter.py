"""The rate limiter: a budget that fills with time, dealt out to the lanes' cells every tick. Pure but for the cells."""

from collections.abc import Sequence

from engine.transfer.cells import UNLIMITED, Cell

_BURST_S = 0.2


class Limiter:
    """At most rate bytes a second over all lanes; None is unlimited. `rate` may be changed while it runs."""

    def __init__(self, rate: int | None) -> None:
        self.rate = rate
        self._last: float | None = None
        self._budget = 0.0

    def deal(self, now: float, cells: Sequence[Cell]) -> None:
        """Share what has accrued since the last call among the lanes at work, equally; what a lane has not used
        comes back first, so that nothing is saved up by lanes that wait."""
        if self.rate is None:
            for cell in cells:
                cell.set_allowance(UNLIMITED)
            return
        self._budget += (now - self._last) * self.rate if self._last is not None else self.rate * _BURST_S / 2
        self._last = now
        for cell in cells:
            room = max(cell.room, 0)
            if room < UNLIMITED // 2:
                self._budget += room
            cell.set_allowance(cell.taken + min(cell.room, 0))
        self._budget = min(self._budget, self.rate * _BURST_S)
        share = int(max(self._budget, 0.0)) // max(len(cells), 1)
        for cell in cells:
            cell.set_allowance(cell.taken + share)
            self._budget -= share
