"""One file on its way: from admission over leases to its final name.

Driven by the coordinator, on its thread only. Long work (hashing, syncing, finishing) goes through `submit`,
which runs it on another thread and calls back on the coordinator's.

    new -> waiting (somebody else holds it) -> checking (a target of unknown origin is hashed) -> active
    active -> finishing -> done;  active -> failing -> failed;  active -> restarting -> active

`failing` and `restarting` wait until no lane writes any more.
"""

import os
import time
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from engine.digest import Digest
from engine.errors import DigestMismatch, EngineError, NetworkError, PathError, StoreError
from engine.remote_file import Identity
from engine.settings import Settings
from engine.spans import Grid, Span
from engine.store.disk import check_space, disk_error
from engine.store.journal import Header, Journal, url_hash
from engine.store.part import Part
from engine.store.receipts import Receipt
from engine.telemetry import Log, redact
from engine.transfer.admission import accepted, algorithms_for, can_continue, hash_file, target_stat
from engine.transfer.events import Event, FileDone, Notice, Retry, Waiting
from engine.transfer.events import Plan as PlanEvent
from engine.transfer.finish import Content, Finished, agrees, finish, how_verified
from engine.transfer.frontier import Frontier, check_of
from engine.transfer.health import Attempts
from engine.transfer.job import Job
from engine.transfer.mending import Mending
from engine.transfer.messages import Lease, LeaseEnded, Opened, PieceWritten, Proceed, SegmentWritten
from engine.transfer.plan import Plan
from engine.transport.auth import hub_origins, origin_of
from engine.transport.client import error_of, wait_s
from engine.transport.retry import Failure

_log = Log(__name__)
_SYNC_EVERY_BYTES = 256 << 20
_INLINE_BYTES = 1 << 20
"""Up to here hashing and finishing cost less than handing them to a thread."""

State = Literal[
    "new", "waiting", "checking", "active", "restarting", "failing", "finishing", "done", "failed"
]
Submit = Callable[[Callable[[], Any], Callable[[Any, BaseException | None], None]], None]


class Held(msgspec.Struct, frozen=True):
    """A lease that is out."""

    lease: Lease
    round: int
    started: float


class FileTransfer:
    """See the module's text. `number` names the file in messages."""

    def __init__(
        self, number: int, job: Job, settings: Settings, emit: Callable[[Event], None], submit: Submit
    ) -> None:
        self.number = number
        self.job = job
        self.state: State = "new"
        self.part: Part | None = None
        self.plan: Plan | None = None
        self.leases: dict[int, Held] = {}
        self.open_hosts: set[Any] = set()
        self.closing_hosts: set[Any] = set()
        self.error: EngineError | None = None
        self.result: FileDone | None = None
        self.resume_at = 0.0
        self.fetched_bytes = self.held_bytes = self.discarded_bytes = self.retries = 0
        self._settings = settings
        self._emit = emit
        self._submit = submit
        self._digest: Digest | None = job.remote.digest
        self._identity = Identity(size=job.remote.size)
        self._checks: dict[int, int] = {}
        self._frontier: Frontier | None = None
        self._is_hashing = False
        self._is_syncing = False
        self._unsynced_bytes = 0
        self._located: str | None = None
        self._locating: int | None = None
        self._has_ranges = False
        self._refuses_ranges = False
        self._is_stream = False
        self._pieces: list[Span] = []
        self._mending: Mending | None = None
        self._attempts = Attempts(settings.retries)
        self._furthest = 0
        self._after: Callable[[], None] = self._fail_now
        self._started = time.monotonic()
        self._last_byte_at = self._started
        self._lane_s = {"link": 0.0, "wait": 0.0, "disk": 0.0}
        self._lanes_peak = 1

    def __repr__(self) -> str:
        return f"<FileTransfer {self.number} {self.state} {self.plan}>"

    # Facts for the coordinator

    @property
    def is_over(self) -> bool:
        return self.state in ("done", "failed")

    @property
    def size(self) -> int | None:
        return self.plan.grid.size if self.plan else self._identity.size

    @property
    def segment_size(self) -> int:
        return self.plan.grid.segment_size if self.plan else self._settings.segment_size

    @property
    def is_stream(self) -> bool:
        return self._is_stream

    @property
    def done_bytes(self) -> int:
        """On disk: held and received."""
        return self.plan.written_bytes if self.plan else self._streamed_bytes

    @property
    def hashed_bytes(self) -> int:
        return self._frontier.offset if self._frontier else 0

    @property
    def is_verifying(self) -> bool:
        """Every byte has come; what remains is hashing, syncing, renaming."""
        return self.state in ("checking", "finishing") or (self.plan is not None and self.plan.is_complete)

    @property
    def wants_close(self) -> bool:
        """No lane has business with the file any more, so its hosts shall close it."""
        if self.leases or not self.open_hosts:
            return False
        return self.state == "failing" or (
            self.state == "active" and self.plan is not None and self.plan.is_complete
        )

    @property
    def _streamed_bytes(self) -> int:
        return len(self._checks) * self.segment_size + sum(len(p) for p in self._pieces)

    # Admission

    def admit(self) -> None:
        """Find out what is there. Returns with another state than "new", or "waiting" for another process's lock."""
        try:
            self._admit()
        except EngineError as exc:
            self.fail(exc)

    def _admit(self) -> None:
        if receipt := accepted(self.job, self._settings):
            self._already_there(receipt)
            return
        target_stat(self.job.target)
        self.part = Part.try_open(self.job.partial)
        if self.part is None:
            if self.state == "new":
                self.state = "waiting"
                holder = Part.holder(self.job.partial)
                self._emit(Waiting(**self._names, holder=holder))
                _log.info("lock.waiting", file=self.job.remote.name, holder=holder)
            return
        self._started = self._last_byte_at = time.monotonic()
        self.state = "active"
        if receipt := accepted(self.job, self._settings):  # whoever held the lock has finished it
            self._already_there(receipt)
        elif (
            target_stat(self.job.target) and self._digest and not self._settings.force and self._settings.hash
        ):
            self.state = "checking"
            self._submit(self._hash_target, self._target_hashed)
        else:
            self._begin()

    def _hash_target(self) -> dict[str, str]:
        return hash_file(
            self.job.target, algorithms_for(self._digest, self._settings), self._settings.chunk_size
        )

    def _target_hashed(self, digests: dict[str, str], exc: BaseException | None) -> None:
        if exc is not None:
            self.fail(_as_engine_error(exc))
            return
        assert self._digest is not None  # noqa: S101 - checking happens with a digest only
        if digests[self._digest.algorithm] != self._digest.hex:
            self.state = "active"
            self._begin()
            return
        stat = self.job.target.stat()
        receipt = Receipt(
            path=str(self.job.target),
            url=redact(self.job.remote.url),
            url_hash=url_hash(self.job.remote.url),
            revision=self.job.remote.revision,
            size=stat.st_size,
            inode=stat.st_ino,
            mtime_ns=stat.st_mtime_ns,
            sha256=digests["sha256"],
            digest=str(self._digest),
        )
        self.job.receipts.write(receipt)
        self._already_there(receipt)

    def _already_there(self, receipt: Receipt) -> None:
        if self.part is not None:
            self.part.close()
        verified = how_verified(self._digest, receipt.sha256)
        self._done(receipt.size, receipt.sha256, verified, already_there=True)

    def _begin(self) -> None:
        """Continue what an earlier run left, or start."""
        part = self._part
        if self._settings.force:
            part.discard()
        elif self._digest and self._digest.algorithm == "sha256" and part.adopt(self._digest.hex):
            self._take_up(os.fstat(part.fd).st_size)
            return
        journal = None if self._settings.force else part.resume()
        if journal is not None and (reason := can_continue(journal.header, self.job.remote)):
            self._notice(f"Starting again: what an earlier run left cannot be continued, because {reason}.")
            part.discard()
            journal = None
        if journal is not None:
            self._continue(journal)
        elif self.job.remote.size is not None:
            self._start(self.job.remote.size)

    def _take_up(self, size: int) -> None:
        """Content that was set aside once, and is what is asked for now."""
        grid = Grid(size, self._settings.segment_size)
        self._plan(grid, dict.fromkeys(range(grid.count)))
        self._advance()

    def _continue(self, journal: Journal) -> None:
        header = journal.header
        self._identity = header.identity
        self._digest = self._digest or (Digest.parse(header.digest) if header.digest else None)
        self._has_ranges = True
        self._plan(header.grid, dict(journal.checks))
        assert self.plan is not None  # noqa: S101 - made the line before
        check_space(self._part.folder, self.plan.missing_bytes)
        _log.info("part.resumed", file=self.job.remote.name, held_bytes=self.held_bytes, size=header.size)
        self._advance()

    def _start(self, size: int) -> None:
        """The size is known: make room and plan."""
        header = None
        identity = msgspec.structs.replace(self._identity, size=size)
        self._identity = identity
        can_resume = (self._digest or identity.has_validator) and not self._is_stream
        if can_resume and size > self._settings.segment_size:
            header = Header(
                url=redact(self.job.remote.url),
                url_hash=url_hash(self.job.remote.url),
                size=size,
                segment_size=self._settings.segment_size,
                digest=str(self._digest) if self._digest else None,
                etag=identity.etag,
                last_modified=identity.last_modified,
            )
        self._part.start(header, size, self._settings.allocate)
        self._plan(Grid(size, self._settings.segment_size), {})
        if size == 0:
            self._advance()

    def _plan(self, grid: Grid, unproven: dict[int, int] | dict[int, int | None]) -> None:
        self.plan = Plan(grid, unproven)
        self._checks = {index: check for index, check in unproven.items() if check is not None}
        self._new_frontier(unproven)
        self.held_bytes = self.plan.written_bytes
        self._furthest = max(self._furthest, self.held_bytes)
        self._emit(
            PlanEvent(
                **self._names,
                url=redact(self.job.remote.url),
                size=grid.size,
                held_bytes=self.held_bytes,
                ranges=not self._is_stream,
            )
        )

    def _new_frontier(self, unproven: dict[int, int] | dict[int, int | None]) -> None:
        assert self.plan is not None  # noqa: S101 - a frontier follows a plan
        self._frontier = Frontier(
            self._part.fd,
            self.plan.grid,
            algorithms_for(self._digest, self._settings),
            unproven,
            self._settings.chunk_size,
        )

    # Leases

    def next_lease(self, number: int, lane: int, rate_bytes_s: float, lanes: int, now: float) -> Lease | None:
        """The next lease for a lane that is idle, noted as out; None when there is nothing for it now."""
        if self.state != "active" or now < self.resume_at:
            return None
        if self._located is None and self._locating is not None:
            return None
        lease = self._carve(number, lane, rate_bytes_s, lanes)
        if lease is not None:
            self.leases[number] = Held(lease, self._attempts.round, now)
            self._lanes_peak = max(self._lanes_peak, len(self.leases))
            if lease.wants_facts:
                self._locating = number
        return lease

    def _carve(self, number: int, lane: int, rate_bytes_s: float, lanes: int) -> Lease | None:
        span: Span | None
        if self.plan is None:
            if self._located is not None:
                return None  # one stream of unknown length is at work
            span = Span(0, self._settings.segment_size)
        else:
            span = (
                self.plan.carve_rest(number)
                if self._is_stream
                else self.plan.carve(number, rate_bytes_s, lanes)
            )
            if span is None:
                return None
        is_known = self.plan is not None and (self._has_ranges or self._is_stream)
        return Lease(
            lane,
            number,
            self.number,
            url=self._located or self.job.remote.url,
            span=None if self._is_stream or self._refuses_ranges else span,
            identity=self._identity if self._identity.size is not None else None,
            has_digest=self._digest is not None,
            is_located=self._located is not None and self._located != self.job.remote.url,
            wants_facts=self._located is None,
            is_probe=not is_known,
        )

    def opened(self, opened: Opened, *, may_proceed: Callable[[int], bool]) -> Proceed | None:
        """Take note of an answer's headers. For a probe: what to do with its body; may_proceed(size) says
        whether its host may have files of this size."""
        held = self.leases.get(opened.lease)
        if held is None or self.state != "active":
            return None
        self._located, self._locating = opened.url, None
        try:
            self._learn(opened)
            return self._judge_probe(held.lease, opened, may_proceed) if held.lease.is_probe else None
        except EngineError as exc:
            self.fail(exc)
            return None

    def _learn(self, opened: Opened) -> None:
        """Digest and validators that come with the first answer."""
        if self._identity.etag is None and self._identity.last_modified is None:
            self._identity = msgspec.structs.replace(opened.identity, size=self._identity.size)
        if origin_of(self.job.remote.url) not in hub_origins() or "/resolve/" not in self.job.remote.url:
            return
        published = _published(opened.linked_etag)
        if published is None:
            return
        if self._digest is None:
            self._digest = published
            if self.plan is not None and self._frontier is not None:
                self._new_frontier({})
        elif self._digest.algorithm == published.algorithm and self._digest != published:
            if self.job.remote.digest is None:
                self.restart("the Hub has another version of the file now")
                return
            raise DigestMismatch(
                f"{self.job.remote.name} is published with SHA256 {published.hex}, but {self._digest.hex} was asked for. "
                "Check the digest or the revision; nothing was fetched.",
                expected=self._digest.hex,
                actual=published.hex,
            )

    def _judge_probe(
        self, lease: Lease, opened: Opened, may_proceed: Callable[[int], bool]
    ) -> Proceed | None:
        if self.state != "active":
            return None
        drop = Proceed(lease.lane, lease.lease, None, go=False)
        size = opened.linked_size if opened.status == 416 and opened.linked_size else opened.identity.size
        if opened.status == 416:
            self._located = None
            if size == 0:
                self._start(0)
            else:
                self._refuses_ranges = True
            return drop
        if opened.status == 206 and size is not None:
            self._has_ranges = True
            if self.plan is None:
                self._start(size)
            if not may_proceed(size):
                return drop
            assert self.plan is not None  # noqa: S101 - started above
            self.plan.end(lease.lease)
            span = self.plan.carve(lease.lease, 0.0, 1)
            return Proceed(lease.lane, lease.lease, span.stop if span else None, go=span is not None)
        return self._judge_stream(lease, size)

    def _judge_stream(self, lease: Lease, size: int | None) -> Proceed:
        self._is_stream = True
        if size != 0:
            self._notice(
                "The server has no ranges: one stream, which cannot be resumed after an end of this program."
            )
        if self.plan is None and size is not None:
            self._start(size)
        elif self.plan is None:
            self._part.start(None, None, self._settings.allocate)
        if self.plan is not None:
            self.plan.end(lease.lease)
            span = self.plan.carve_rest(lease.lease)
            return Proceed(lease.lane, lease.lease, self.plan.grid.size, go=span is not None)
        return Proceed(lease.lane, lease.lease, None, go=True)

    # Outcomes

    def segment_written(self, message: SegmentWritten) -> None:
        if self.state != "active":
            return
        span = Span(message.index * self.segment_size, (message.index + 1) * self.segment_size)
        self._received(len(self.plan.grid.span_of(message.index)) if self.plan else len(span))
        self._segment_done(message.index, message.check)

    def piece_written(self, message: PieceWritten) -> None:
        if self.state != "active":
            return
        self._received(len(message.span))
        if self.plan is None:
            self._pieces.append(message.span)
            return
        for index in self.plan.wrote_piece(message.span):
            self._segment_done(index, self._check_on_disk(index))

    def lease_ended(self, message: LeaseEnded, now: float) -> None:
        held = self.leases.pop(message.lease, None)
        if held is None:
            return
        if self._locating == message.lease:
            self._locating = None
        if self.plan is not None:
            self.plan.end(message.lease)
        self.discarded_bytes += message.discarded_bytes
        self._lane_s["link"] += message.receive_s
        self._lane_s["wait"] += message.wait_s
        self._lane_s["disk"] += message.write_s
        if self.state in ("failing", "restarting"):
            self.settle()
        elif self.state == "active":
            self._judge_end(held, message, now)

    def _judge_end(self, held: Held, message: LeaseEnded, now: float) -> None:
        if message.failure is not None:
            self.failed(message.failure, held, now)
        elif self.plan is None and self._located is not None and not message.is_revoked:
            self._stream_ended()
        else:
            self._advance()

    def _received(self, nbytes: int) -> None:
        self.fetched_bytes += nbytes
        self._unsynced_bytes += nbytes
        self._last_byte_at = time.monotonic()

    def _segment_done(self, index: int, check: int) -> None:
        self._checks[index] = check
        if self.plan is None:
            return
        self.plan.wrote_segment(index)
        if self._mending is not None:
            self._mending.arrived(index, check)
        if self._part.journal is not None:
            try:
                self._part.journal.append(index, check)
            except StoreError as exc:
                self.fail(exc)
                return
        self._advance()

    def _check_on_disk(self, index: int) -> int:
        """A segment that came in pieces has no check from one lane; it is read back."""
        assert self.plan is not None  # noqa: S101 - only called with one
        span = self.plan.grid.span_of(index)
        buffer = memoryview(bytearray(min(len(span), 1 << 20)))
        return check_of(self._part.fd, span.start, span.stop, buffer)

    def _stream_ended(self) -> None:
        """A body of unknown length has come to its end: now the size is known."""
        size = self._streamed_bytes
        self._part.truncate(size)
        grid = Grid(size, self._settings.segment_size)
        self._identity = msgspec.structs.replace(self._identity, size=size)
        known: dict[int, int | None] = {index: self._checks.get(index) for index in range(grid.count)}
        checks, self._pieces = self._checks, []
        self._plan(grid, known)
        self._checks.update(checks)
        self.held_bytes = 0
        self._advance()

    # Failures

    def failed(self, failure: Failure, held: Held, now: float) -> None:
        """A lease failed: retry, wait, restart, or give up."""
        progressed = self.done_bytes > self._furthest
        self._furthest = max(self._furthest, self.done_bytes)
        if failure.kind == "disk":
            self.fail(disk_error("write", self._part.data, failure.errno or 0))
            return
        if failure.is_final:
            self.fail(error_of(failure))
            return
        if failure.kind == "expired":
            self._located = (
                None if self._located == held.lease.url or not held.lease.is_located else self._located
            )
        elif failure.kind != "slow" and self._located is not None and self._located != self.job.remote.url:
            pass  # the edge may have failed, but its address still holds until it refuses
        counts = failure.kind != "slow" and self._attempts.failed(held.round, self._furthest)
        if counts and self._attempts.are_exhausted:
            self.fail(_exhausted(failure, self._attempts.allowed))
            return
        try:
            self._retry(failure, counts=counts, progressed=progressed, now=now)
        except NetworkError as exc:
            self.fail(exc)

    def _retry(self, failure: Failure, *, counts: bool, progressed: bool, now: float) -> None:
        wait = 0.0
        if counts and (failure.retry_after_s is not None or not (progressed or failure.kind == "expired")):
            wait = wait_s(failure, self._attempts.count, self._settings.retry_delay_s)
            self.resume_at = max(self.resume_at, now + wait)
        self.retries += 1
        _log.info(
            "lease.failed",
            file=self.job.remote.name,
            kind=failure.kind,
            cause=failure.message,
            status=failure.status,
            wait_s=round(wait, 3),
            attempt=self._attempts.count,
        )
        self._emit(
            Retry(
                **self._names,
                url=failure.url,
                cause=failure.message,
                kind=failure.kind,
                status=failure.status,
                wait_s=wait,
                attempt=self._attempts.count if counts else 0,
                attempts=self._attempts.allowed,
            )
        )
        if failure.kind == "changed":
            self.restart("the file changed on the server")
        elif self._is_stream:
            self.restart("the only stream broke")
        else:
            self._advance()

    def restart(self, reason: str) -> None:
        """Start at zero as soon as no lane writes any more; the coordinator revokes the leases."""
        self._notice(f"Starting again: {reason}.")
        self.state = "restarting"
        self._after = self._restart_now
        self.settle()

    def fail(self, error: EngineError) -> None:
        """Give up as soon as no lane writes any more; what was received is kept."""
        if self.state in ("done", "failed", "failing"):
            return
        self.error = error
        self.state = "failing"
        self._after = self._fail_now
        self.settle()

    def settle(self) -> None:
        """Go on with a restart or an end, once all leases are over, all hosts have closed and all tasks are back."""
        if self.state not in ("failing", "restarting") or self.leases or self._is_hashing or self._is_syncing:
            if self._frontier is not None:
                self._frontier.must_stop = self.state in ("failing", "restarting")
            return
        if not self.open_hosts and not self.closing_hosts:
            self._after()

    def interrupt(self) -> None:
        """The pull is being stopped: a hash step that runs shall end soon."""
        if self._frontier is not None:
            self._frontier.must_stop = True

    def close(self) -> None:
        """Let go of everything and leave it for the next run. May be called twice."""
        if self.part is not None and not self.is_over:
            self.part.close()

    def _restart_now(self) -> None:
        self.discarded_bytes += self.done_bytes
        self.fetched_bytes = 0
        self._part.discard()
        self.plan = self._frontier = self._located = self._locating = None
        self._checks, self._pieces, self._mending = {}, [], None
        self._digest = self.job.remote.digest
        self._identity = Identity(size=self.job.remote.size)
        self._has_ranges = self._is_stream = False
        self.state = "active"
        try:
            if self.job.remote.size is not None:
                self._start(self.job.remote.size)
        except EngineError as exc:
            self.fail(exc)

    def _fail_now(self) -> None:
        if self.part is not None:
            self.part.close()
        self.state = "failed"
        _log.warning("file.failed", file=self.job.remote.name, error=str(self.error))

    # Hashing, syncing, finishing

    def _advance(self) -> None:
        """Let the frontier follow, sync behind the writers, finish when all is there."""
        if self.state != "active" or self.plan is None or self._frontier is None:
            return
        self._frontier.limit = self.plan.frontier_limit
        if not self._is_hashing and self._frontier.has_work:
            self._is_hashing = True
            self._run(self._frontier.advance, self._advanced)
        if self._unsynced_bytes >= _SYNC_EVERY_BYTES and not self._is_syncing:
            self._unsynced_bytes, self._is_syncing = 0, True
            self._submit(self._part.sync, self._synced)
        self.try_finish()

    def _run(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        """Small files are hashed and finished at once: a thread would cost more than the work."""
        if self.size is None or self.size > _INLINE_BYTES:
            self._submit(work, done)
            return
        try:
            result = work()
        except (OSError, EngineError) as exc:
            done(None, exc)
        else:
            done(result, None)

    def _advanced(self, bad: int | None, exc: BaseException | None) -> None:
        self._is_hashing = False
        if exc is not None:
            self.fail(_as_engine_error(exc))
        elif self.state != "active":
            self.settle()
        else:
            if bad is not None:
                self._lose(bad)
            self._advance()

    def _lose(self, index: int) -> None:
        assert self.plan is not None and self._frontier is not None  # noqa: S101 - the frontier follows a plan
        _log.warning("segment.bad", file=self.job.remote.name, index=index)
        self._notice(f"Segment {index} is not what an earlier run wrote; it is fetched again.")
        self.held_bytes -= len(self.plan.grid.span_of(index))
        self.plan.lose(index)
        self._frontier.replaced(index)

    def _synced(self, _: Any, exc: BaseException | None) -> None:
        self._is_syncing = False
        if exc is not None:
            self.fail(_as_engine_error(exc))
        elif self.state != "active":
            self.settle()
        else:
            self.try_finish()

    def try_finish(self) -> None:
        """Finish if every byte is written, hashed and checked, and no host has the file open any more."""
        if self.state != "active" or self.plan is None or self._frontier is None:
            return
        busy = self.leases or self.open_hosts or self.closing_hosts or self._is_hashing or self._is_syncing
        if busy or not self.plan.is_complete or not self._frontier.is_done:
            return
        self._checks.update(self._frontier.found)
        content = self._content()
        if not agrees(self._digest, content):
            self._mend(content)
            return
        self.state = "finishing"
        self._run(
            lambda: finish(self.job, self._part, self._identity, self._digest, content),
            self._finished,
        )

    def _content(self) -> Content:
        assert self.plan is not None and self._frontier is not None  # noqa: S101 - complete
        grid = self.plan.grid
        names = algorithms_for(self._digest, self._settings)
        return Content(
            size=grid.size,
            segment_size=grid.segment_size,
            checks=self._checks,
            digests={name: self._frontier.hexdigest(name) for name in names},
        )

    def _finished(self, finished: Finished, exc: BaseException | None) -> None:
        if exc is not None:
            self.state = "active"
            self.fail(_as_engine_error(exc))
            return
        self._lane_s["disk"] += finished.disk_s * self._lanes_peak
        assert self.plan is not None  # noqa: S101 - it was complete
        self._done(self.plan.grid.size, finished.sha256, finished.verified)

    def _done(self, size: int, sha256: str | None, verified: Any, *, already_there: bool = False) -> None:
        self.state = "done"
        now = time.monotonic()
        self.result = FileDone(
            **self._names,
            size=size,
            sha256=sha256,
            verified=verified,
            fetched_bytes=self.fetched_bytes,
            held_bytes=size if already_there else self.held_bytes,
            discarded_bytes=self.discarded_bytes,
            seconds=now - self._started,
            retries=self.retries,
            link_s=self._lane_s["link"] / self._lanes_peak,
            wait_s=self._lane_s["wait"] / self._lanes_peak,
            disk_s=self._lane_s["disk"] / self._lanes_peak,
            hash_s=0.0 if already_there else now - self._last_byte_at,
            already_there=already_there,
        )

    # A wrong digest

    def _mend(self, content: Content) -> None:
        assert self.plan is not None and self._digest is not None  # noqa: S101 - a digest was compared
        self._mending = self._mending or Mending(
            self.plan.grid, repair=self._settings.repair, is_stream=self._is_stream
        )
        step = self._mending.next_step()
        actual = content.digests[self._digest.algorithm]
        _log.warning(
            "digest.wrong", file=self.job.remote.name, expected=self._digest.hex, actual=actual, step=step
        )
        if step == "reread":
            self._is_hashing = True
            self._run(self._find_bad, lambda bad, exc: self._mended(content, bad, exc))
        elif step == "ask":
            self._ask(content, actual)
        elif step == "give up":
            self._reject(actual)
        elif self._is_stream:
            self.restart("its digest is wrong")
        else:
            self._notice("The digest is wrong. Segments are fetched once more and compared.")
            self._refetch(self._mending.refetch(step, self._checks))

    def _find_bad(self) -> list[int]:
        assert self.plan is not None  # noqa: S101 - complete
        return [i for i in range(self.plan.grid.count) if self._check_on_disk(i) != self._checks[i]]

    def _mended(self, content: Content, bad: list[int], exc: BaseException | None) -> None:
        self._is_hashing = False
        if exc is not None:
            self.fail(_as_engine_error(exc))
        elif self.state != "active":
            self.settle()
        elif bad:
            self._notice(
                f"The disk changed {len(bad)} segments after they were written; they are fetched again."
            )
            self._refetch(bad)
        else:
            self._mend(content)

    def _ask(self, content: Content, actual: str) -> None:
        """Does the source still publish what was expected?"""
        if self.job.refresh is not None:
            try:
                published = self.job.refresh().digest
            except EngineError as exc:
                _log.warning("digest.unasked", file=self.job.remote.name, error=str(exc))
                published = None
            if published is not None and published != self._digest:
                self._reject(
                    actual, f" The source publishes {published.hex} now, so it has changed: pull again."
                )
                return
        self._mend(content)

    def _refetch(self, indices: list[int]) -> None:
        assert self.plan is not None  # noqa: S101 - complete until now
        for index in indices:
            self.plan.lose(index)
        self._new_frontier({})
        self._advance()

    def _reject(self, actual: str, reason: str = "") -> None:
        assert self._digest is not None  # noqa: S101 - a digest was compared
        kept = self._part.set_aside(actual)
        self.fail(
            DigestMismatch(
                f"{self.job.remote.name} does not have the SHA256 digest that was promised: expected {self._digest.hex}, "
                f"got {actual}.{reason} It came the same way twice, so either the expectation is wrong or the server's "
                f"copy is. What came is set aside as {str(kept)!r}; nothing was written to {str(self.job.target)!r}. "
                "Check the digest, or ask whoever runs the server.",
                expected=self._digest.hex,
                actual=actual,
            )
        )

    # Small things

    @property
    def _names(self) -> dict[str, Any]:
        return {"file": self.job.remote.name, "path": str(self.job.target)}

    @property
    def _part(self) -> Part:
        assert self.part is not None  # noqa: S101 - admitted
        return self.part

    def _notice(self, message: str) -> None:
        _log.info("file.notice", file=self.job.remote.name, message=message)
        self._emit(Notice(**self._names, message=message))


def _published(etag: str | None) -> Digest | None:
    """What the Hub's ETag says: SHA-256 of large files, Git's SHA-1 of small ones."""
    text = (etag or "").removeprefix("W/").strip('"')
    for algorithm in ("sha256", "git-sha1"):
        try:
            return Digest.parse(f"{algorithm}:{text}")
        except PathError:
            continue
    return None


def _as_engine_error(exc: BaseException) -> EngineError:
    if isinstance(exc, EngineError):
        return exc
    if isinstance(exc, OSError):
        return disk_error("read back what was written", None, exc.errno or 0)
    raise exc


def _exhausted(failure: Failure, allowed: int) -> EngineError:
    error = error_of(failure)
    tries = f" Given up after {allowed + 1} attempts without progress; what was received is kept, and the same command resumes."
    return (
        type(error)(f"{error.args[0]}{tries}", url=failure.url, status=failure.status)
        if isinstance(error, NetworkError)
        else error
    )
