"""What was fetched twice, by the server's own records, and which kill is to blame. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.spans import Span, SpanSet

_BLAMED_WITHIN_S = 1.0
"""A connection ends within moments of its process, as the server sees it; on a busy machine a little later."""


@dataclass(frozen=True)
class Delivery:
    """Bytes that were handed to the kernel under one request, and when that ended."""

    span: Span
    ended: float


@dataclass(frozen=True)
class Account:
    """Of one file."""

    by_kill: list[int]
    """Bytes that were sent again because of each kill."""
    otherwise: int
    """Sent again with no kill near: what was under way to a lane whose lease was cut short."""


def settle(deliveries: Sequence[Delivery], kills: Sequence[float]) -> Account:
    """deliveries in the order in which they were asked for; kills: when. What a delivery brought is lost as far as a
    later one brings it again, and is charged to the kill that is nearest to its end."""
    by_kill, otherwise, later = [0] * len(kills), 0, SpanSet()
    for delivery in reversed(deliveries):
        lost = len(delivery.span) - _outside(later, delivery.span)
        later.add(delivery.span)
        index = min(range(len(kills)), key=lambda i: abs(kills[i] - delivery.ended), default=None)
        if index is not None and abs(kills[index] - delivery.ended) <= _BLAMED_WITHIN_S:
            by_kill[index] += lost
        else:
            otherwise += lost
    return Account(by_kill, otherwise)


def _outside(known: SpanSet, span: Span) -> int:
    return known.complement(span).nbytes
