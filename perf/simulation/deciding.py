"""The engine's decisions in a world that is made up: what Coordinator, Staffing and FileTransfer do.

The parts that decide are the real ones: Plan, LaneCount, Fleet, Ledger, Watch, Relief, Setbacks. What is repeated
here is how the coordinator brings them together; when that changes, this is the file to change.
"""

import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from engine.errors import EngineError
from engine.settings import Settings
from engine.spans import Span
from engine.transfer.fleet import Fleet, Sizing, Slot
from engine.transfer.health import Verdict
from engine.transfer.lane_count import Figures, LaneCount
from engine.transfer.ledger import Ledger
from engine.transfer.messages import Shortened
from engine.transfer.relief import Relief
from engine.transfer.watch import Watch
from engine.transport.auth import Credentials
from engine.transport.retry import Failure
from perf.simulation.files import File

_TICK_S, _SHORT_TICK_S = 0.1, 0.02
_OPEN_FILES = 48
_STALL_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Order:
    """A lease for a lane. is_first: nothing is known of the file yet; its answer is waited for."""

    cell: Any
    number: int
    span: Span
    is_first: bool


@dataclass
class Cost:
    """What the decisions took of the processor that runs the model, by its own clock."""

    seconds: float = 0.0
    leases: int = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        started = time.thread_time()
        try:
            yield
        finally:
            self.seconds += time.thread_time() - started


class ModelFleet(Fleet):
    """The engine's fleet, on a machine of so many cores. new_host(lanes) stands in for starting a worker process."""

    def __init__(self, lanes: int, cores: int, new_host: Callable[[int], Any]) -> None:
        super().__init__(Settings(connections=lanes), Credentials(), queue.SimpleQueue())
        self._sizing = Sizing(lanes, min(cores, -(-lanes // 4)))
        self._new_host = new_host

    def _new_process(self) -> Any:
        return self._new_host(self._lanes_each)


@dataclass
class Decider:
    """Of one pull of `files` files."""

    files: int
    make_file: Callable[[int], File]
    new_host: Callable[[int], Any]
    cores: int = 2
    asked: int | None = None
    learned: int | None = None
    cost: Cost = field(default_factory=Cost)
    active: dict[int, File] = field(default_factory=dict)
    journal_bytes: int = 0
    largest_journal_bytes: int = 0
    first_idle_at: float | None = None
    """When a lane that may work first found nothing left to do."""

    def __post_init__(self) -> None:
        self.lane_count = LaneCount(self.asked, learned=self.learned)
        self._fleet = ModelFleet(self.lane_count.ceiling, self.cores, self.new_host)
        self._ledger = Ledger()
        self._watch = Watch(_STALL_TIMEOUT_S)
        self._relief = Relief(self._ledger, self._watch)
        self._has_idle = False
        self._begun = self._done_bytes = self._wholes = 0

    @property
    def is_over(self) -> bool:
        return not self.active and self._begun == self.files

    def file_of(self, number: int) -> File:
        """Whose lease it is."""
        return self.active[self._ledger.file_of(number)]

    # Coordinator._admit, Staffing.staff, Coordinator._dispatch, _give_lease

    def dispatch(self, now: float) -> list[Order]:
        """Orders for idle lanes, files in order."""
        with self.cost.counted():
            while len(self.active) < _OPEN_FILES and self._begun < self.files:
                self.active[self._begun] = self.make_file(self._begun)
                self._begun += 1
            self._fleet.start(
                processes=True, lanes=self.lane_count.now, are_small=2 * self._wholes > self.cost.leases
            )
            return self._orders(now)

    def _orders(self, now: float) -> list[Order]:
        self._has_idle = False
        if self._vacancies <= 0:
            return []
        idle = self._fleet.idle_slots()[: self._vacancies]
        idle.reverse()
        orders = []
        for file in self.active.values():
            while idle and (order := self._lease(file, idle[-1], now)):
                orders.append(order)
                idle.pop()
            if not idle:
                return orders
        self._has_idle = bool(self._ledger)
        if self.first_idle_at is None and not self._missing and all(f.is_known for f in self.active.values()):
            self.first_idle_at = now
        return orders

    @property
    def _vacancies(self) -> int:
        return self.lane_count.now - self._fleet.busy_count

    @property
    def _missing(self) -> int:
        return sum(file.missing_segments for file in self.active.values()) + self.files - self._begun

    def _lease(self, file: File, slot: Slot, now: float) -> Order | None:
        if now < file.resume_at or not file.may_lease:
            return None
        is_first, number = not file.is_known, self._ledger.next_number
        span = file.next_span(number, self._watch.lease_bytes(slot), self._lanes_for(file))
        if span is None:
            return None
        self.cost.leases += 1
        file.out[number] = file.setbacks.round
        self._ledger.enter(slot, file.number)
        self._watch.begin(slot, number, now)
        return Order(slot.cell, number, span, is_first)

    def _lanes_for(self, file: File) -> int:
        """Staffing.lanes_for, Roster.missing_beside."""
        lanes, others = self.lane_count.soon, self.files - self._begun
        for other in self.active.values():
            if others >= lanes:
                return 1
            others += other.missing_segments if other is not file else 0
        return max(1, lanes - others)

    # What lanes report

    def opened(self, number: int, span: Span) -> Span:
        """The first answer of a file has come, for a lease of this span; what its lane shall bring."""
        with self.cost.counted():
            return self.file_of(number).opened(number, span)

    def wrote_segment(self, number: int, index: int) -> None:
        with self.cost.counted():
            self.file_of(number).wrote_segment(index)

    def wrote_piece(self, number: int, piece: Span) -> None:
        """Up to a segment's edge, or a lease's, of a segment that did not come whole."""
        with self.cost.counted():
            self.file_of(number).wrote_piece(piece)

    def shortened(self, number: int, stop: int, now: float, *, is_over: bool) -> None:
        """A lane will go no further than this under its lease. is_over: it has come there already."""
        with self.cost.counted():
            file: Any = self.file_of(number)
            self._relief.taken(Shortened(number, file.number, stop, is_over), file, now)

    def ended(
        self,
        number: int,
        now: float,
        *,
        wait_s: float = 0.0,
        receive_s: float = 0.0,
        discarded_bytes: int = 0,
        failure: Failure | None = None,
        is_revoked: bool = False,
    ) -> None:
        """Coordinator._lease_ended, Staffing.lease_ended, FileTransfer.lease_ended."""
        with self.cost.counted():
            file, slot = self.file_of(number), self._ledger.strike(number)
            assert slot is not None
            if failure is None and not is_revoked:
                self.lane_count.answered(wait_s, receive_s)
            self._watch.end(slot, now, wait_s=wait_s, is_revoked=is_revoked, has_failed=failure is not None)
            slot.is_draining = False  # the model's lanes come back at once
            if failure is not None and failure.is_pushback:
                self.lane_count.pushed_back(now, self._fleet.busy_count + 1)
            round_ = file.out[number]
            self._wholes += file.plan is None and failure is None
            file.discarded += discarded_bytes
            file.ended(number, is_whole=failure is None and not is_revoked)
            if failure is not None:
                self._failed(file, failure, round_, now)

    def _failed(self, file: File, failure: Failure, round_: int, now: float) -> None:
        again = file.setbacks.judge(failure, round_, file.written, keeps=True, is_stream=False)
        if isinstance(again, EngineError):
            raise again
        file.resume_at = max(file.resume_at, now + again.wait_s)

    def finish(self, file: File) -> None:
        """It has come and is proven."""
        with self.cost.counted():
            del self.active[file.number]
            self._done_bytes += file.size
            nbytes = file.close()
            self.journal_bytes += nbytes
            self.largest_journal_bytes = max(self.largest_journal_bytes, nbytes)

    # Coordinator._tick, Staffing.count

    @property
    def tick_s(self) -> float:
        """Between two looks."""
        return _SHORT_TICK_S if self._has_idle or self.lane_count.is_climbing else _TICK_S

    def tick(self, now: float) -> None:
        """Judge the number of lanes, and each lane."""
        with self.cost.counted():
            self._count(now)
            done = self._done_bytes + sum(file.written for file in self.active.values())
            for verdict in self._watch.look(self._ledger.slots, now, done_bytes=done, is_limited=False):
                self._replace(verdict, now)
            files: Any = self.active.values()
            if self._has_idle:
                only_slow = not self.lane_count.is_in_proportion
                self._relief.give(self._vacancies, files, now, only_slow=only_slow)
            self._relief.unblock(files, now)

    def _count(self, now: float) -> None:
        lanes = self.lane_count.now
        self.lane_count.recover(now)
        self.lane_count.look(
            Figures(
                now,
                received_bytes=self._fleet.received_bytes,
                delivering=self._fleet.delivering,
                may_grow=self._missing >= lanes,
                is_full=lanes - lanes // 8 - 1 <= self._fleet.busy_count <= lanes,
                silent_s=self._fleet.silent_s,
            )
        )

    def _replace(self, verdict: Verdict, now: float) -> None:
        file = self.file_of(verdict.lease)
        self._watch.gave_up(self._ledger.slots[verdict.lease], now)
        self._ledger.revoke(verdict.lease, now)
        self._failed(file, Failure(kind=verdict.kind, message=""), file.out[verdict.lease], now)
