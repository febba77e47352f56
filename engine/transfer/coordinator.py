"""The coordinator: one loop for all files of a pull, on the caller's thread.

It opens files, deals leases to idle lanes, takes in what lanes and helper threads report, and looks at every
lane's figures ten to fifty times a second. Everything that blocks is elsewhere: lanes receive and write, helper threads
hash, sync and rename; what they have to say arrives in one inbox.

What it keeps is elsewhere, too: files in the roster, leases in the ledger, lanes and hosts in staffing and the fleet,
progress in the reports. What ends it is shutdown.py.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from engine.errors import EngineError
from engine.settings import Settings, home
from engine.store import layout
from engine.telemetry import Log, redact
from engine.transfer.events import FileDone, Observer
from engine.transfer.file_transfer import FileTransfer, Shared
from engine.transfer.finisher import Finisher
from engine.transfer.fleet import Fleet, Slot, first_lanes
from engine.transfer.health import Verdict
from engine.transfer.helper_threads import HelperThreads, Homecoming
from engine.transfer.hosts import Host, Inbox
from engine.transfer.job import Job
from engine.transfer.lane_memory import LaneMemory
from engine.transfer.ledger import Ledger
from engine.transfer.limiter import Limiter
from engine.transfer.messages import (
    Closed,
    LaneFree,
    LeaseEnded,
    Opened,
    Paused,
    PieceWritten,
    SegmentWritten,
    Shortened,
    Whole,
)
from engine.transfer.relief import Relief
from engine.transfer.reports import Reports
from engine.transfer.roster import Roster
from engine.transfer.shutdown import Shutdown
from engine.transfer.signals import PutOffSignals
from engine.transfer.staffing import Staffing
from engine.transfer.turns import Turns
from engine.transfer.watch import Watch
from engine.transport.auth import Credentials
from engine.transport.pauses import Pauses
from engine.transport.retry import Failure

_log = Log(__name__)


class _OfThread(threading.local):
    """Pulls that are running, the outermost first: a callback may start another."""

    def __init__(self) -> None:
        self.rosters: list[Roster] = []


_of_this_thread = _OfThread()
_REFUSES_S = 30.0
"""A server that has refused a connection is taken to refuse others for so long: a slow one is better than none."""
_TICK_S, _SHORT_TICK_S = 0.1, 0.02
"""Between two looks; while it is not known how many lanes pay, and while lanes wait for what others have."""


class Coordinator:
    """Runs jobs to their ends. One use."""

    def __init__(
        self,
        jobs: Sequence[Job],
        settings: Settings,
        credentials: Credentials,
        observer: Observer,
        limit_rate: Callable[[], int | None] | None = None,
    ) -> None:
        """limit_rate is asked at least ten times a second; without it, what the settings say holds throughout."""
        self._signals = PutOffSignals()
        observer = self._signals.let_through(observer)
        self._inbox: Inbox = queue.SimpleQueue()
        self._in_hand: tuple[Any, Any] | None = None
        """The message that is being taken in: a Ctrl-C may strike in its midst, and its bytes are on disk."""
        self._threads = HelperThreads(self._inbox)
        self._finisher = Finisher(self._threads.submit)
        self._pauses = Pauses(layout.pauses(home()))
        shared = Shared(settings, observer, self._threads.submit, self._finisher, self._pauses)
        self._roster = Roster(jobs, shared, _of_this_thread.rosters)
        self._fleet = Fleet(settings, credentials, self._inbox)
        self._limit_rate = limit_rate or (lambda: settings.limit_rate)
        self._limiter = Limiter(self._limit_rate())
        memory = LaneMemory(layout.lanes(home()), jobs[0].remote.url)
        first = first_lanes(is_tls=jobs[0].remote.url.startswith("https:"))
        self._staffing = Staffing(settings, self._fleet, self._roster, self._limiter, memory, first=first)
        self._turns = Turns()
        self._ledger = Ledger()
        self._watch = Watch(settings.stall_timeout_s)
        self._reports = Reports(observer, settings.progress_interval_s)
        self._relief = Relief(self._ledger, self._watch)
        self._has_idle = False
        self._last_tick = 0.0

    @property
    def kept_bytes(self) -> int:
        """What stays on disk of unfinished files, and is used by the next run."""
        return self._roster.kept_bytes

    def run(self) -> list[FileDone | EngineError]:
        """Run all jobs; a failed one does not stop the others. Returns an outcome for each, in order.
        KeyboardInterrupt passes through, after everything has stopped; what was received is kept."""
        with self._signals:
            return self._run()

    def _run(self) -> list[FileDone | EngineError]:
        missing = EngineError("The pull ended before this file.")
        outer = _of_this_thread.rosters
        try:
            _of_this_thread.rosters = [*outer, self._roster]
            self._roster.check_space()
            while self._roster:
                self._step()
        except EngineError as exc:
            missing = exc
        finally:
            _of_this_thread.rosters = outer
            Shutdown(self._inbox, self._fleet, self._threads, self._ledger, self._roster).run(self._in_hand)
        return self._roster.outcomes(missing)

    # The loop

    def _step(self) -> None:
        now = time.monotonic()
        admitted = self._admit(now)
        self._sweep(now)
        self._staffing.staff()
        self._dispatch(now)
        if not self._roster:
            return
        may_admit = admitted and self._roster.has_room
        self._take_all(timeout_s=0.0 if may_admit else max(0.0, self._last_tick + self._tick_s - now))
        self._signals.handle()
        now = time.monotonic()
        is_due = now - self._last_tick >= self._tick_s
        self._finisher.flush(must_begin=is_due or not self._ledger)
        if is_due:
            self._last_tick = now
            self._tick(now)

    @property
    def _tick_s(self) -> float:
        if self._limiter.rate is not None:
            return _TICK_S  # shares of less time would be reads of little
        return _SHORT_TICK_S if self._has_idle or self._staffing.is_eager else _TICK_S

    def _admit(self, now: float) -> bool:
        """Open files that there is room for. Whether there were any: some need nothing, so there may be room again."""
        admitted = self._roster.admit(now)
        for transfer in admitted:
            self._reports.begin(transfer, now)
            self._staffing.ask()
        return bool(admitted)

    def _sweep(self, now: float) -> None:
        """Close files that no lane works on, revoke what failed, forget what is over."""
        for transfer in list(self._roster.active.values()):
            if transfer.state == "active" and not transfer.access.is_open:
                continue  # nearly always, where there are many
            if transfer.state == "restarting":
                self._reports.begin_again(transfer, now)
            if transfer.state in ("failing", "restarting"):
                for number in transfer.leases.out:
                    self._ledger.revoke(number, now)
            transfer.close_if_idle()
            if transfer.is_over:
                self._roster.retire(transfer)
                self._reports.end(transfer, now)

    def _dispatch(self, now: float) -> None:
        """Give leases to idle lanes."""
        vacancies = self._staffing.vacancies
        self._has_idle = False
        if not self._roster.active or vacancies <= 0:
            return
        idle = self._fleet.idle_slots()[:vacancies]
        idle.reverse()
        transfers = list(self._roster.active.values()) if idle else []
        self._turns.begin(transfers, is_limited=self._limiter.rate is not None)
        while idle and transfers:
            transfer = self._turns.next(transfers)
            if self._give_lease(transfer, idle[-1], now):
                idle.pop()
                self._turns.given(transfer)
            else:
                transfers.remove(transfer)
        self._has_idle = bool(idle and self._ledger)

    def _give_lease(self, transfer: FileTransfer, slot: Slot, now: float) -> bool:
        if not transfer.wants_lane(now):
            return False
        number = self._ledger.next_number
        lease = transfer.next_lease(
            number, slot.lane, self._watch.lease_bytes(slot), self._staffing.lanes_for(transfer), now
        )
        if lease is None:
            return False
        self._ledger.enter(slot, transfer.number)
        self._watch.begin(slot, number, now)
        slot.cell.set_receive_buffer(self._limiter.receive_buffer(self._staffing.lanes))
        if self._limiter.must_deal_to(slot.cell):
            self._limiter.deal(now, self._ledger.cells)
        transfer.open_on(slot.host)
        slot.host.send(lease)
        _log.debug(
            "lease.sent", lease=number, file=transfer.job.remote.name, span=str(lease.span), lane=str(slot)
        )
        return True

    # The inbox

    def _take_all(self, timeout_s: float) -> None:
        """Take in whatever has come, and wait so long for the first of it."""
        self._fleet.flush()
        try:
            self._in_hand = self._inbox.get(timeout=timeout_s)
            while True:
                self._take(*self._in_hand)
                self._in_hand = None
                self._in_hand = self._inbox.get_nowait()
        except queue.Empty:
            pass

    def _take(self, host: Any, message: Any) -> None:
        match message:
            case Homecoming():
                message.deliver()
            case None:
                self._host_lost(host)
            case SegmentWritten():
                self._roster.active[message.file].segment_written(message)
            case PieceWritten():
                self._roster.active[message.file].piece_written(message)
            case Shortened():
                self._relief.taken(message, self._roster.active[message.file], time.monotonic())
            case Opened():
                self._opened(host, message)
            case Paused(origin, seconds):
                _log.info("origin.pauses", origin=origin, seconds=seconds)
                self._pauses.note(origin, seconds)
            case LeaseEnded():
                self._lease_ended(message)
            case Whole():
                self._roster.active[message.opened.file].whole_came(message, time.monotonic())
                self._lease_ended(message.ended, is_whole=True)
            case LaneFree():
                self._lane_free(host, message)
            case Closed(file, number):
                self._roster.active[file].closed(host, number)

    def _opened(self, host: Host, message: Opened) -> None:
        transfer = self._roster.active[message.file]
        self._turns.heard(transfer)
        _log.debug("lease.opened", lease=message.lease, file=transfer.job.remote.name, status=message.status)
        proceed = transfer.opened(
            message,
            time.monotonic(),
            may_proceed=lambda size: host.is_process or not self._fleet.wants_processes(size),
        )
        if proceed is not None:
            if proceed.go:
                transfer.open_on(host)
            host.send(proceed)
        self._staffing.ask()

    def _lease_ended(self, message: LeaseEnded, *, is_whole: bool = False) -> None:
        now = time.monotonic()
        slot = self._ledger.strike(message.lease)
        if slot is not None:
            if message.failure is not None and message.failure.kind == "connect":
                slot.refused_at = now
            self._watch.end(
                slot,
                now,
                wait_s=message.wait_s,
                is_revoked=message.is_revoked,
                has_failed=message.failure is not None,
            )
        self._staffing.lease_ended(message, now, others=bool(self._ledger), is_whole=is_whole)
        transfer = self._roster.active[message.file]
        if is_whole or (message.failure is not None and message.failure.status is not None):
            self._turns.heard(transfer)
        transfer.lease_ended(message, now)

    def _lane_free(self, host: Host, message: LaneFree) -> None:
        slot = self._fleet.find(host, message.lane)
        if slot is not None:
            slot.is_draining = False
        if message.file in self._roster.active:
            self._roster.active[message.file].discarded(message.discarded_bytes)

    def _host_lost(self, host: Host) -> None:
        """A worker died: what it had in flight is leased anew."""
        leases = self._fleet.lost(host)
        transfers = self._roster.active.values()
        for transfer in transfers:
            transfer.access.lost(host)
        failure = Failure(kind="worker", message="A worker process died; its work is given to another.")
        for number in leases:
            lane, file = self._ledger.slots[number].lane, self._ledger.file_of(number)
            self._roster.active[file].lane_lost(number)
            self._lease_ended(LeaseEnded(lane, number, file, failure=failure))
        for transfer in transfers:
            transfer.settle()
            transfer.try_finish()

    # The tick

    def _tick(self, now: float) -> None:
        self._obey(self._limit_rate())
        is_limited = self._limiter.rate is not None
        self._staffing.count(now)
        self._limiter.deal(now, self._ledger.cells)
        verdicts = self._watch.look(
            self._ledger.slots,
            now,
            done_bytes=self._roster.done_bytes,
            is_limited=is_limited,
            streams=self._roster.stream_leases,
            takes_new=now - max((slot.refused_at for slot in self._fleet.slots), default=0.0) > _REFUSES_S,
        )
        for verdict in verdicts:
            self._replace(verdict, now)
        if self._has_idle and not is_limited:
            self._relief.give(
                min(self._staffing.vacancies, self._fleet.helpful_count),
                self._roster.active.values(),
                now,
                only_slow=not self._staffing.is_in_proportion,
            )
        if not is_limited:
            self._relief.unblock(self._roster.active.values(), now)
        self._ledger.end_unresponsive(now)
        self._staffing.ask()
        self._reports.tell(self._roster.active.values(), self._ledger, now)

    def _obey(self, rate: int | None) -> None:
        """Another limit may have been set meanwhile."""
        if rate != self._limiter.rate:
            _log.info("limit.changed", bytes_s=rate, before=self._limiter.rate)
            self._limiter.rate = rate

    def _replace(self, verdict: Verdict, now: float) -> None:
        """Take a lease from a lane that is stalled or slow; its remainder is leased anew."""
        number = verdict.lease
        transfer = self._roster.active[self._ledger.file_of(number)]
        held = transfer.leases.out[number]
        shown = redact(held.lease.url)
        words = f"A connection to {shown} is far slower than the others"
        if verdict.kind == "stalled":
            words = f"No byte of content came from {shown} for {verdict.after_s:.0f} s"
        self._watch.gave_up(self._ledger.slots[number], now)
        self._ledger.revoke(number, now)
        failure = Failure(kind=verdict.kind, message=f"{words}; the connection is replaced.", url=shown)
        transfer.failed(failure, held, now)
