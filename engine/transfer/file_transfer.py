"""One file on its way: from admission over leases to its final name.

Driven by the coordinator, on its thread only. Long work (hashing, syncing, finishing) goes through `submit`,
which runs it on another thread and calls back on the coordinator's.

    new -> waiting (somebody else holds it) -> checking (a target of unknown origin is hashed) -> active
    active -> finishing -> done;  active -> failing -> failed;  active -> restarting -> active

`failing` and `restarting` wait until no lane writes any more and no thread reads.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from engine.digest import Digest
from engine.errors import Busy, DigestMismatch, EngineError, NetworkError
from engine.remote_file import Identity
from engine.settings import Settings
from engine.spans import Grid, Span
from engine.store.disk import check_space, disk_error
from engine.store.journal import Journal, header_of
from engine.store.part import Part
from engine.store.receipts import Receipt
from engine.telemetry import Log, redact
from engine.transfer.admission import (
    accepted,
    adopted,
    algorithms_for,
    can_continue,
    hash_target,
    is_another,
    must_be_hashed,
    published_digest,
    target_stat,
    wanted,
)
from engine.transfer.approach import Approach
from engine.transfer.events import Event, FileDone, Notice, Retry, Waiting
from engine.transfer.events import Plan as PlanEvent
from engine.transfer.finish import Content, Ending, Finished, agrees, content_of, finish, how_verified
from engine.transfer.finisher import Finisher
from engine.transfer.health import Attempts
from engine.transfer.job import Job
from engine.transfer.messages import Lease, LeaseEnded, Opened, PieceWritten, Proceed, SegmentWritten, Whole
from engine.transfer.plan import Plan
from engine.transfer.proof import Proof
from engine.transfer.redress import Redress
from engine.transfer.tally import Tally
from engine.transfer.tasks import Submit, Tasks, as_engine_error
from engine.transport.pauses import Pauses
from engine.transport.retry import Failure
from engine.transport.verdicts import error_of, wait_s

_log = Log(__name__)
_SYNC_EVERY_BYTES = 256 << 20
WHOLE_BYTES = 1 << 18
"""Up to here a file comes in one answer, in memory, and needs no plan: what it costs is the request."""
_INLINE_BYTES = 1 << 20
"""Up to here hashing and finishing cost less than handing them to a thread."""

State = Literal[
    "new", "waiting", "checking", "active", "restarting", "failing", "finishing", "done", "failed"
]


class Shared(msgspec.Struct, frozen=True):
    """What all files of a pull have in common."""

    settings: Settings
    emit: Callable[[Event], None]
    submit: Submit
    finisher: Finisher
    pauses: Pauses


class Held(msgspec.Struct, frozen=True):
    """A lease that is out, and in which round of attempts."""

    lease: Lease
    round: int


class FileTransfer:
    """See the module's text. `number` names the file in messages."""

    def __init__(self, number: int, job: Job, shared: Shared) -> None:
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
        self._shared = shared
        self._settings = settings = shared.settings
        self._emit = shared.emit
        self._digest = job.remote.digest
        self._identity = Identity(size=job.remote.size)
        self._approach = Approach(job.remote)
        self._proof: Proof | None = None
        self._pieces: list[Span] = []
        """Of a stream of unknown length, before there is a plan."""
        self._checks: dict[int, int] = {}
        """Likewise."""
        self._has_target = False
        self._is_measured = False
        """The size is where a stream ended, which may have been too early."""
        self._redress = Redress(self)
        self._tasks = Tasks(shared.submit, failed=self._task_failed)
        self._is_hashing = self._is_syncing = False
        self._unsynced_bytes = 0
        self._attempts = Attempts(settings.retries)
        self._after: Callable[[], None] = self._fail_now
        self.tally = Tally()

    def __repr__(self) -> str:
        return f"<FileTransfer {self.number} {self.state} {self.plan} {self._approach}>"

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
        return self._approach.is_stream

    @property
    def is_tls(self) -> bool:
        return self.job.remote.url.startswith("https:")

    @property
    def done_bytes(self) -> int:
        """On disk: held and received."""
        if self.result is not None:
            return self.result.size
        return self.plan.written_bytes if self.plan else self._streamed_bytes

    @property
    def needs_lanes(self) -> bool:
        """Whether there is something to fetch that nobody fetches yet."""
        return self.state == "active" and (self.plan is None or self.plan.missing_bytes > 0)

    @property
    def missing_segments(self) -> int:
        """About how many segments nobody fetches yet; of a file of unknown size, whether nobody has asked for it."""
        if self.plan is None:
            return int(not self.leases)
        return -(-self.plan.missing_bytes // self.segment_size)

    @property
    def hashed_bytes(self) -> int:
        return self._proof.frontier.offset if self._proof else 0

    @property
    def is_verifying(self) -> bool:
        """Every byte has come; what remains is hashing, syncing, renaming."""
        return self.state in ("checking", "finishing") or (self.plan is not None and self.plan.is_complete)

    @property
    def wants_close(self) -> bool:
        """No lane has business with the file any more, so its hosts shall close it."""
        if self.leases or not self.open_hosts:
            return False
        is_complete = self.plan is not None and self.plan.is_complete
        return self.state in ("failing", "restarting") or (self.state == "active" and is_complete)

    @property
    def _streamed_bytes(self) -> int:
        return len(self._checks) * self.segment_size + sum(len(piece) for piece in self._pieces)

    @property
    def _counts_bytes(self) -> bool:
        """Whether what lanes report is kept: also when one of them made the file fail, of the others."""
        return self.state in ("active", "failing")

    @property
    def _keeps(self) -> bool:
        """Whether the next run goes on from here."""
        return self.part is not None and self.part.journal is not None and self.done_bytes > 0

    # Admission

    def admit(self) -> None:
        """Find out what is there. Afterwards the state is neither "new" nor, if the lock was free, "waiting"."""
        try:
            self._admit()
        except (OSError, EngineError) as exc:
            self.fail(as_engine_error(exc))

    def _admit(self) -> None:
        if self._find_target():
            return
        self.part = Part.try_open(self.job.partial, wanted(self.job.remote))
        if self.part is None:
            self._wait_for_holder()
            return
        self.tally.restart_clock()
        self.state = "active"
        if self._find_target():
            return  # whoever held the lock has finished it
        if self._has_target and must_be_hashed(self.job, self._settings):
            self.state = "checking"
            self.start_task(lambda: hash_target(self.job, self._settings), self._target_hashed)
        else:
            self._begin()

    def _find_target(self) -> bool:
        """Look at the target; whether it is there and what is asked for, so that nothing is left to be done."""
        self._has_target = target_stat(self.job.target) is not None
        receipt = accepted(self.job, self._settings) if self._has_target else None
        if receipt is not None:
            self._already_there(receipt)
        return receipt is not None

    def _wait_for_holder(self) -> None:
        holder = Part.holder(self.job.partial)
        if is_another(Part.held_for(self.job.partial), self.job.remote):
            raise Busy(
                f"{str(self.job.target)!r} is being written by {holder}, from another address. "
                "Choose another name, or wait until it has ended.",
                holder=holder,
            )
        if self.state == "new":
            self.state = "waiting"
            self._emit(Waiting(**self._names, holder=holder))
            _log.info("lock.waiting", file=self.job.remote.name, holder=holder)

    def _target_hashed(self, digests: dict[str, str]) -> None:
        self.state = "active"
        if self._digest is None or digests[self._digest.algorithm] == self._digest.hex:
            self._already_there(adopted(self.job, digests))
        else:
            self._begin()

    def _already_there(self, receipt: Receipt) -> None:
        if self.part is not None:
            self.part.close()
        self.state = "done"
        self.result = self.tally.already_there(
            self.job.remote,
            str(self.job.target),
            size=receipt.size,
            sha256=receipt.sha256,
            verified=how_verified(self._digest, receipt.sha256),
        )

    def _begin(self) -> None:
        """Continue what an earlier run left, or start."""
        self._shared.finisher.prepare(self.job.receipts)
        if self.open_part.is_fresh:
            if self.job.remote.size is not None and not 0 < self.job.remote.size <= self._whole_bytes:
                self._start(self.job.remote.size)
            return
        if self._settings.force:
            self.open_part.discard()
        elif self._digest and self._digest.algorithm == "sha256" and self.open_part.adopt(self._digest.hex):
            self._take_up(os.fstat(self.open_part.fd).st_size)
            return
        journal = self.open_part.resume()
        if journal is not None and (reason := can_continue(journal.header, self.job.remote)):
            self.notice(f"Starting again: what an earlier run left cannot be continued, because {reason}.")
            self.open_part.discard()
            journal = None
        if journal is not None:
            self._continue(journal)
        elif self.job.remote.size is not None:
            self._start(self.job.remote.size)

    @property
    def _whole_bytes(self) -> int:
        """Up to what size a lane may bring the file whole."""
        return min(WHOLE_BYTES, self._settings.segment_size)

    def _take_up(self, size: int) -> None:
        """Content that was set aside once, and is what is asked for now."""
        grid = Grid(size, self._settings.segment_size)
        self._make_plan(grid, dict.fromkeys(range(grid.count)))

    def _continue(self, journal: Journal) -> None:
        header = journal.header
        self._identity = header.identity
        self._digest = self._digest or (Digest.parse(header.digest) if header.digest else None)
        self._approach.has_ranges = True
        pieces = dict(journal.pieces)
        missing = header.size - header.grid.runs(journal.checks).nbytes - sum(map(len, pieces))
        check_space(self.open_part.folder, missing)
        _log.info("part.resumed", file=self.job.remote.name, missing_bytes=missing, size=header.size)
        self._make_plan(header.grid, dict(journal.checks), pieces)

    def _start(self, size: int) -> None:
        """The size is known: make room and plan."""
        self._identity = msgspec.structs.replace(self._identity, size=size)
        can_resume = (self._digest or self._identity.has_validator) and not self.is_stream
        segment_size = self._settings.segment_size
        header = None
        if can_resume and size > segment_size:
            header = header_of(self.job.remote, self._identity, self._digest, segment_size)
        self.open_part.start(header, size, self._settings.allocate)
        self._make_plan(Grid(size, segment_size), {})

    def _make_plan(
        self,
        grid: Grid,
        on_disk: Mapping[int, int | None],
        pieces: Mapping[Span, int] | None = None,
        *,
        is_fresh: bool = False,
    ) -> None:
        """Plan what is missing. Segments on disk are proven by the frontier before they are believed; pieces, of
        which there are few, at once. is_fresh: what is on disk came in this run."""
        self.plan = Plan(grid, on_disk)
        self._proof = Proof(self.open_part.fd, grid, self._digest, on_disk, self._settings)
        whole: list[int] = []
        for span, check in (pieces or {}).items():
            if self._proof.check_of(span) == check:
                whole += self.plan.hold_piece(span)
        self.tally.held = 0 if is_fresh else self.plan.written_bytes
        self._tell_plan(grid.size, ranges=not self.is_stream)
        for index in whole:
            self._segment_done(index, self._proof.check_on_disk(index))
        self._advance()

    def _tell_plan(self, size: int, *, ranges: bool) -> None:
        self._emit(
            PlanEvent(
                **self._names,
                url=redact(self.job.remote.url),
                size=size,
                held_bytes=self.tally.held,
                ranges=ranges,
            )
        )

    # Leases

    def next_lease(self, number: int, lane: int, rate_bytes_s: float, lanes: int, now: float) -> Lease | None:
        """The next lease for an idle lane, noted as out; None when there is nothing for it now."""
        if self.state != "active" or now < self.resume_at or not self._approach.may_lease:
            return None
        if self.plan is not None and not self.plan.missing_bytes:
            return None
        if wait := self._shared.pauses.left_s(self._approach.url):
            self.resume_at = now + wait
            return None
        span = self._carve(number, rate_bytes_s, lanes)
        if span is None:
            return None
        lease = self._approach.lease(
            number,
            lane,
            self.number,
            span,
            self._identity,
            has_digest=self._digest is not None,
            whole=0 if self.plan else self._whole_bytes,
        )
        self.leases[number] = Held(lease, self._attempts.round)
        self.tally.lanes_at_work(len(self.leases))
        return lease

    def _carve(self, number: int, rate_bytes_s: float, lanes: int) -> Span | None:
        if self.plan is None:
            # Either nobody has asked yet, or one stream of unknown length is at work.
            return None if self._approach.is_open else Span(0, self._identity.size or self.segment_size)
        if self.is_stream:
            return self.plan.carve_rest(number)
        return self.plan.carve(number, rate_bytes_s, lanes)

    def opened(self, opened: Opened, *, may_proceed: Callable[[int], bool]) -> Proceed | None:
        """Take note of an answer's headers. For a probe: what to do with its body; may_proceed(size) says
        whether its host may have files of this size."""
        held = self.leases.get(opened.lease)
        if held is None or self.state != "active":
            return None
        self._approach.opened(opened)
        try:
            self._learn(opened)
            if held.lease.is_probe and self.state == "active":
                return self._proceed(held.lease, opened, may_proceed)
        except EngineError as exc:
            self.fail(exc)
        return None

    def whole_came(self, message: Whole) -> None:
        """A small file came in one answer; its lease is still to be ended."""
        if message.ended.lease not in self.leases or self.state != "active":
            return
        self._approach.opened(message.opened)
        self.tally.received(len(message.data))
        try:
            self._learn(message.opened)
            if self.state == "active":
                self._take_whole(message)
        except EngineError as exc:
            self.fail(exc)

    def _take_whole(self, message: Whole) -> None:
        """What is wanted goes straight to its end; with what is not, the same is done as with any other file."""
        data = message.data
        self._identity = msgspec.structs.replace(self._identity, size=len(data))
        content = content_of(data, self._settings.segment_size, algorithms_for(self._digest, self._settings))
        if not agrees(self._digest, content):
            self.open_part.start(None, len(data), "sparse")
            self.open_part.write_whole(data)
            self._make_plan(Grid(len(data), self._settings.segment_size), content.checks, is_fresh=True)
            return
        self._tell_plan(len(data), ranges=message.opened.status == 206)
        self._finish(content, data)

    def _learn(self, opened: Opened) -> None:
        """Validators and a published digest come with the first answer."""
        if not self._identity.has_validator:
            self._identity = msgspec.structs.replace(opened.identity, size=self._identity.size)
        published = published_digest(self.job.remote, opened.linked_etag)
        if published is None:
            return
        if self._digest is None:
            self._digest = published
            if self._proof is not None:
                self._proof.expect(published)
        elif self._digest != published and self._digest.algorithm == published.algorithm:
            self._published_otherwise(published)

    def _published_otherwise(self, published: Digest) -> None:
        if self.job.remote.digest is None:
            self.restart("the Hub has another version of the file now")
            return
        assert self._digest is not None  # noqa: S101 - it is the job's
        raise DigestMismatch(
            f"{self.job.remote.name} is published with SHA256 {published.hex}, but {self._digest.hex} was asked for. "
            "Check the digest or the revision; nothing was written.",
            expected=self._digest.hex,
            actual=published.hex,
        )

    def _proceed(self, probe: Lease, opened: Opened, may_proceed: Callable[[int], bool]) -> Proceed:
        manner = self._approach.judge(opened)
        size = self._identity.size if opened.identity.size is None else opened.identity.size
        drop = Proceed(probe.lane, probe.lease, None, go=False)
        if manner == "ask without range":
            return drop
        if manner == "empty":
            size = 0
        if manner == "stream" and size != 0:
            self.notice("The server has no ranges: one stream, which starts again if it is interrupted.")
        if self.plan is None and size is not None:
            self._start(size)
        elif self.plan is None:
            self.open_part.start(None, None, self._settings.allocate)
            return Proceed(probe.lane, probe.lease, None, go=True)
        assert self.plan is not None  # noqa: S101 - made above
        if manner == "ranges" and not may_proceed(self.plan.grid.size):
            return drop
        self.plan.end(probe.lease)
        span = self.plan.carve_rest(probe.lease) if self.is_stream else self.plan.carve(probe.lease, 0.0, 1)
        return Proceed(probe.lane, probe.lease, span.stop, go=True) if span else drop

    # What lanes report

    def segment_written(self, message: SegmentWritten) -> None:
        if not self._counts_bytes:
            return
        self._received(len(self.plan.grid.span_of(message.index)) if self.plan else self.segment_size)
        self._segment_done(message.index, message.check)

    def piece_written(self, message: PieceWritten) -> None:
        if not self._counts_bytes:
            return
        self._received(len(message.span))
        if self.plan is None or self._proof is None:
            self._pieces.append(message.span)
            return
        try:
            # A segment that came in pieces has no check from one lane; it is read back.
            for index in self.plan.wrote_piece(message.span):
                self._segment_done(index, self._proof.check_on_disk(index))
        except OSError as exc:
            self.fail(disk_error("read back", self.open_part.data, exc.errno or 0))

    def lease_ended(self, message: LeaseEnded, now: float) -> None:
        held = self.leases.pop(message.lease, None)
        if held is None:
            return
        self._approach.lease_ended(message.lease)
        self.tally.lease_ended(message)
        if self.plan is not None:
            self.plan.end(message.lease)
        if self.state != "active":
            self.settle()
        elif message.failure is not None:
            self.failed(message.failure, held, now)
        elif self.plan is None and self._approach.is_stream and not message.is_revoked:
            self._stream_ended()
        else:
            self._advance()

    def _received(self, nbytes: int) -> None:
        self.tally.received(nbytes)
        self._unsynced_bytes += nbytes

    def _segment_done(self, index: int, check: int) -> None:
        if self.plan is None or self._proof is None:
            self._checks[index] = check
            return
        self.plan.wrote_segment(index)
        self._proof.wrote(index, check)
        if self.open_part.journal is not None:
            try:
                self.open_part.journal.append(index, check)
            except EngineError as exc:
                self.fail(exc)
                return
        self._advance()

    def _stream_ended(self) -> None:
        """A body of unknown length has come to its end: now the size is known."""
        size = self._streamed_bytes
        checks, self._checks, self._pieces = self._checks, {}, []
        self._identity = msgspec.structs.replace(self._identity, size=size)
        self._is_measured = True
        grid = Grid(size, self._settings.segment_size)
        try:
            self.open_part.truncate(size)
            self._make_plan(grid, {index: checks.get(index) for index in range(grid.count)}, is_fresh=True)
        except EngineError as exc:
            self.fail(exc)

    # Failures

    def failed(self, failure: Failure, held: Held, now: float) -> None:
        """A lease failed: retry, wait, restart, or give up."""
        if failure.kind == "disk":
            self.fail(disk_error("write", self.open_part.data, failure.errno or 0))
            return
        if failure.is_final:
            self.fail(error_of(failure))
            return
        if failure.is_pushback and failure.retry_after_s:
            self._shared.pauses.note(failure.url or held.lease.url, failure.retry_after_s)
        self._approach.failed(failure, held.lease)
        progressed = self.done_bytes > self._attempts.furthest
        counts = failure.kind != "slow" and self._attempts.failed(held.round, self.done_bytes)
        if counts and self._attempts.are_exhausted:
            self.fail(error_of(failure, attempts=self._attempts.allowed + 1, keeps=self._keeps))
            return
        must_wait = failure.retry_after_s is not None or not (progressed or failure.kind == "expired")
        try:
            wait = (
                wait_s(failure, self._attempts.count, self._settings.retry_delay_s, keeps=self._keeps)
                if counts and must_wait
                else 0.0
            )
        except NetworkError as exc:
            self.fail(exc)
            return
        self.resume_at = max(self.resume_at, now + wait)
        self._tell_retry(failure, wait, held.lease, counts=counts)
        self._go_on(failure)

    def _go_on(self, failure: Failure) -> None:
        if failure.kind == "changed":
            self.restart("the file changed on the server")
        elif self.is_stream:
            self.restart("the only stream broke")
        else:
            self._advance()

    def _tell_retry(self, failure: Failure, wait: float, lease: Lease, *, counts: bool) -> None:
        self.tally.retries += 1
        retry = Retry(
            **self._names,
            url=failure.url,
            cause=failure.message,
            kind=failure.kind,
            status=failure.status,
            offset=self._reached(lease),
            wait_s=wait,
            attempt=self._attempts.count if counts else 0,
            attempts=self._attempts.allowed,
        )
        _log.info(
            "lease.failed",
            file=retry.file,
            kind=retry.kind,
            cause=retry.cause,
            wait_s=wait,
            attempt=retry.attempt,
        )
        self._emit(retry)

    def _reached(self, lease: Lease) -> int:
        """The first byte of a lease that is not on disk."""
        start = lease.span.start if lease.span else 0
        return self.plan.written_until(start) if self.plan else self._streamed_bytes

    def restart(self, reason: str) -> None:
        """Start at zero as soon as no lane writes any more; the coordinator revokes the leases."""
        self.notice(f"Starting again: {reason}.")
        self._end("restarting", self._restart_now)

    def fail(self, error: EngineError) -> None:
        """Give up as soon as no lane writes any more; what was received is kept."""
        if self.state not in ("done", "failed", "failing"):
            self.error = error
            self._end("failing", self._fail_now)

    def _end(self, state: State, after: Callable[[], None]) -> None:
        self.state = state
        self._after = after
        self.interrupt()
        self.settle()

    def settle(self) -> None:
        """Go on with a restart or an end, once all leases are over, all hosts have closed, all tasks are back."""
        busy = self.leases or self.open_hosts or self.closing_hosts or self._tasks
        if self.state in ("failing", "restarting") and not busy:
            self._after()

    def interrupt(self) -> None:
        """A hash step that runs shall end soon."""
        if self._proof is not None:
            self._proof.frontier.must_stop = True

    def close(self) -> None:
        """Let go of everything and leave it for the next run. May be called twice."""
        if self.part is not None and not self.is_over:
            self._keep_pieces()
            self.part.close()

    def _keep_pieces(self) -> None:
        """Write down what has come of unfinished segments, so that an orderly end loses not a byte."""
        if self.plan is None or self._proof is None or self.part is None or self.part.journal is None:
            return
        try:
            for piece in self.plan.pieces:
                self.part.journal.append_piece(piece, self._proof.check_of(piece))
        except (OSError, EngineError) as exc:
            _log.warning("pieces.lost", file=self.job.remote.name, error=str(exc))

    def _restart_now(self) -> None:
        self.tally.threw_away(self.done_bytes)
        self.plan = self._proof = None
        self._checks, self._pieces = {}, []
        self._is_measured = False
        self._digest = self.job.remote.digest
        self._identity = Identity(size=self.job.remote.size)
        self._approach = Approach(self.job.remote)
        self.state = "active"
        try:
            self.open_part.discard()
            if self.job.remote.size is not None:
                self._start(self.job.remote.size)
        except EngineError as exc:
            self.fail(exc)

    def _fail_now(self) -> None:
        if self.part is not None:
            self._keep_pieces()
            self.part.close()
        self.state = "failed"
        _log.warning("file.failed", file=self.job.remote.name, error=str(self.error))

    # Hashing, syncing, finishing

    def _advance(self) -> None:
        """Let the frontier follow, sync behind the writers, finish when all is there."""
        if self.state != "active" or self.plan is None or self._proof is None:
            return
        frontier = self._proof.frontier
        frontier.limit = self.plan.frontier_limit
        if not self._is_hashing and frontier.has_work and not frontier.must_stop:
            self._is_hashing = True
            self.start_task(frontier.advance, self._advanced)
        if self._unsynced_bytes >= _SYNC_EVERY_BYTES and not self._is_syncing:
            self._unsynced_bytes, self._is_syncing = 0, True
            self.start_task(self.open_part.sync, self._synced)
        self.try_finish()

    def _advanced(self, bad: int | None) -> None:
        self._is_hashing = False
        if bad is not None and self.plan is not None and self._proof is not None:
            self.notice(f"Segment {bad} is not what an earlier run wrote; it is fetched again.")
            self.tally.held -= len(self.plan.grid.span_of(bad))
            self.plan.lose(bad)
            self._proof.frontier.replaced(bad)
        self._advance()

    def _synced(self, _: None) -> None:
        self._is_syncing = False
        self.try_finish()

    def try_finish(self) -> None:
        """Finish if every byte is written, hashed and checked, and no host has the file open any more."""
        if self.state != "active" or self.plan is None or self._proof is None:
            return
        busy = self.leases or self.open_hosts or self.closing_hosts or self._tasks
        if busy or not self.plan.is_complete or not self._proof.frontier.is_done:
            return
        content = self._proof.content()
        if self._digest is not None and not self._proof.agrees(content):
            self._redress.take(
                self._proof, self._digest, content, is_stream=self.is_stream, is_measured=self._is_measured
            )
            return
        self._finish(content)

    def _finish(self, content: Content, data: bytes | None = None) -> None:
        """Give the part its final name; data is all of it, where it is not on disk yet."""
        self.state = "finishing"
        ending = Ending(self.job, self.open_part, self._identity, self._digest, content, data)
        if content.size <= content.segment_size:
            self._tasks.hand_to(lambda done: self._shared.finisher.add(ending, done), self._finished)
        else:
            self.start_task(lambda: finish(ending), self._finished)

    def _finished(self, finished: Finished) -> None:
        self.state = "done"
        self.result = self.tally.done(
            self.job.remote,
            str(self.job.target),
            size=finished.size,
            sha256=finished.sha256,
            verified=finished.verified,
            finish_s=finished.disk_s,
        )

    def refetch(self, indices: list[int]) -> None:
        """Of a complete file: fetch these segments again, and hash it anew."""
        assert self.plan is not None and self._proof is not None  # noqa: S101 - complete until now
        for index in indices:
            self.plan.lose(index)
        self._proof.follow_again()
        self._advance()

    # Small things

    def start_task(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Run work elsewhere, and done here if the file still goes on then. Small files are not worth a thread."""

        def back(result: Any) -> None:
            if self.state in ("failing", "restarting"):
                self._is_hashing = self._is_syncing = False
                self.settle()
            else:
                done(result)

        self._tasks.start(work, back, inline=self.size is not None and self.size <= _INLINE_BYTES)

    def _task_failed(self, error: EngineError) -> None:
        self._is_hashing = self._is_syncing = False
        if self.state == "finishing":
            self.state = "active"
        self.fail(error)
        self.settle()

    @property
    def _names(self) -> dict[str, Any]:
        return {"file": str(self.job.remote.name), "path": str(self.job.target)}

    @property
    def open_part(self) -> Part:
        """The part, once it is ours."""
        assert self.part is not None  # noqa: S101 - admitted
        return self.part

    def notice(self, message: str) -> None:
        _log.info("file.notice", file=self.job.remote.name, message=message)
        self._emit(Notice(**self._names, message=message))
