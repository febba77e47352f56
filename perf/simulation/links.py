"""Links as a pull meets them: how fast each of its connections runs, as a fluid (pure).

Nothing is lost and nothing queues: connections that meet in a cable share it fairly (max-min), and each is at its
new rate at once. What a connection brings of its own: a cap, drawn when it is made and kept as long as it lives, as
with the edges of a CDN, and a window that doubles with each round trip (slow start, RFC 5681 §3.1).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

FIRST_WINDOW_BYTES = 10 * 1448
"""RFC 6928: ten segments, of Ethernet's usual payload."""
UNLIMITED = float("inf")


@dataclass(frozen=True)
class Link:
    """Rates are bytes a second, of content."""

    round_trip_s: float = 0.0005
    answer_s: float = 0.001
    """What a server takes to begin an answer besides the round trip: at least this, at most twice as much."""
    total: float = UNLIMITED
    """Of all connections together."""
    edges: tuple[tuple[float, float], ...] = ((1.0, UNLIMITED),)
    """(share of connections, cap of each), as nginx's split_clients draws them; shares add up to 1."""
    holds: int | None = None
    """More connections than this at work, and the link gives `collapsed` in total."""
    collapsed: float = UNLIMITED
    refuses_above: int | None = None
    """A request beside so many others at work is answered with 503."""
    has_slow_start: bool = False
    largest_window_bytes: float = UNLIMITED
    """What the receiver takes in a round trip, at most: a quarter to all of net.ipv4.tcp_rmem's last figure."""
    stalls_at_byte: int | None = None
    """The connection that brings this byte of all that come falls silent for ever."""

    def refuses(self, at_work: int) -> bool:
        """A request beside so many answers that are coming in."""
        return self.refuses_above is not None and at_work >= self.refuses_above

    def share(self, connections: Sequence["Connection"]) -> list[float]:
        """The rate of each connection at work."""
        left = self.total if self.holds is None or len(connections) <= self.holds else self.collapsed
        rates = [0.0] * len(connections)
        limits = sorted((connection.limit, place) for place, connection in enumerate(connections))
        for done, (limit, place) in enumerate(limits):
            rates[place] = min(limit, left / (len(limits) - done))
            left -= rates[place]
        return rates


class Connection:
    """One connection over a link; its edge is drawn from `draw`."""

    def __init__(self, link: Link, draw: random.Random) -> None:
        self._link = link
        self.cap = self._drawn(draw.random())
        self.is_silent = False
        self.window_bytes = FIRST_WINDOW_BYTES if link.has_slow_start else link.largest_window_bytes

    def _drawn(self, point: float) -> float:
        for share, cap in self._link.edges:
            if point < share:
                return cap
            point -= share
        return self._link.edges[-1][1]

    @property
    def limit(self) -> float:
        """The most that it brings by itself."""
        if self.is_silent:
            return 0.0
        window = self.window_bytes / self._link.round_trip_s if self._link.round_trip_s else UNLIMITED
        return min(self.cap, window)

    @property
    def grows(self) -> bool:
        """Whether another round trip makes its window worth more."""
        most = min(self._link.largest_window_bytes, min(self.cap, self._link.total) * self._link.round_trip_s)
        return self.window_bytes < most

    def grow(self) -> None:
        """A round trip has passed in which it was at work."""
        self.window_bytes = min(2 * self.window_bytes, self._link.largest_window_bytes)
