"""The world that is made up: a clock, a link, and lanes that ask, wait, receive, and are taken back.

Between two events all rates stand still, so time goes from event to event: a segment is whole, a lease is at its end,
an answer begins, a window has grown, the coordinator looks at its lanes, a file's hash is through.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass

from engine.spans import Span
from engine.transfer.cells import BODY, IDLE
from engine.transfer.messages import Down, Revoke, Shorten
from engine.transport.retry import Failure
from perf.simulation.deciding import Decider, Order
from perf.simulation.files import File
from perf.simulation.hashing import Hashing
from perf.simulation.lanes import Host, Lane
from perf.simulation.links import Connection, Link

_NEAR = 0.5
"""Less than a byte is nothing."""
_LATE_S = 0.002
"""A loop that waits for a moment wakes up to so much after it."""
_REFUSED = Failure(kind="status", message="", status=503)


@dataclass(frozen=True)
class Pull:
    """What is pulled, and on what machine."""

    size: int
    """Bytes of each file."""
    files: int = 1
    lanes: int | None = None
    """As --connections; None lets the engine choose."""
    learned: int | None = None
    """What an earlier pull found to pay."""
    hash_bytes_s: float = 0.0
    """Of one core; 0: nothing is verified."""
    cores: int = 2
    worker_start_s: float = 0.1
    """From calling for a further worker process to its first request (the first one is up when time begins)."""


class World:
    """One pull over a link, from the first request to the last byte's hash."""

    def __init__(
        self, link: Link, pull: Pull, seed: int = 0, make_file: Callable[[int, int], File] = File
    ) -> None:
        """make_file(number, size)."""
        self.now = self.came = 0.0
        self.discarded = 0
        self.last_byte_at = 0.0
        self.lanes_over_time: list[tuple[float, int]] = []
        self.came_over_time: list[tuple[float, float]] = [(0.0, 0.0)]
        self._link, self._pull = link, pull
        self._draw = random.Random(seed)
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._turn = itertools.count()
        self._hosts: list[Host] = []
        self._orders: list[Down] = []
        """To lanes at work, not yet carried out."""
        self._at_work: dict[int, Lane] = {}
        """By lease."""
        self._flowing: list[Lane] = []
        self._is_stale = True
        """The rates are."""
        self._has_stalled = link.stalls_at_byte is None
        self.hashing = Hashing(pull.hash_bytes_s, pull.cores)
        self.decider = Decider(
            pull.files,
            lambda n: make_file(n, pull.size),
            self._new_host,
            pull.cores,
            pull.lanes,
            pull.learned,
        )

    def run(self, until_s: float = float("inf")) -> "World":
        """To the end, or so far; may be called again."""
        if not self._timers:
            self._tick()
        while not self.decider.is_over and self.now < until_s:
            self._dispatch()
            self._advance(min(self._until_next(), until_s - self.now))
            self._reach_edges()
            self._finish_files()
            while self._timers and self._timers[0][0] <= self.now:
                heapq.heappop(self._timers)[2]()
        return self

    def _at(self, moment: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (moment, next(self._turn), action))

    def _tick(self) -> None:
        self.decider.tick(self.now)
        count = self.decider.lane_count.now
        if not self.lanes_over_time or count != self.lanes_over_time[-1][1]:
            self.lanes_over_time.append((self.now, count))
        self.came_over_time.append((self.now, self.came))
        self._at(self.now + self.decider.tick_s + self._draw.uniform(0.0, _LATE_S), self._tick)

    def _new_host(self, lanes: int) -> Host:
        up_at = self.now + (self._pull.worker_start_s if self._hosts else 0.0)
        self._hosts.append(Host(self, lanes, up_at, self._orders))
        return self._hosts[-1]

    # Orders

    def _dispatch(self) -> None:
        while self._orders:
            self._obey(self._orders.pop(0))
        for order in self.decider.dispatch(self.now):
            self._ask(order)

    def _obey(self, order: Down) -> None:
        """What is said of a lease that is over is for nobody."""
        lane = self._at_work.get(order.lease) if isinstance(order, Revoke | Shorten) else None
        if lane is None or lane.order is None:
            return
        if isinstance(order, Revoke):
            self._revoke(lane)
        elif isinstance(order, Shorten) and not lane.order.is_first:
            stop = lane.shorten(order.stop, self._file(lane).segment_size)
            is_over = stop <= lane.position + _NEAR
            self.decider.shortened(order.lease, stop, self.now, is_over=is_over)
            if is_over:
                self._revoke(lane)

    def _ask(self, order: Order) -> None:
        lane: Lane = order.cell
        self._at_work[order.number] = lane
        lane.order, lane.asked_at = order, self.now
        lane.begin(order.span)
        trips = 1 if lane.connection else 2
        lane.connection = lane.connection or Connection(self._link, self._draw)
        wait_s = trips * self._link.round_trip_s + self._link.answer_s * self._draw.uniform(1.0, 2.0)
        self._at(max(self.now, lane.host.up_at) + wait_s, lambda: self._answer(lane, order))

    def _answer(self, lane: Lane, order: Order) -> None:
        if lane.order is not order:
            return  # revoked since
        if self._link.refuses(len(self._flowing)):
            self._end(lane, failure=_REFUSED)
            return
        if order.is_first:
            lane.begin(self.decider.opened(order.number, order.span))
        lane.body_at = self.now
        lane.set_state(BODY)
        lane.aim(self._file(lane).segment_size)
        self._flowing.append(lane)
        self._is_stale = True
        self._grow_later(lane, order)

    def _grow_later(self, lane: Lane, order: Order) -> None:
        connection = lane.connection
        if connection is None or not connection.grows:
            return

        def grow() -> None:
            if lane.order is order:
                connection.grow()
                self._is_stale = True
                self._grow_later(lane, order)

        self._at(self.now + self._link.round_trip_s, grow)

    def _file(self, lane: Lane) -> File:
        assert lane.order is not None
        return self.decider.file_of(lane.order.number)

    # Time passes

    def _until_next(self) -> float:
        if self._is_stale:
            self._is_stale = False
            rates = self._link.share([lane.connection for lane in self._flowing if lane.connection])
            for lane, rate in zip(self._flowing, rates, strict=True):
                lane.rate = rate
        spans = [(lane.edge - lane.position) / lane.rate for lane in self._flowing if lane.rate]
        spans.append(self._timers[0][0] - self.now)
        spans.append(self.hashing.until_next(self.decider.active.values()))
        if not self._has_stalled and (total := sum(lane.rate for lane in self._flowing)):
            spans.append(((self._link.stalls_at_byte or 0) - self.came) / total)
        return max(0.0, min(spans))

    def _advance(self, dt: float) -> None:
        self.now += dt
        for lane in self._flowing:
            if lane.rate:
                lane.receive(lane.rate * dt)
                self.came += lane.rate * dt
        self.hashing.advance(self.decider.active.values(), dt)
        if not self._has_stalled and self._flowing and self.came >= (self._link.stalls_at_byte or 0) - _NEAR:
            connection = self._draw.choice(self._flowing).connection
            if connection is not None:
                connection.is_silent = self._has_stalled = self._is_stale = True

    def _reach_edges(self) -> None:
        for lane in [lane for lane in self._flowing if lane.edge - lane.position < _NEAR]:
            lane.position = lane.edge
            self._reached(lane)

    def _reached(self, lane: Lane) -> None:
        self.last_byte_at = self.now
        file = self._file(lane)
        if file.plan is not None:
            self._report(lane, file)
            self.hashing.note_lag(self.decider.active.values())
        if lane.edge == lane.stop:
            self._end(lane)
        else:
            lane.aim(file.segment_size)

    def _report(self, lane: Lane, file: File) -> None:
        """What it has written: a segment where all of it came over this lane, else a piece of one."""
        assert lane.order is not None
        piece = Span(lane.piece_start, int(lane.position))
        index = piece.start // file.segment_size
        if piece == file.grid.span_of(index):
            self.decider.wrote_segment(lane.order.number, index)
        elif piece:
            self.decider.wrote_piece(lane.order.number, piece)
        lane.piece_start = piece.stop

    def _revoke(self, lane: Lane) -> None:
        lost = 0
        if lane.state == BODY:
            lost = lane.drop_block()
            self._report(lane, self._file(lane))
        self._end(lane, lost=lost, is_revoked=True)

    def _end(
        self, lane: Lane, *, lost: int = 0, failure: Failure | None = None, is_revoked: bool = False
    ) -> None:
        order, has_body = lane.order, lane.state == BODY
        assert order is not None
        wait_s = (lane.body_at if has_body else self.now) - lane.asked_at
        if has_body:
            self._flowing.remove(lane)
            self._is_stale = True
        if failure is not None or is_revoked or lane.is_shortened:
            lane.connection = None
            lost += int(lane.rate * self._link.round_trip_s)  # it was on its way
        lane.order, lane.rate = None, 0.0
        lane.set_state(IDLE)
        del self._at_work[order.number]
        self.discarded += lost
        self.decider.ended(
            order.number,
            self.now,
            wait_s=wait_s,
            receive_s=self.now - lane.asked_at - wait_s,
            discarded_bytes=lost,
            failure=failure,
            is_revoked=is_revoked,
        )

    def _finish_files(self) -> None:
        for file in [file for file in self.decider.active.values() if self.hashing.is_through(file)]:
            self.decider.finish(file)
