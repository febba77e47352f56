"""The lease that a lane is at work on: what of it is on disk, how far it still goes, whether it is the lane's at all.

Revocation. `revoke` takes the lock, marks the lease, and reports what was written; after that the lane throws away
whatever its socket still yields. The lock is held around each write and its bookkeeping, so when `revoke` returns no
byte of that lease can reach the file any more, even though the thread may be stuck. `shorten` does the same for the end
of a lease alone: what has come beyond it by then is thrown away with the connection.
"""

import threading
import time
from collections.abc import Callable

import msgspec

from engine.spans import Grid, Span
from engine.store.disk import write_all
from engine.store.pieces import Pieces
from engine.transfer.cells import BODY, IDLE, WRITING, Cell
from engine.transfer.content import Content
from engine.transfer.line import Line
from engine.transfer.messages import (
    LaneFree,
    Lease,
    LeaseEnded,
    Opened,
    Shortened,
    Up,
    Whole,
)
from engine.transfer.untold import Untold
from engine.transport.retry import Failure, WireError


class PartFile(msgspec.Struct, frozen=True):
    """A part as a host has it open. lock keeps the part's lock alive as long as this process lives."""

    fd: int
    lock: int
    size: int | None
    grid: Grid
    pieces: Pieces | None = None


class Reach(msgspec.Struct, frozen=True):
    """How far a body goes, and what may be believed of it meanwhile."""

    stop: int | None
    """Where the lease ends, unless it says so itself; None: where the body does."""
    promised_stop: int | None
    """Where the answer ends by its headers."""
    is_endless: bool
    """Nothing says where it ends, but the end of its connection: until that has come, it may be of frames."""
    is_framed: bool
    """It comes in chunks: what came of one is believed once it has ended where it should, or has the size of all that
    is still promised."""


class Spent(msgspec.Struct):
    """What a lease's time went to, in seconds."""

    wait_s: float = 0.0
    receive_s: float = 0.0
    write_s: float = 0.0
    limit_s: float = 0.0


class Revoked(Exception):
    """The lease is no longer ours."""


class LeaseWriter:
    """One lease after the other, of one lane. revoke() and shorten() are called by the lane's host, all else by the
    lane's thread."""

    def __init__(self, lane: int, turn: int, line: Line, cell: Cell, emit: Callable[[Up], None]) -> None:
        self._lane = lane
        self._line = line
        self._cell = cell
        self._emit = emit
        self._lock = threading.Lock()
        self._lease: Lease | None = None
        self._revoked_early = 0
        """The lease that was revoked before this thread took it up; numbers are never used again."""
        self._untold = Untold(turn, cell, emit)
        self._fd = -1
        self._stop: int | None = None
        self._reach = Reach(None, None, is_endless=False, is_framed=False)
        self._discarded = 0
        self.is_revoked = self.is_shortened = False
        self.spent = Spent()

    @property
    def position(self) -> int:
        """Up to here all of the lease is written."""
        return self._untold.stop

    # The host's side

    def revoke(self, lease: int) -> bool:
        """End this lease now, if it is still alive; see the module's text. Whether it was."""
        with self._lock:
            if self._lease is None or self._lease.lease != lease:
                self._revoked_early = lease
                return False
            if self.is_revoked:
                return False
            self.is_revoked = True
            self._tell_rest()
            self._emit(self._ended(None, is_revoked=True))
            self._line.wake()
        return True

    def shorten(self, lease: int, stop: int) -> bool:
        """End this lease at stop now, or where what has come already ends, if it is still alive; see the module's
        text. Whether nothing is left of it."""
        with self._lock:
            if self._lease is None or self._lease.lease != lease or self.is_revoked or self._stop is None:
                return False
            stop = max(stop, self.position + self._line.waiting_bytes)
            # Where it ends within a chunk, whose end is then not seen, what came of that would be lost.
            if stop < self._stop and not self._reach.is_framed:
                self._stop, self.is_shortened = stop, True
            is_over = self._stop <= self.position
            self._emit(Shortened(lease, self._lease.file, self._stop, is_over))
        return is_over

    def attached(self) -> None:
        """The line has a new connection; one that comes too late is of no use."""
        with self._lock:
            if self.is_revoked:
                self._line.wake()

    # The thread's side

    def begin(self, lease: Lease) -> None:
        with self._lock:
            self._lease, self.is_revoked = lease, lease.lease == self._revoked_early
            self._untold.begin(lease)
            self._stop = lease.span.stop if lease.span and not lease.is_probe else None
            self._reach = Reach(None, None, is_endless=False, is_framed=False)
            self.is_shortened = False
            self._discarded = 0
            self.spent = Spent()
            if self.is_revoked:
                self._emit(self._ended(None, is_revoked=True))

    def take(self, part: PartFile, reach: Reach) -> None:
        """From now on there is a body to be written."""
        self._fd, self._reach = part.fd, reach
        self._untold.notes = None if reach.is_framed or reach.is_endless else part.pieces
        if self._stop is None:
            self._stop = reach.stop

    def check(self) -> None:
        """Raises Revoked where the lease is no longer ours."""
        if self.is_revoked:
            raise Revoked

    @property
    def has_no_end(self) -> bool:
        """Whether it goes as far as its body does."""
        return self._stop is None

    @property
    def is_at_end(self) -> bool:
        return self._stop is not None and self.position >= self._stop

    @property
    def is_at_promised_end(self) -> bool:
        """Whether the answer, too, must end here."""
        return self.position == self._stop == self._reach.promised_stop and not self.is_shortened

    def missing_of(self, segment: Span) -> int:
        """Bytes that the lease has still to bring of the segment that it is in."""
        stop = segment.stop if self._stop is None else min(segment.stop, self._stop)
        return max(0, stop - self.position)

    def write(self, data: bytes, open_chunk: tuple[int, int] = (0, 0)) -> None:
        """Write what the lease still covers of data, which ends within a chunk of which so many bytes have come, and so
        many are to come."""
        with self._lock:
            if self.is_revoked:
                self._discarded += len(data)
                raise Revoked
            taken, left = open_chunk
            is_rest = self.position + len(data) + left == self._reach.promised_stop
            if self._stop is not None and self.position + len(data) > self._stop:
                self._discarded += self.position + len(data) - self._stop
                data = data[: self._stop - self.position]
            self._to_disk(data)
            self._untold.add(data)
            self._untold.tell(self.position if is_rest else self.position - taken)

    def end_segment(self, index: int, segment: Span) -> None:
        """A segment is over for this lease."""
        with self._lock:
            self.check()
            self._untold.end_segment(index, segment)

    def believe(self) -> None:
        """The body has ended where it should, and all of its frames."""
        with self._lock:
            self._untold.tell(self.position)

    def discard(self, nbytes: int) -> None:
        """So many bytes came, and are thrown away."""
        self._discarded += nbytes

    def distrust(self, failure: Failure, open_chunk: tuple[int, int]) -> Failure:
        """The body failed, within this chunk. Where its frames did not fit together, or it had none and broke off, what
        came of it and is not told yet is thrown away; where some of it is told, and no digest will judge, the file has
        to start again."""
        is_suspect = self._reach.is_endless and failure.kind != "disk"
        with self._lock:
            lease = self._alive
            if failure.kind != "frames" and not is_suspect:
                if self._reach.is_framed:
                    self._untold.tell(self.position - open_chunk[0])
                return failure
            if not self.is_revoked:
                self._discarded += self._untold.drop()
        is_told = self.position > (lease.span.start if lease.span else 0)
        if is_told and not lease.has_digest:
            return msgspec.structs.replace(failure, kind="frames")
        return msgspec.structs.replace(failure, kind="protocol") if failure.kind == "frames" else failure

    def finish(self, failure: Failure | None, whole: tuple[Opened, bytes, Content] | None) -> None:
        """The lease is over; whole is the file, where all of it came at once."""
        self._cell.set_state(IDLE)
        with self._lock:
            lease, revoked = self._alive, self.is_revoked
            if not revoked:
                self._tell_rest()
                ended = self._ended(failure)
                self._emit(Whole(*whole, ended) if whole else ended)
            self._lease = None
        if revoked:
            self._emit(LaneFree(self._lane, lease.file, self._discarded))

    def _to_disk(self, data: bytes) -> None:
        self._cell.set_state(WRITING)
        started = time.monotonic()
        try:
            write_all(self._fd, data, self.position)
        except OSError as exc:
            raise WireError(
                Failure(kind="disk", message=f"Cannot write: {exc.strerror}.", errno=exc.errno)
            ) from exc
        self.spent.write_s += time.monotonic() - started
        self._cell.set_state(BODY)

    # Under the lock

    @property
    def _alive(self) -> Lease:
        assert self._lease is not None  # noqa: S101 - an invariant of the class, under its lock
        return self._lease

    def _tell_rest(self) -> None:
        """The lease may be over before its end."""
        self._discarded += self._untold.drop() if self._reach.is_endless else self._untold.tell_rest()

    def _ended(self, failure: Failure | None, *, is_revoked: bool = False) -> LeaseEnded:
        discarded, self._discarded = self._discarded, 0
        return LeaseEnded(
            self._lane,
            self._alive.lease,
            self._alive.file,
            failure=failure,
            is_revoked=is_revoked,
            discarded_bytes=discarded,
            wait_s=self.spent.wait_s,
            receive_s=self.spent.receive_s,
            write_s=self.spent.write_s,
            limit_s=self.spent.limit_s,
        )
