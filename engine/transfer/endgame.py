"""The end of a file, when nothing is left to be leased and some lanes still work. Pure: figures in, a decision out.

An idle lane takes over the back of the lease that would end last, just so much that both are done together. The holder
keeps its connection up to there. A holder that has stopped moving loses all it has not written: so there is no need to
fetch anything twice, and no single lane can hold up a file.
"""

from collections.abc import Iterable

import msgspec

WORTH_S = 0.1
"""Taking over must save so much, and a fifth of the wait: a new request costs the server something, too."""
_WORTH_SHARE = 0.2
_GRAIN_BYTES = 1 << 16
"""Leases are cut at multiples of this, so that writes stay whole pages."""
WASTE_SHARE, WASTE_BYTES = 0.02, 32 << 20
"""What this may cost a file in bytes thrown away, whichever is more: a connection that is cut has more on the way."""


class Rest(msgspec.Struct, frozen=True):
    """What a lease that is out has still to bring."""

    lease: int
    start: int
    """Next byte, as far as is known."""
    stop: int
    rate_bytes_s: float
    """Of its lane, of late."""

    @property
    def seconds(self) -> float:
        return (self.stop - self.start) / max(self.rate_bytes_s, 1.0)


class Cut(msgspec.Struct, frozen=True):
    """End this lease at stop; what it would have brought beyond is for an idle lane."""

    lease: int
    stop: int


def choose_cut(rests: Iterable[Rest], rate_bytes_s: float, delay_s: float) -> Cut | None:
    """What an idle lane should take over, which would receive at this rate after this delay; None if nothing pays."""
    rest = max(rests, key=lambda rest: rest.seconds, default=None)
    if rest is None or rate_bytes_s <= 0:
        return None
    stop = _stop(rest, rate_bytes_s, delay_s)
    if stop >= rest.stop:
        return None
    both_s = max(
        (stop - rest.start) / max(rest.rate_bytes_s, 1.0), delay_s + (rest.stop - stop) / rate_bytes_s
    )
    if rest.seconds - both_s < max(WORTH_S, delay_s, _WORTH_SHARE * rest.seconds):
        return None
    return Cut(rest.lease, stop)


def _stop(rest: Rest, rate_bytes_s: float, delay_s: float) -> int:
    """Where both are done together; a holder that would keep less than a grain keeps nothing."""
    rate = max(rest.rate_bytes_s, 1.0)
    keeps = rate * (rest.stop - rest.start + delay_s * rate_bytes_s) / (rate_bytes_s + rate)
    return -(-int(rest.start + keeps) // _GRAIN_BYTES) * _GRAIN_BYTES if keeps >= _GRAIN_BYTES else rest.start


def may_waste(discarded: int, size: int) -> bool:
    """Whether a file of this size that has cost so many bytes thrown away may still be cut; all in bytes."""
    return discarded < max(WASTE_BYTES, int(WASTE_SHARE * size))
