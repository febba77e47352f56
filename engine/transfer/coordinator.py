"""The coordinator: one loop for all files of a pull, on the caller's thread.

It opens files, deals leases to idle lanes, takes in what lanes and helper threads report, and looks at every
lane's figures ten times a second. Everything that blocks is elsewhere: lanes receive and write, helper threads
hash, sync and rename; what they have to say arrives in one inbox.
"""

import queue
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from engine.errors import EngineError
from engine.settings import Settings, home
from engine.store import layout
from engine.store.disk import check_space
from engine.telemetry import Log, redact
from engine.transfer.backlog import Backlog
from engine.transfer.cores import Load, usable_cores
from engine.transfer.events import FileDone, Observer
from engine.transfer.file_transfer import FileTransfer, Shared
from engine.transfer.finisher import Finisher
from engine.transfer.fleet import PROCESS_FROM_BYTES, Fleet, Slot
from engine.transfer.health import Verdict
from engine.transfer.hosts import Host, Inbox
from engine.transfer.job import Job
from engine.transfer.lane_count import LaneCount
from engine.transfer.limiter import Limiter
from engine.transfer.messages import (
    Closed,
    LaneFree,
    LeaseEnded,
    Opened,
    Paused,
    PieceWritten,
    Revoke,
    SegmentWritten,
    Whole,
)
from engine.transfer.progress import Tracker
from engine.transfer.watch import Watch
from engine.transport.auth import Credentials
from engine.transport.pauses import Pauses
from engine.transport.retry import Failure

_log = Log(__name__)
_TICK_S = 0.1
_OPEN_FILES = 48
"""Files under way at once: enough to keep every lane busy with small ones while others are finished, few enough for
descriptors."""
_LAST_WORDS_S = 0.5
_UNRESPONSIVE_S = 15.0
"""A host that does not acknowledge a revocation for so long is ended."""


class _Task:
    """What a helper thread has done, on its way back to the coordinator's thread."""

    def __init__(
        self, done: Callable[[Any, BaseException | None], None], result: Any, exc: BaseException | None
    ) -> None:
        self._done, self._result, self._exc = done, result, exc

    def deliver(self) -> None:
        self._done(self._result, self._exc)


class Coordinator:
    """Runs jobs to their ends. One use."""

    def __init__(
        self, jobs: Sequence[Job], settings: Settings, credentials: Credentials, observer: Observer
    ) -> None:
        self._settings = settings
        self._observer = observer
        self._inbox: Inbox = queue.SimpleQueue()
        self._fleet = Fleet(settings, credentials, self._inbox)
        self._jobs = jobs
        self._outcomes: list[FileDone | EngineError | None] = [None] * len(jobs)
        self._backlog = Backlog(jobs)
        self._active: dict[int, FileTransfer] = {}
        self._locked_out: dict[int, FileTransfer] = {}
        """Somebody else holds their locks; tried again now and then."""
        self._done_bytes = self._kept_bytes = 0
        """Of files that are over, and of those among them that failed."""
        pauses = Pauses(layout.pauses(home()))
        self._shared = Shared(settings, observer, self._submit, Finisher(self._submit), pauses)
        self._is_stopping = False
        self._trackers: dict[int, Tracker] = {}
        self._slots: dict[int, Slot] = {}
        self._files: dict[int, int] = {}
        """By lease: whose lane it is, and which file it is of."""
        self._needs_hosts = False
        self._next_lease = 1
        self._lane_count = LaneCount(settings.connections)
        self._load = Load()
        self._limiter = Limiter(settings.limit_rate)
        self._watch = Watch(settings.stall_timeout_s)
        self._last_tick = self._last_progress = 0.0
        self._helpers: ThreadPoolExecutor | None = None
        self._in_hand: tuple[Any, Any] | None = None
        """The message that is being taken in: a Ctrl-C may strike in its midst, and its bytes are on disk."""

    @property
    def kept_bytes(self) -> int:
        """What stays on disk of unfinished files, and is used by the next run."""
        return self._kept_bytes + sum(t.done_bytes for t in self._active.values() if t.result is None)

    def run(self) -> list[FileDone | EngineError]:
        """Run all jobs; a failed one does not stop the others. Returns an outcome for each, in order.
        KeyboardInterrupt passes through, after everything has stopped; what was received is kept."""
        try:
            self._check_space()
            while self._has_work:
                self._step()
        except EngineError as exc:
            self._stop()
            self._outcomes = [outcome or exc for outcome in self._outcomes]
        finally:
            self._stop()
        return [outcome or EngineError("The pull ended before this file.") for outcome in self._outcomes]

    @property
    def _has_work(self) -> bool:
        return bool(self._active or self._backlog or self._locked_out)

    # The loop

    def _step(self) -> None:
        now = time.monotonic()
        has_opened = self._admit(now)
        self._sweep(now)
        self._ensure_hosts()
        self._dispatch(now)
        if not self._has_work:
            return
        may_open = has_opened and len(self._active) < _OPEN_FILES
        timeout = 0.0 if may_open else max(0.0, self._last_tick + _TICK_S - now)
        try:
            self._in_hand = self._inbox.get(timeout=timeout)
            while True:
                self._take(*self._in_hand)
                self._in_hand = None
                self._in_hand = self._inbox.get_nowait()
        except queue.Empty:
            pass
        self._shared.finisher.flush()
        now = time.monotonic()
        if now - self._last_tick >= _TICK_S:
            self._last_tick = now
            self._tick(now)

    def _admit(self, now: float) -> bool:
        """Open files, in order, as long as there is room for more; those that were locked first. Whether there were
        any: some need nothing, so there may be room again."""
        has_opened = False
        for transfer in [t for t in self._locked_out.values() if t.resume_at <= now]:
            if len(self._active) < _OPEN_FILES:
                self._open(self._locked_out.pop(transfer.number))
        while len(self._active) < _OPEN_FILES and (number := self._backlog.take()) is not None:
            self._open(FileTransfer(number, self._jobs[number], self._shared))
            has_opened = True
        return has_opened

    def _open(self, transfer: FileTransfer) -> None:
        transfer.admit()
        now = time.monotonic()
        if transfer.state == "waiting":
            transfer.resume_at = now + 2 * _TICK_S
            self._locked_out[transfer.number] = transfer
            return
        transfer.resume_at = 0.0
        self._active[transfer.number] = transfer
        self._trackers[transfer.number] = Tracker(now)
        self._needs_hosts = True

    def _dispatch(self, now: float) -> None:
        """Give leases to idle lanes, files in order."""
        room = self._lane_count.now - self._fleet.busy_count
        if not self._active or room <= 0:
            return
        idle = self._fleet.idle_slots()[:room]
        idle.reverse()
        for transfer in self._active.values():
            while idle and self._give_lease(transfer, idle[-1], now):
                idle.pop()
            if not idle:
                return

    def _give_lease(self, transfer: FileTransfer, slot: Slot, now: float) -> bool:
        number = self._next_lease
        lease = transfer.next_lease(number, slot.lane, slot.pulse.rate_bytes_s, self._lane_count.now, now)
        if lease is None:
            return False
        self._next_lease += 1
        self._watch.begin(slot, number, now)
        self._slots[number] = slot
        self._files[number] = transfer.number
        if self._limiter.rate is not None:
            self._limiter.deal(now, self._cells())
        transfer.open_on(slot.host)
        slot.host.send(lease)
        _log.debug(
            "lease.sent", lease=number, file=transfer.job.remote.name, span=str(lease.span), lane=str(slot)
        )
        return True

    def _take(self, host: Any, message: Any) -> None:
        """One thing out of the inbox."""
        match message:
            case _Task():
                message.deliver()
            case None:
                self._host_lost(host)
            case SegmentWritten():
                self._active[message.file].segment_written(message)
            case PieceWritten():
                self._active[message.file].piece_written(message)
            case Opened():
                self._opened(host, message)
            case Paused(origin, seconds):
                _log.info("origin.pauses", origin=origin, seconds=seconds)
                self._shared.pauses.note(origin, seconds)
            case LeaseEnded():
                self._lease_ended(message)
            case Whole():
                self._active[message.opened.file].whole_came(message)
                self._lease_ended(message.ended)
            case LaneFree(lane):
                slot = self._fleet.find(host, lane)
                if slot is not None:
                    slot.is_draining = False
            case Closed(file):
                transfer = self._active[file]
                transfer.access.closed(host)
                transfer.settle()
                transfer.try_finish()

    def _opened(self, host: Host, message: Opened) -> None:
        transfer = self._active[message.file]
        _log.debug("lease.opened", lease=message.lease, file=transfer.job.remote.name, status=message.status)
        proceed = transfer.opened(
            message, may_proceed=lambda size: host.is_process or not self._fleet.wants_processes(size)
        )
        if proceed is not None:
            if proceed.go:
                transfer.open_on(host)
            host.send(proceed)
        self._needs_hosts = True

    def _lease_ended(self, message: LeaseEnded) -> None:
        now = time.monotonic()
        slot = self._slots.pop(message.lease, None)
        self._files.pop(message.lease, None)
        if message.failure is None and not message.is_revoked:
            self._lane_count.answered(message.wait_s, message.receive_s)
        if slot is not None:
            self._watch.end(slot, now, is_revoked=message.is_revoked, has_failed=message.failure is not None)
        transfer = self._active[message.file]
        failure = message.failure
        refused_beside_others = failure is not None and failure.kind in ("connect", "reset") and self._slots
        if failure is not None and (failure.is_pushback or refused_beside_others):
            self._lane_count.pushed_back(now, self._fleet.busy_count + 1)
        transfer.lease_ended(message, now)

    def _host_lost(self, host: Host) -> None:
        """A worker died: what it had in flight is leased anew."""
        leases = self._fleet.lost(host)
        for transfer in self._active.values():
            transfer.access.lost(host)
        failure = Failure(kind="worker", message="A worker process died; its work is given to another.")
        for number in leases:
            lane, file = self._slots[number].lane, self._files[number]
            self._lease_ended(LeaseEnded(lane, number, file, failure=failure))
        for transfer in self._active.values():
            transfer.settle()
            transfer.try_finish()

    # Ten times a second

    def _tick(self, now: float) -> None:
        self._count_lanes(now)
        self._limiter.deal(now, self._cells())
        done = self._done_bytes + sum(transfer.done_bytes for transfer in self._active.values())
        is_limited = self._limiter.rate is not None
        for verdict in self._watch.look(self._slots, now, done_bytes=done, is_limited=is_limited):
            self._replace(verdict, now)
        self._end_unresponsive(now)
        self._needs_hosts = True
        if now - self._last_progress >= self._settings.progress_interval_s:
            self._last_progress = now
            for transfer in self._active.values():
                self._report(transfer, now)

    def _count_lanes(self, now: float) -> None:
        """More lanes where they pay."""
        self._lane_count.recover(now)
        if not self._lane_count.is_climbing:
            return
        self._load.look(now, self._fleet.workers)
        before = self._lane_count.now
        missing = sum(t.missing_segments for t in self._active.values()) + self._backlog.count
        self._lane_count.climb(
            now,
            received_bytes=self._fleet.received_bytes,
            delivering=self._fleet.delivering,
            may_grow=missing >= before and self._limiter.rate is None and not self._load.is_bound,
        )
        if self._lane_count.now != before:
            _log.debug("lanes.counted", lanes=self._lane_count.now, before=before)

    def _end_unresponsive(self, now: float) -> None:
        """A host that does not acknowledge a revocation is killed; its reader then reports that it is gone."""
        for slot in list(self._slots.values()):
            if slot.revoked_at is not None and now - slot.revoked_at > _UNRESPONSIVE_S:
                slot.revoked_at = None
                slot.host.kill()

    def _replace(self, verdict: Verdict, now: float) -> None:
        """Take a lease from a lane that is stalled or slow; its remainder is leased anew."""
        number = verdict.lease
        transfer = self._active[self._files[number]]
        held = transfer.leases.out[number]
        shown = redact(held.lease.url)
        words = f"A connection to {shown} is far slower than the others"
        if verdict.kind == "stalled":
            words = f"No byte of content came from {shown} for {verdict.after_s:.0f} s"
        self._revoke(number, now)
        failure = Failure(kind=verdict.kind, message=f"{words}; the connection is replaced.", url=shown)
        transfer.failed(failure, held, now)

    def _revoke(self, number: int, now: float) -> None:
        slot = self._slots[number]
        if slot.revoked_at is None:
            slot.revoked_at = now
            slot.host.send(Revoke(slot.lane, number))

    def _report(self, transfer: FileTransfer, now: float) -> None:
        slots = [self._slots[number] for number in transfer.leases.out if number in self._slots]
        in_flight = sum(slot.cell.unreported for slot in slots)
        phase = (
            "verifying"
            if transfer.is_verifying
            else "downloading"
            if transfer.size is not None or in_flight
            else "connecting"
        )
        self._observer(
            self._trackers[transfer.number].report(
                now,
                file=str(transfer.job.remote.name),
                path=str(transfer.job.target),
                phase=phase,
                done=transfer.done_bytes + in_flight,
                hashed=transfer.hashed_bytes,
                size=transfer.size,
                lanes=len(slots),
            )
        )

    def _sweep(self, now: float) -> None:
        """Close files that no lane works on, revoke what failed, forget what is over."""
        for transfer in list(self._active.values()):
            if transfer.state == "restarting":
                self._trackers[transfer.number].reset(now)
            if transfer.state in ("failing", "restarting"):
                for number in transfer.leases.out:
                    self._revoke(number, now)
            transfer.close_if_idle()
            if transfer.is_over:
                self._over(transfer, now)

    def _over(self, transfer: FileTransfer, now: float) -> None:
        """A file has its end: say so, the last progress first."""
        del self._active[transfer.number]
        self._backlog.release(transfer.number)
        tracker = self._trackers.pop(transfer.number)
        result = transfer.result
        self._outcomes[transfer.number] = result or transfer.error
        self._done_bytes += transfer.done_bytes
        if result is None:
            self._kept_bytes += transfer.done_bytes
            return
        self._observer(
            tracker.report(
                now,
                file=result.file,
                path=result.path,
                phase="done",
                done=result.size,
                hashed=result.size if result.sha256 else 0,
                size=result.size,
                lanes=0,
            )
        )
        self._observer(result)

    # Hosts and helpers

    def _check_space(self) -> None:
        """All files of known size must fit before the first byte is fetched; each is checked again by itself."""
        if len(self._jobs) < 2:
            return
        jobs = [job for job in self._jobs if job.remote.size and not job.target.exists()]
        fresh = [job for job in jobs if not job.partial.exists()]
        if fresh:
            folder = fresh[0].target.parent
            while not folder.exists():
                folder = folder.parent
            check_space(folder, sum(job.remote.size or 0 for job in fresh))

    def _ensure_hosts(self) -> None:
        """Hosts are started when the first file really needs one. Work may also come late: a target that is hashed
        turns out wrong, or a held segment bad."""
        if not self._needs_hosts:
            return
        self._needs_hosts = False
        needing = [transfer for transfer in self._active.values() if transfer.needs_lanes]
        if not needing:
            return
        work = sum(t.size - t.done_bytes for t in self._active.values() if t.size is not None)
        work += self._backlog.known_bytes
        lanes = self._lane_count.now
        if any(transfer.size is None for transfer in needing):
            # It may be large. A worker asks as soon as this process could, which never loads what a lane needs.
            work = max(work, PROCESS_FROM_BYTES)
        if all(transfer.size is None for transfer in needing):
            lanes = min(lanes, len(needing))  # each is asked for by one lane, alone
        self._fleet.start(
            processes=not all(t.leases.is_stream for t in needing) and self._fleet.wants_processes(work),
            lanes=lanes,
            is_tls=any(transfer.is_tls for transfer in needing),
        )

    def _cells(self) -> list[Any]:
        return [slot.cell for slot in self._slots.values()]

    def _submit(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        """Run work on a helper thread, done on this one."""
        if self._is_stopping:
            return
        if self._helpers is None:
            self._helpers = ThreadPoolExecutor(max(usable_cores(), 2), thread_name_prefix="helper")

        def run() -> None:
            try:
                task = _Task(done, work(), None)
            except Exception as exc:  # noqa: BLE001 - it is raised or translated on the coordinator's thread
                task = _Task(done, None, exc)
            self._inbox.put((None, task))

        self._helpers.submit(run)

    def _stop(self) -> None:
        """End everything. What lanes have reported by now still goes to the journals."""
        self._is_stopping = True
        for transfer in self._active.values():
            transfer.interrupt()
        self._revoke_all()
        self._fleet.kill()
        self._drain()
        if self._helpers is not None:
            self._helpers.shutdown(wait=True, cancel_futures=True)
            self._helpers = None
            self._drain()
        for transfer in self._active.values():
            transfer.close()

    def _revoke_all(self) -> None:
        """Take all leases back, and wait a moment for what the lanes have to say: it will not be fetched again."""
        now = time.monotonic()
        for number in list(self._slots):
            self._revoke(number, now)
        if self._in_hand is not None and isinstance(self._in_hand[1], SegmentWritten | PieceWritten):
            self._last_word(*self._in_hand)
        until = now + _LAST_WORDS_S
        while self._slots and (left := until - time.monotonic()) > 0:
            try:
                self._last_word(*self._inbox.get(timeout=left))
            except queue.Empty:
                return

    def _last_word(self, host: Any, message: Any) -> None:
        """What still counts when everything is being stopped: bytes on disk."""
        match message:
            case SegmentWritten():
                self._active[message.file].segment_written(message)
            case PieceWritten():
                self._active[message.file].piece_written(message)
            case LeaseEnded():
                self._slots.pop(message.lease, None)
            case Whole():
                self._slots.pop(message.ended.lease, None)
            case _Task():
                message.deliver()
            case None:
                self._slots = {n: slot for n, slot in self._slots.items() if slot.host is not host}

    def _drain(self) -> None:
        try:
            while True:
                self._last_word(*self._inbox.get_nowait())
        except queue.Empty:
            pass
