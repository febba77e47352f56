"""A lane: a thread with a keep-alive connection that turns leases into bytes on disk.

It decides nothing. It sends the request it is told to send, refuses an answer that does not fit, and carries the body
from its connection (line.py, body_reader.py) to its place in the part (lease_writer.py). What to do about a failure is
the coordinator's business.
"""

import queue
import socket
import threading
import time
from collections.abc import Callable

from engine.errors import EngineError
from engine.plain_text import keep_query
from engine.settings import Settings
from engine.telemetry import redact
from engine.transfer.answers import facts_of, is_whole, request_headers
from engine.transfer.body_reader import MAX_BLOCK, BodyReader
from engine.transfer.cells import WAITING, Cell
from engine.transfer.content import Content, content_of
from engine.transfer.lease_writer import LeaseWriter, PartFile, Reach, Revoked
from engine.transfer.line import Line
from engine.transfer.messages import Lease, Opened, Paused, Proceed, Up
from engine.transfer.misfits import refuse_misfit
from engine.transport.auth import Credentials
from engine.transport.retry import Failure, WireError
from engine.transport.wire import Answer, Wire


class Lane:
    """One lane. All public methods are called by its host's thread."""

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
        max_block: int = MAX_BLOCK,
    ) -> None:
        self.number = number
        self._settings = settings
        self._cell = cell
        self._files = files
        self._emit = emit
        self._orders: queue.SimpleQueue[Lease | Proceed | None] = queue.SimpleQueue()
        self._line = Line(cell)
        self._writer = LeaseWriter(number, turn, self._line, cell, emit)
        self._reader = BodyReader(self._writer, self._line, cell, max_block)
        self._wire = Wire(settings, credentials, meter=self, turn=turn)
        self._whole: tuple[Opened, bytes, Content] | None = None
        self._thread = threading.Thread(target=self._run, name=f"lane-{number}", daemon=True)
        self._thread.start()

    # The host's side

    def take(self, order: Lease | Proceed) -> None:
        self._orders.put(order)

    def revoke(self, lease: int) -> None:
        """End this lease now, if it is still alive; see lease_writer."""
        if self._writer.revoke(lease):
            self._orders.put(Proceed(self.number, lease, None, go=False))

    def shorten(self, lease: int, stop: int) -> None:
        """End this lease at stop now, or where what has come already ends, if it is still alive; see lease_writer."""
        if self._writer.shorten(lease, stop):
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
        self._line.attach(wire)
        self._writer.attached()

    def received(self, nbytes: int) -> None:
        self._cell.add_received(nbytes)

    def broke(self, failure: OSError) -> None:
        self._line.broken = failure

    # The thread's side

    def _run(self) -> None:
        while (order := self._orders.get()) is not None:
            if isinstance(order, Lease):
                self._work(order)
        self._wire.close()

    def _work(self, lease: Lease) -> None:
        self._whole = self._line.broken = None
        self._writer.begin(lease)
        if not lease.is_located:
            # Signed and typed, it may hold what nobody else is to see; this may not be the process that knows.
            keep_query(lease.url)
        failure = self._failure_of(lease)
        if failure is not None:
            self._wire.forget(lease.url)
        self._writer.finish(failure, self._whole)

    def _failure_of(self, lease: Lease) -> Failure | None:
        """How it failed; None where it is done, or somebody else's now."""
        try:
            self._fetch(lease)
        except Revoked:
            return None
        except WireError as exc:
            return self._writer.distrust(exc.failure, self._reader.open_chunk)
        except EngineError as exc:
            return Failure(kind="address", message=str(exc), url=redact(lease.url))
        except Exception as exc:  # noqa: BLE001 - a mistake of ours must not leave a lease without an end
            return Failure(
                kind="protocol", message=f"Unexpected {type(exc).__name__}.", url=redact(lease.url)
            )
        return None

    def _fetch(self, lease: Lease) -> None:
        self._writer.check()
        self._cell.set_state(WAITING)
        if self._line.has_outgrown_buffer:
            self._wire.close()
        started = time.monotonic()
        answer = self._wire.open(
            "GET", lease.url, request_headers(lease), must_be_public=lease.must_be_public
        )
        self._writer.spent.wait_s = time.monotonic() - started
        for origin, seconds in answer.pauses():
            self._emit(Paused(origin, seconds))
        try:
            self._take_answer(lease, answer)
        except BaseException:
            answer.close()
            raise

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
            raise Revoked  # which is why the file could be closed
        self._receive(answer, part, _reach_of(answer, opened, part, proceed))

    def _wait_proceed(self, lease: int) -> Proceed:
        while True:
            order = self._orders.get()
            if order is None:
                self._orders.put(None)  # it is for the thread's loop, too
                raise Revoked
            if isinstance(order, Proceed) and order.lease == lease:
                return order

    def _receive_whole(self, lease: Lease, answer: Answer, opened: Opened) -> None:
        """A small file's body, into memory."""
        self._reader.begin(answer)
        size = opened.identity.size or 0
        data = b""
        try:
            while len(data) < size:
                block = self._reader.read(size - len(data))
                if not block:
                    raise self._reader.cut()
                data += block
                self._cell.set_unreported(len(data))
            self._reader.refuse_more()
        except BaseException:
            self._writer.discard(len(data))  # nothing of it is on disk
            raise
        self._reader.release()
        self._whole = opened, data, content_of(data, self._settings.segment_size, lease.algorithms)

    def _receive(self, answer: Answer, part: PartFile, reach: Reach) -> None:
        """Body to disk up to where the lease ends, one segment after the other."""
        self._reader.begin(answer)
        self._writer.take(part, reach)
        while not self._writer.is_at_end:
            if not self._receive_segment(part):
                if self._writer.has_no_end:
                    return
                raise self._reader.cut()
        self._reader.release()

    def _receive_segment(self, part: PartFile) -> bool:
        """Up to the next segment's edge; False when the body ends before."""
        index = part.grid.index_of(self._writer.position)
        segment = part.grid.span_of(index)
        while missing := self._writer.missing_of(segment):
            data = self._reader.read_block(missing)
            if not data:
                self._writer.believe()
                return False
            self._writer.write(data, self._reader.open_chunk)
        if self._writer.is_at_promised_end:
            self._reader.refuse_more()
            self._writer.believe()
        self._writer.end_segment(index, segment)
        return True


def _reach_of(answer: Answer, opened: Opened, part: PartFile, proceed: Proceed | None) -> Reach:
    is_framed = "transfer-encoding" in answer.headers
    has_end = is_framed or "content-length" in answer.headers
    return Reach(
        # One stream of a file of known size ends there: what a server sends beyond is not the file's.
        stop=part.size if proceed is None or proceed.stop is None else proceed.stop,
        promised_stop=opened.span.stop if opened.span else part.size,
        is_endless=answer.status == 206 and not has_end,
        is_framed=is_framed,
    )
