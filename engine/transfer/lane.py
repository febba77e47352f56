"""A lane: a thread with a keep-alive connection that turns leases into bytes on disk.

It decides nothing. It sends the request it is told to send, refuses an answer that does not fit, writes what
fits at its offset, and reports. What to do about a failure is the coordinator's business.

Revocation. `revoke` takes the lane's lock, marks the lease, and reports what was written; after that the lane
throws away whatever its socket still yields. The lock is held around each write and its bookkeeping, so when
`revoke` returns no byte of that lease can reach the file any more, even though the thread may be stuck. `shorten` does
the same for the end of a lease alone: what has come beyond it by then is thrown away with the connection.
"""

import queue
import socket
import threading
import time
from collections.abc import Callable

import msgspec
import xxhash

from engine.errors import EngineError
from engine.plain_text import keep_query
from engine.settings import Settings
from engine.spans import Grid, Span
from engine.store.disk import write_all
from engine.store.pieces import Pieces
from engine.telemetry import redact
from engine.transfer.answers import facts_of, is_whole, request_headers
from engine.transfer.body_end import refuse_more
from engine.transfer.cells import BODY, IDLE, THROTTLED, WAITING, WRITING, Cell
from engine.transfer.content import Content, content_of
from engine.transfer.messages import (
    LaneFree,
    Lease,
    LeaseEnded,
    Opened,
    Paused,
    PieceWritten,
    Proceed,
    SegmentWritten,
    Shortened,
    Up,
    Whole,
)
from engine.transfer.misfits import refuse_misfit
from engine.transport.auth import Credentials
from engine.transport.foreign_errors import describe
from engine.transport.metered import bytes_waiting, wake
from engine.transport.retry import Failure, WireError
from engine.transport.wire import Answer, Wire

_MIN_BLOCK, _MAX_BLOCK = 1 << 14, 1 << 20
_MAX_TLS_BLOCK = 1 << 18
"""What TLS hands out has been through the core's cache three times; a block of 1 MiB would push it out again."""
_BLOCK_S = 0.01
_THROTTLE_POLL_S = 0.01


class PartFile(msgspec.Struct, frozen=True):
    """A part as a host has it open. lock keeps the part's lock alive as long as this process lives."""

    fd: int
    lock: int
    size: int | None
    grid: Grid
    pieces: Pieces | None = None


class _Revoked(Exception):
    """The lease is no longer ours."""


class Lane:
    """One lane. All public methods but run() are called by its host's thread."""

    def __init__(
        self,
        number: int,
        settings: Settings,
        credentials: Credentials,
        cell: Cell,
        files: dict[int, PartFile],
        emit: Callable[[Up], None],
        *,
        turn: int,
        max_block: int = _MAX_BLOCK,
    ) -> None:
        self.number = number
        self._settings = settings
        self._cell = cell
        self._files = files
        self._emit = emit
        self._turn = turn
        self._wire = Wire(settings, credentials, meter=self, turn=turn)
        self._orders: queue.SimpleQueue[Lease | Proceed | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._lease: Lease | None = None
        self._is_revoked = False
        self._revoked_early = 0
        """The lease that was revoked before this thread took it up; numbers are never used again."""
        self._socket: socket.socket | None = None
        self._buffer = 0
        """The receive buffer that the connection was made with, where it was not the kernel's choice."""
        self._piece_start = self._position = self._piece = 0
        """What of the lease is told, what is written, and how many pieces that makes."""
        self._check = xxhash.xxh3_64()
        """Of what is written and not told."""
        self._notes: Pieces | None = None
        """Where that is noted, for whoever survives; not of a body that may yet turn out to be none."""
        self._stop: int | None = None
        """Where the lease ends; None: where its body does."""
        self._promised_stop: int | None = None
        """Where the answer ends by its headers."""
        self._is_endless = False
        """Nothing says where its body ends, but the end of its connection: until that has come, it may be of frames."""
        self._is_shortened = False
        self._block = _MIN_BLOCK
        self._max_block = self._largest_block = max_block
        self._discarded = 0
        self._broken: OSError | None = None
        self._whole: tuple[Opened, bytes, Content] | None = None
        self._wait_s = self._receive_s = self._write_s = self._limit_s = 0.0
        self._thread = threading.Thread(target=self._run, name=f"lane-{number}", daemon=True)
        self._thread.start()

    # The host's side

    def take(self, order: Lease | Proceed) -> None:
        self._orders.put(order)

    def revoke(self, lease: int) -> None:
        """End this lease now, if it is still alive; see the module's text."""
        with self._lock:
            if self._lease is None or self._lease.lease != lease:
                self._revoked_early = lease
                return
            if self._is_revoked:
                return
            self._is_revoked = True
            self._report_last_piece()
            self._emit(self._ended(None, is_revoked=True))
            if self._socket is not None:
                wake(self._socket)
        self._orders.put(Proceed(self.number, lease, None, go=False))

    def shorten(self, lease: int, stop: int) -> None:
        """End this lease at stop now, or where what has come already ends, if it is still alive; see the module's
        text."""
        with self._lock:
            is_alive = self._lease is not None and self._lease.lease == lease and not self._is_revoked
            if not is_alive or self._stop is None:
                return
            stop = max(stop, self._position + self._waiting_bytes())
            if stop < self._stop:
                self._stop, self._is_shortened = stop, True
            assert self._lease is not None  # noqa: S101 - alive
            is_over = self._stop <= self._position
            self._emit(Shortened(lease, self._lease.file, self._stop, is_over))
        if is_over:
            self.revoke(lease)  # or its thread would wait for nothing

    def stop(self) -> None:
        """Let the thread end after its lease; it is a daemon, so nobody has to wait."""
        self._orders.put(None)

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    # What the connection tells, and asks (transport.metered.Meter)

    @property
    def receive_buffer(self) -> int:
        return self._cell.receive_buffer

    def attach(self, wire: socket.socket) -> None:
        with self._lock:
            self._socket = wire
            self._buffer = self._cell.receive_buffer
            if self._is_revoked:
                wake(wire)

    def received(self, nbytes: int) -> None:
        self._cell.add_received(nbytes)

    def broke(self, failure: OSError) -> None:
        self._broken = failure

    # The thread's side

    def _run(self) -> None:
        while (order := self._orders.get()) is not None:
            if isinstance(order, Lease):
                self._work(order)
        self._wire.close()

    def _work(self, lease: Lease) -> None:
        with self._lock:
            self._lease, self._is_revoked = lease, lease.lease == self._revoked_early
            self._position = lease.span.start if lease.span else 0
            self._begin_piece()
            self._notes = None
            self._stop = lease.span.stop if lease.span and not lease.is_probe else None
            self._is_shortened = self._is_endless = False
            self._discarded = 0
            self._broken = self._whole = None
            self._wait_s = self._receive_s = self._write_s = self._limit_s = 0.0
            if self._is_revoked:
                self._emit(self._ended(None, is_revoked=True))
        if not lease.is_located:
            # Signed and typed, it may hold what nobody else is to see; this may not be the process that knows.
            keep_query(lease.url)
        failure = None
        try:
            self._fetch(lease)
        except _Revoked:
            pass
        except WireError as exc:
            failure = exc.failure
            if failure.kind == "frames" or (self._is_endless and failure.kind != "disk"):
                failure = self._distrusted(lease, failure)
        except EngineError as exc:
            failure = Failure(kind="address", message=str(exc), url=redact(lease.url))
        except Exception as exc:  # noqa: BLE001 - a mistake of ours must not leave a lease without an end
            failure = Failure(
                kind="protocol", message=f"Unexpected {type(exc).__name__}.", url=redact(lease.url)
            )
        if failure is not None:
            self._wire.forget(lease.url)
        self._finish(lease.file, failure)

    def _finish(self, file: int, failure: Failure | None) -> None:
        self._cell.set_state(IDLE)
        with self._lock:
            revoked = self._is_revoked
            if not revoked:
                self._report_last_piece()
                ended = self._ended(failure)
                self._emit(Whole(*self._whole, ended) if self._whole else ended)
            self._lease = None
        if revoked:
            self._emit(LaneFree(self.number, file, self._discarded))

    def _fetch(self, lease: Lease) -> None:
        if self._is_revoked:
            raise _Revoked
        self._cell.set_state(WAITING)
        if self._has_outgrown_buffer:
            self._wire.close()
        started = time.monotonic()
        answer = self._wire.open(
            "GET", lease.url, request_headers(lease), must_be_public=lease.must_be_public
        )
        self._wait_s = time.monotonic() - started
        for origin, seconds in answer.pauses():
            self._emit(Paused(origin, seconds))
        try:
            self._take_answer(lease, answer)
        except BaseException:
            answer.close()
            raise

    @property
    def _has_outgrown_buffer(self) -> bool:
        """Whether the connection is one for a rate limit that is gone, or was much lower."""
        wanted = self._cell.receive_buffer
        return self._buffer > 0 and (not wanted or wanted > 2 * self._buffer)

    def _take_answer(self, lease: Lease, answer: Answer) -> None:
        opened = facts_of(lease, answer)
        refuse_misfit(lease, answer, opened)
        if lease.is_probe and is_whole(opened, lease.whole):
            self._receive_whole(lease, answer, opened)
            return
        if lease.wants_facts or lease.is_probe:
            self._emit(opened)
        proceed = self._wait_proceed(lease.lease) if lease.is_probe else None
        if proceed is not None and not proceed.go:
            answer.close()
            return
        part = self._files.get(lease.file)
        if part is None:
            raise _Revoked  # which is why the file could be closed
        self._cell.set_state(BODY)
        self._largest_block = (
            min(self._max_block, _MAX_TLS_BLOCK) if answer.url.startswith("https:") else self._max_block
        )
        self._promised_stop = opened.span.stop if opened.span else part.size
        has_end = "content-length" in answer.headers or "transfer-encoding" in answer.headers
        self._is_endless = answer.status == 206 and not has_end
        self._notes = None if "transfer-encoding" in answer.headers or self._is_endless else part.pieces
        if self._stop is None:
            # One stream of a file of known size ends there: what a server sends beyond is not the file's.
            self._stop = part.size if proceed is None or proceed.stop is None else proceed.stop
        self._receive(lease, answer, part)

    def _wait_proceed(self, lease: int) -> Proceed:
        while True:
            order = self._orders.get()
            if order is None:
                self._orders.put(None)  # it is for the thread's loop, too
                raise _Revoked
            if isinstance(order, Proceed) and order.lease == lease:
                return order

    def _receive_whole(self, lease: Lease, answer: Answer, opened: Opened) -> None:
        """A small file's body, into memory."""
        self._cell.set_state(BODY)
        size = opened.identity.size or 0
        data = b""
        try:
            while len(data) < size:
                block = self._read(answer, size - len(data))
                if not block:
                    raise _cut(answer)
                data += block
                self._cell.set_unreported(len(data))
            self._refuse_more(answer)
        except BaseException:
            self._discarded += len(data)  # nothing of it is on disk
            raise
        self._release(answer)
        self._whole = opened, data, content_of(data, self._settings.segment_size, lease.algorithms)

    def _receive(self, lease: Lease, answer: Answer, part: PartFile) -> None:
        """Body to disk up to where the lease ends, one segment after the other."""
        while self._stop is None or self._position < self._stop:
            if not self._receive_segment(lease, answer, part):
                if self._stop is None:
                    return
                raise _cut(answer)
        self._release(answer)

    def _receive_segment(self, lease: Lease, answer: Answer, part: PartFile) -> bool:
        """Up to the next segment's edge; False when the body ends before."""
        index = part.grid.index_of(self._position)
        segment = part.grid.span_of(index)
        while (missing := self._end_within(segment) - self._position) > 0:
            data = self._read(answer, min(self._block, missing))
            if not data:
                return False
            self._write(part.fd, data)
        if self._position == self._stop == self._promised_stop and not self._is_shortened:
            self._refuse_more(answer)
        with self._lock:
            if self._is_revoked:
                raise _Revoked
            if Span(self._piece_start, self._position) == segment:
                written = SegmentWritten(lease.lease, lease.file, index, self._check.intdigest())
                self._begin_piece()
                self._emit(written)
            else:
                self._report_piece()
        return True

    def _distrusted(self, lease: Lease, failure: Failure) -> Failure:
        """The frames of a body did not fit together, or it had none and broke off. What came of it and is not told
        yet is thrown away; where some of it is told, and no digest will judge, the file has to start again."""
        with self._lock:
            self._drop_piece()
        is_told = self._position > (lease.span.start if lease.span else 0)
        if is_told and not lease.has_digest:
            return msgspec.structs.replace(failure, kind="frames")
        return msgspec.structs.replace(failure, kind="protocol") if failure.kind == "frames" else failure

    def _end_within(self, segment: Span) -> int:
        return segment.stop if self._stop is None else min(segment.stop, self._stop)

    def _read(self, answer: Answer, nbytes: int) -> bytes:
        nbytes = self._throttled(nbytes)
        started = time.monotonic()
        try:
            data: bytes = answer.response.read(nbytes, decode_content=False)
            if not data and self._broken is not None:
                raise self._broken
        except Exception as exc:
            if self._is_revoked:
                raise _Revoked from exc
            failure = describe(exc, redact(answer.url))
            if failure.kind == "connect":  # TLS broke, but the connection was there
                failure = msgspec.structs.replace(failure, kind="reset")
            raise WireError(failure) from exc
        took = time.monotonic() - started
        self._receive_s += took
        self._cell.add_taken(len(data))
        self._adapt_block(len(data), took)
        return data

    def _adapt_block(self, nbytes: int, took_s: float) -> None:
        """A block is what comes in about 10 ms: what is in hand when all is killed, or a lease revoked, stays small,
        also where bytes come in bursts. One that had to be waited for is a quarter the next time."""
        if took_s < _BLOCK_S / 2 and nbytes == self._block:
            self._block = self._block * 2
        elif took_s > _BLOCK_S * 2:
            self._block = self._block // 4
        self._block = max(_MIN_BLOCK, min(self._block, self._largest_block))

    def _throttled(self, nbytes: int) -> int:
        """Wait until the rate limiter grants something; at most nbytes of it."""
        if self._cell.room >= nbytes:
            return nbytes
        started = time.monotonic()
        while self._cell.room <= 0:
            if self._is_revoked:
                raise _Revoked
            self._cell.set_state(THROTTLED)
            time.sleep(_THROTTLE_POLL_S)
        self._limit_s += time.monotonic() - started
        self._cell.set_state(BODY)
        return min(nbytes, self._cell.room)

    def _write(self, fd: int, data: bytes) -> None:
        """Write what the lease still covers of data."""
        with self._lock:
            if self._is_revoked:
                self._discarded += len(data)
                raise _Revoked
            if self._stop is not None and self._position + len(data) > self._stop:
                self._discarded += self._position + len(data) - self._stop
                data = data[: self._stop - self._position]
            self._cell.set_state(WRITING)
            started = time.monotonic()
            try:
                write_all(fd, data, self._position)
            except OSError as exc:
                raise WireError(
                    Failure(kind="disk", message=f"Cannot write: {exc.strerror}.", errno=exc.errno)
                ) from exc
            self._write_s += time.monotonic() - started
            self._cell.set_state(BODY)
            self._position += len(data)
            self._cell.set_unreported(self._position - self._piece_start)
            self._check.update(data)
            if self._notes is not None:
                self._notes.note(
                    self._turn, self._piece, Span(self._piece_start, self._position), self._check.intdigest()
                )

    def _release(self, answer: Answer) -> None:
        """Keep the connection if the body has ended; of what was not asked for, or not any more, nothing is read."""
        if not answer.response.isclosed():
            self._discarded += self._waiting_bytes() if self._is_shortened else 0
            answer.close()

    def _refuse_more(self, answer: Answer) -> None:
        started = time.monotonic()
        try:
            refuse_more(answer, self._socket)
        finally:
            self._wait_s += time.monotonic() - started

    def _waiting_bytes(self) -> int:
        return bytes_waiting(self._socket) if self._socket is not None else 0

    # Under the lock

    def _report_last_piece(self) -> None:
        """Of a lease that is over before its end."""
        if self._is_endless:
            self._drop_piece()
        else:
            self._report_piece()

    def _drop_piece(self) -> None:
        self._discarded += self._position - self._piece_start
        self._position = self._piece_start
        if self._notes is not None and not self._is_revoked:
            self._notes.erase(self._turn, self._piece)
        self._begin_piece()

    def _report_piece(self) -> None:
        piece = Span(self._piece_start, self._position)
        self._begin_piece()
        if self._lease is not None and piece:
            self._emit(PieceWritten(self._lease.lease, self._lease.file, piece))

    def _begin_piece(self) -> None:
        self._piece_start = self._position
        self._piece += 1
        self._check = xxhash.xxh3_64()
        self._cell.set_unreported(0)

    def _ended(self, failure: Failure | None, *, is_revoked: bool = False) -> LeaseEnded:
        assert self._lease is not None  # noqa: S101 - an invariant of the class, under its lock
        discarded, self._discarded = self._discarded, 0
        return LeaseEnded(
            self.number,
            self._lease.lease,
            self._lease.file,
            failure=failure,
            is_revoked=is_revoked,
            discarded_bytes=discarded,
            wait_s=self._wait_s,
            receive_s=self._receive_s,
            write_s=self._write_s,
            limit_s=self._limit_s,
        )


def _cut(answer: Answer) -> WireError:
    shown = redact(answer.url)
    return WireError(Failure(kind="cut", message=f"{shown} ended the body early.", url=shown))
