"""Lanes and their hosts, as the world moves them and the engine's watch sees them."""

import math
from typing import Protocol

from engine.spans import Span
from engine.transfer.cells import IDLE
from engine.transfer.messages import Down
from perf.simulation.deciding import Order
from perf.simulation.links import Connection

_BLOCK_S, _LEAST_BLOCK, _LARGEST_BLOCK = 0.05, 1 << 14, 1 << 20
"""lane.py: what a lane reads at once, and so may have to throw away."""


class Clock(Protocol):
    now: float


class Lane:
    """One lane. To the watch it is its cell: it answers as engine.transfer.cells.Cell does."""

    def __init__(self, clock: Clock, host: "Host") -> None:
        self._clock = clock
        self.host = host
        self.state = IDLE
        self._touched = 0.0
        self._received = 0.0
        self.position = 0.0
        """Of the next byte in the file, fractions included."""
        self.rate = 0.0
        self.order: Order | None = None
        self.piece_start = self.stop = self.edge = 0
        """Of what is not reported yet; the lease's end; where it next has something to report."""
        self.is_shortened = False
        self.connection: Connection | None = None
        self.asked_at = self.body_at = 0.0

    @property
    def received(self) -> int:
        return int(self._received)

    @property
    def silent_s(self) -> float:
        return self._clock.now - self._touched

    def set_state(self, state: int) -> None:
        self.state, self._touched = state, self._clock.now

    def receive(self, nbytes: float) -> None:
        self.position += nbytes
        self._received += nbytes
        self._touched = self._clock.now

    @property
    def unreported(self) -> int:
        return int(self.position) - self.piece_start if self.order is not None else 0

    def begin(self, span: Span) -> None:
        """The span that its lease has."""
        self.position = self.piece_start = span.start
        self.stop, self.is_shortened = span.stop, False

    def shorten(self, stop: int, segment_size: int) -> int:
        """End the lease at stop, or where it has come to. Returns where it ends now."""
        stop = max(stop, math.ceil(self.position))
        if stop < self.stop:
            self.stop, self.is_shortened = stop, True
            self.aim(segment_size)
        return self.stop

    def aim(self, segment_size: int) -> None:
        """Where it next has something to report: its segment's edge, or its lease's end."""
        self.edge = min((self.piece_start // segment_size + 1) * segment_size, self.stop)

    def drop_block(self) -> int:
        """What it has read but not written is thrown away: a block that is not whole. How many bytes that are."""
        block = int(min(max(self.rate * _BLOCK_S, _LEAST_BLOCK), _LARGEST_BLOCK))
        lost = int(self.position - self.piece_start) % block
        self.position -= lost
        return lost


class Host:
    """A worker process and its lanes; none of them asks before it is up."""

    is_process = True

    def __init__(self, clock: Clock, lanes: int, up_at: float, orders: list[Down]) -> None:
        """orders: where what the ledger says to lanes is laid down."""
        self._clock = clock
        self.up_at = up_at
        self.cells = [Lane(clock, self) for _ in range(lanes)]
        self._orders = orders

    @property
    def has_spoken(self) -> bool:
        return self._clock.now >= self.up_at

    def send(self, order: Down, fds: tuple[int, ...] = ()) -> None:
        self._orders.append(order)

    def kill(self) -> None:
        pass
