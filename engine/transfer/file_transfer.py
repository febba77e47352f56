"""One file on its way: from admission over leases to its final name.

Driven by the coordinator, on its thread only. This is the state machine; what it joins is elsewhere: the way in
(entrance.py), the bytes that come together (assembly.py, beginning.py), leases and their answers (leases.py), failures
(setbacks.py), a wrong digest (redress.py). Long work (hashing, syncing, finishing) goes through `submit`, which runs it
on another thread and calls back on the coordinator's.

    new -> waiting (somebody else holds it) -> checking (a target of unknown origin is hashed) -> active
    active -> finishing -> done;  active -> failing -> failed;  active -> restarting -> active

`failing` and `restarting` wait until no lane writes any more and no thread reads.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from engine.errors import EngineError
from engine.settings import Settings
from engine.spans import Span
from engine.store.disk import disk_error
from engine.store.part import Part
from engine.store.receipts import Receipt
from engine.telemetry import Log, redact
from engine.transfer.access import Access
from engine.transfer.assembly import Assembly
from engine.transfer.beginning import Beginning
from engine.transfer.content import Content, agrees, algorithms_for, content_of
from engine.transfer.endgame import may_waste
from engine.transfer.entrance import Entrance
from engine.transfer.events import Event, FileDone
from engine.transfer.finish import Ending, Finished, finish, how_verified
from engine.transfer.finisher import Finisher
from engine.transfer.hosts import Host
from engine.transfer.job import Job
from engine.transfer.leases import Held, Leases
from engine.transfer.messages import (
    Lease,
    LeaseEnded,
    Opened,
    PieceWritten,
    Proceed,
    SegmentWritten,
    Shortened,
    Whole,
)
from engine.transfer.redress import Redress
from engine.transfer.setbacks import Setbacks
from engine.transfer.tally import Tally
from engine.transfer.tasks import Submit, Tasks, as_engine_error
from engine.transfer.version import Version
from engine.transfer.voice import Voice
from engine.transport.auth import origin_of
from engine.transport.pauses import Pauses
from engine.transport.retry import Failure

_log = Log(__name__)
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


class FileTransfer:
    """See the module's text. `number` names the file in messages."""

    def __init__(self, number: int, job: Job, shared: Shared) -> None:
        self.number = number
        self.job = job
        self.state: State = "new"
        self.error: EngineError | None = None
        self.result: FileDone | None = None
        self.resume_at = 0.0
        self.access = Access(number)
        self.origin = origin_of(job.remote.url)
        self._shared = shared
        self._settings = shared.settings
        self._voice = Voice(job, shared.emit)
        self._entrance = Entrance(job, shared.settings, self._voice)
        self._setbacks = Setbacks(shared.settings)
        self._redress = Redress(self)
        self._tasks = Tasks(shared.submit, failed=self._task_failed)
        self._tally = Tally()
        self._after: Callable[[], None] = self._fail_now
        self._set_out(None)

    def _set_out(self, part: Part | None) -> None:
        """Nothing is known but what the source said, and nothing has come."""
        self._version = Version(self.job.remote, is_listed=self.job.refresh is not None)
        self._assembly = Assembly(
            str(self.job.remote.name), self._settings, self._voice, self.start_task, self._advance
        )
        self._assembly.part = part
        self._beginning = Beginning(self.job, self._settings, self._version, self._voice, self._assembly)
        self.leases = Leases(
            self.number, self.job.remote, self._voice, self._version, self._assembly, self._beginning
        )

    def __repr__(self) -> str:
        return f"<FileTransfer {self.number} {self.state} {self._assembly.plan} {self.leases}>"

    # Facts for the coordinator

    @property
    def is_over(self) -> bool:
        return self.state in ("done", "failed")

    @property
    def size(self) -> int | None:
        return self._version.size

    @property
    def is_tls(self) -> bool:
        return self.job.remote.url.startswith("https:")

    @property
    def done_bytes(self) -> int:
        """On disk: held and received."""
        return self.result.size if self.result is not None else self._assembly.done_bytes

    @property
    def hashed_bytes(self) -> int:
        return self._assembly.hashed_bytes

    @property
    def needs_lanes(self) -> bool:
        """Whether there is something to fetch that nobody fetches yet."""
        plan = self._assembly.plan
        return self.state == "active" and (plan is None or plan.missing_bytes > 0)

    @property
    def missing_segments(self) -> int:
        """About how many segments nobody fetches yet; of a file of unknown size, whether nobody has asked for it."""
        plan = self._assembly.plan
        return -(-plan.missing_bytes // plan.grid.segment_size) if plan else int(not self.leases.out)

    @property
    def is_verifying(self) -> bool:
        """Every byte has come; what remains is hashing, syncing, renaming."""
        return self.state in ("checking", "finishing") or self._assembly.is_complete

    @property
    def _is_busy(self) -> bool:
        """Whether a lane may write, a host has the file open, or a thread is at work on it."""
        return bool(self.leases.out or self.access or self._tasks)

    # Admission

    def admit(self) -> None:
        """Find out what is there. Afterwards the state is neither "new" nor, if the lock was free, "waiting"."""
        self._try(self._admit)

    def _admit(self) -> None:
        receipt = self._entrance.find()
        if receipt is None:
            part = self._assembly.part = self._entrance.lock()
            if part is None:
                self.state = "waiting"
                return
            self._tally.restart_clock()
            self.state = "active"
            receipt = self._entrance.find()  # whoever held the lock may have finished it
        if receipt is not None:
            self._already_there(receipt)
        elif self._entrance.must_hash:
            self.state = "checking"
            self.start_task(
                self._entrance.hash, lambda digests: self._try(lambda: self._target_hashed(digests))
            )
        else:
            self._begin()

    def _target_hashed(self, digests: dict[str, str]) -> None:
        self.state = "active"
        receipt = self._entrance.adopt(digests)
        if receipt is not None:
            self._already_there(receipt)
        else:
            self._begin()

    def _already_there(self, receipt: Receipt) -> None:
        self._entrance.clear(self._assembly.part)
        self.state = "done"
        self.result = self._tally.already_there(
            self.job.remote,
            str(self.job.target),
            size=receipt.size,
            sha256=receipt.sha256,
            verified=how_verified(self._version.digest, receipt.sha256),
        )

    def _begin(self) -> None:
        self._entrance.check_free()
        self._shared.finisher.prepare(self.job.receipts)
        if self._beginning.resume():
            self.leases.know_ranges()
        self._advance()

    # Leases

    def wants_lane(self, now: float) -> bool:
        """Whether there may be a lease to give out."""
        return self.state == "active" and now >= self.resume_at and self.leases.may_go_out

    def next_lease(self, number: int, lane: int, wanted: int, lanes: int, now: float) -> Lease | None:
        """The next lease for an idle lane that wants so many bytes, noted as out; None when there is nothing for it
        now."""
        if wait := self._shared.pauses.left_s(self.leases.url):
            self.resume_at = now + wait
            return None
        lease = self.leases.next(number, lane, wanted, lanes, self._setbacks.round)
        self._tally.lanes_at_work(len(self.leases.out))
        return lease

    def rests(self) -> Iterator[tuple[int, Span]]:
        """What leases that are out have still to bring, by number, where they may be cut short for another lane."""
        plan = self._assembly.plan
        if self.state != "active" or plan is None or self.leases.is_stream:
            return
        if not may_waste(self._tally.discarded, plan.grid.size):
            return
        for number in self.leases.out:
            if rest := plan.rest_of(number):
                yield number, rest

    @property
    def is_held_up(self) -> bool:
        """Whether the hash waits for bytes while many have come that lie beyond them."""
        return self.state == "active" and self._assembly.is_held_up

    def shortened(self, message: Shortened) -> None:
        """A lane leaves the end of its lease to others."""
        if self._assembly.plan is not None and self.state == "active":
            self._assembly.plan.shorten(message.lease, message.stop)

    def discarded(self, nbytes: int) -> None:
        """Received, and thrown away by a lane whose lease had been taken back."""
        self._tally.discarded += nbytes

    def open_on(self, host: Host) -> None:
        """Let a host that gets a lease have the part's descriptors, if there is anything to write to yet."""
        part = self._assembly.part
        if part is not None and part.fd >= 0 and not self.access.has(host):
            self.access.give(host, self.size, self._assembly.segment_size, part)

    def close_if_idle(self) -> None:
        """Tell hosts to close the file, once no lane has business with it any more."""
        if self.leases.out or not self.access.is_open:
            return
        is_complete = self.state == "active" and self._assembly.is_complete
        if is_complete or self.state in ("failing", "restarting"):
            self.access.close()
            self.settle()

    def closed(self, host: Host, number: int) -> None:
        """A host has closed the file; number is the errno of that, 0 where it went well."""
        self.access.closed(host)
        if number:
            self.fail(disk_error("finish writing", self.open_part.data, number))
        self.settle()
        self.try_finish()

    def opened(self, opened: Opened, now: float, *, may_proceed: Callable[[int], bool]) -> Proceed | None:
        """Take note of an answer's headers. For a probe: what to do with its body; may_proceed(size) says
        whether its host may have files of this size."""
        if opened.lease not in self.leases.out or self.state != "active":
            return None
        try:
            return self.leases.proceed(opened, may_proceed) if self._learn(opened, now) else None
        except EngineError as exc:
            self.fail(exc)
            return None

    def _learn(self, opened: Opened, now: float) -> bool:
        held = self.leases.out[opened.lease]
        if self.leases.learn(opened):
            return True
        shown = redact(opened.url)
        message = f"{shown} has another version of the file now."
        self.failed(Failure(kind="changed", message=message, url=shown), held, now)
        return False

    def whole_came(self, message: Whole, now: float) -> None:
        """A small file came in one answer; its lease is still to be ended."""
        if message.ended.lease in self.leases.out and self.state == "active":
            self._tally.received(len(message.data))
            self._try(lambda: self._take_whole(message, now))

    def _take_whole(self, message: Whole, now: float) -> None:
        """What is wanted goes straight to its end; with what is not, the same is done as with any other file."""
        if not self._learn(message.opened, now):
            return
        data, digest, content = message.data, self._version.digest, message.content
        self._version.has_size(len(data))
        algorithms = algorithms_for(digest, self._settings)
        if not content.has(algorithms):  # only the answer said what it is to be compared with
            content = content_of(data, self._settings.segment_size, algorithms)
        if agrees(digest, content):
            self._voice.planned(len(data), held=0, ranges=message.opened.status == 206)
            self._finish(content, data)
        else:
            self._beginning.put_whole(data, content)

    # What lanes report; it is also kept when one of them made the file fail, of the others

    def segment_written(self, message: SegmentWritten) -> None:
        if self.state not in ("active", "failing"):
            return
        try:
            self._tally.received(self._assembly.wrote_segment(message.index, message.check))
        except EngineError as exc:
            self.fail(exc)
        else:
            self._advance()

    def piece_written(self, message: PieceWritten) -> None:
        if self.state not in ("active", "failing"):
            return
        self._tally.received(len(message.span))
        try:
            is_whole = self._assembly.wrote_piece(message.span)
        except EngineError as exc:
            self.fail(exc)
        else:
            if is_whole:
                self._advance()

    def lane_lost(self, lease: int) -> None:
        """The lane that had this lease is gone: what it has noted, and did not come to tell, is told by its notes."""
        plan = self._assembly.plan
        rest = plan.rest_of(lease) if plan is not None else None
        for span in self._assembly.noted_in(rest) if rest else ():
            self.piece_written(PieceWritten(lease, self.number, span))

    def lease_ended(self, message: LeaseEnded, now: float) -> None:
        held = self.leases.ended(message)
        if held is None:
            return
        self._tally.lease_ended(message)
        if self.state != "active":
            self.settle()
        elif message.failure is not None:
            self.failed(message.failure, held, now)
        else:
            if self._assembly.plan is None and self.leases.is_stream and not message.is_revoked:
                self._try(self._beginning.stream_ended)
            self._advance()

    # Failures

    def failed(self, failure: Failure, held: Held, now: float) -> None:
        """A lease failed: retry, wait, restart, or give up."""
        if failure.kind == "disk":
            self.fail(disk_error("write", self._assembly.open_part.data, failure.errno or 0))
            return
        if failure.is_pushback and failure.retry_after_s:
            self._shared.pauses.note(failure.url or held.lease.url, failure.retry_after_s)
        self.leases.failed(failure, held)
        again = self._setbacks.judge(
            failure,
            held.round,
            self.done_bytes,
            keeps=self._assembly.can_resume,
            is_stream=self.leases.is_stream,
        )
        if isinstance(again, EngineError):
            self.fail(again)
            return
        self.resume_at = max(self.resume_at, now + again.wait_s)
        self._tally.retries += 1
        self._voice.retry(
            failure,
            held.lease,
            offset=self._assembly.reached(held.lease.span.start if held.lease.span else 0),
            wait_s=again.wait_s,
            attempt=again.attempt,
            attempts=self._setbacks.allowed,
        )
        if again.restart is not None:
            self.restart(again.restart)
        else:
            self._advance()

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
        if self.state in ("failing", "restarting") and not self._is_busy:
            self._after()

    def interrupt(self) -> None:
        """A hash step that runs shall end soon."""
        self._assembly.interrupt()

    def close(self) -> None:
        """Let go of everything and leave it for the next run. May be called twice."""
        if not self.is_over:
            self._assembly.close()

    def _restart_now(self) -> None:
        self._tally.threw_away(self.done_bytes)
        self._set_out(self._assembly.part)
        self.state = "active"
        self._try(self._start_again)

    def _start_again(self) -> None:
        self.open_part.discard()
        if self.job.remote.size is not None:
            self._beginning.start(self.job.remote.size)
        self._advance()

    def _fail_now(self) -> None:
        self._assembly.give_up()
        self.state = "failed"
        _log.warning("file.failed", file=self.job.remote.name, error=str(self.error))

    # Hashing, syncing, finishing

    def _advance(self) -> None:
        """Let the frontier follow, sync behind the writers, finish when all is there."""
        if self.state == "active":
            self._assembly.follow()
            self.try_finish()

    def try_finish(self) -> None:
        """Finish if every byte is written, hashed and checked, and no host has the file open any more."""
        proof = self._assembly.proof
        if self.state != "active" or proof is None or self._is_busy or not self._assembly.is_proven:
            return
        content, digest = proof.content(), self._version.digest
        if digest is None or proof.agrees(content):
            self._finish(content)
            return
        self._redress.take(
            proof, digest, content, is_stream=self.leases.is_stream, is_measured=self._version.is_measured
        )

    def _finish(self, content: Content, data: bytes | None = None) -> None:
        """Give the part its final name; data is all of it, where it is not on disk yet."""
        self.state = "finishing"
        self._tally.hashed()
        version = self._version
        ending = Ending(self.job, self.open_part, version.identity, version.digest, content, data)
        if content.size <= content.segment_size:
            self._tasks.hand_to(lambda done: self._shared.finisher.add(ending, done), self._finished)
        else:
            self.start_task(lambda: finish(ending), self._finished)

    def _finished(self, finished: Finished) -> None:
        self.state = "done"
        self.result = self._tally.done(
            self.job.remote,
            str(self.job.target),
            size=finished.size,
            sha256=finished.sha256,
            verified=finished.verified,
            held=self._assembly.held_bytes,
            finish_s=finished.disk_s,
        )

    def refetch(self, indices: list[int]) -> None:
        """Of a complete file: fetch these segments again, and hash it anew."""
        self._assembly.lose(indices)
        self._advance()

    # Small things

    def start_task(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Run work elsewhere, and done here if the file still goes on then. Small files are not worth a thread."""

        def back(result: Any) -> None:
            if self.state in ("failing", "restarting"):
                self.settle()
            else:
                done(result)

        self._tasks.start(work, back, inline=self.size is not None and self.size <= _INLINE_BYTES)

    def _task_failed(self, error: EngineError) -> None:
        if self.state == "finishing":
            self.state = "active"
        self.fail(error)
        self.settle()

    def _try(self, step: Callable[[], None]) -> None:
        """An error of this step is the file's."""
        try:
            step()
        except (OSError, EngineError) as exc:
            self.fail(as_engine_error(exc))

    @property
    def open_part(self) -> Part:
        """The part, once it is ours."""
        return self._assembly.open_part

    def notice(self, message: str) -> None:
        self._voice.notice(message)
