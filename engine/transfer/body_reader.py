"""The body of an answer, block by block: as fast as the rate limit grants, in blocks that suit the line."""

import time

import msgspec

from engine.telemetry import redact
from engine.transfer.body_end import refuse_more
from engine.transfer.cells import BODY, THROTTLED, Cell
from engine.transfer.lease_writer import LeaseWriter, Revoked
from engine.transfer.line import Line
from engine.transport.foreign_errors import describe
from engine.transport.heads import FinalResponse
from engine.transport.retry import Failure, WireError
from engine.transport.wire import Answer

MAX_BLOCK = 1 << 20
_MIN_BLOCK = 1 << 14
_MAX_TLS_BLOCK = 1 << 18
"""What TLS hands out has been through the core's cache three times; a block of 1 MiB would push it out again."""
_BLOCK_S = 0.01
_THROTTLE_POLL_S = 0.01


class BodyReader:
    """Reads what a lane is answered, on the lane's thread. Everything raises WireError where the body fails, and
    Revoked where the lease has been taken back meanwhile."""

    def __init__(self, work: LeaseWriter, line: Line, cell: Cell, max_block: int) -> None:
        self._work = work
        self._line = line
        self._cell = cell
        self._max_block = self._largest_block = max_block
        self._block = _MIN_BLOCK
        self.open_chunk = 0, 0
        """See FinalResponse; of a body without chunks none is open."""

    def begin(self, answer: Answer) -> None:
        self._answer = answer
        is_tls = answer.url.startswith("https:")
        self._largest_block = min(self._max_block, _MAX_TLS_BLOCK) if is_tls else self._max_block
        self._cell.set_state(BODY)

    def read_block(self, most: int) -> bytes:
        """The next block, of at most so many bytes; empty where the body has ended."""
        return self.read(min(self._block, most))

    def read(self, nbytes: int) -> bytes:
        """So many bytes, or what the rate limit grants of them; fewer where the body ends."""
        nbytes = self._throttled(nbytes)
        started = time.monotonic()
        data = self._receive(nbytes)
        took = time.monotonic() - started
        self._work.spent.receive_s += took
        self._cell.add_taken(len(data))
        self._adapt_block(len(data), took)
        return data

    def refuse_more(self) -> None:
        """The body must end here; see body_end."""
        started = time.monotonic()
        try:
            refuse_more(self._answer, self._line.socket)
        finally:
            self._work.spent.wait_s += time.monotonic() - started

    def release(self) -> None:
        """Keep the connection if the body has ended; of what was not asked for, or not any more, nothing is read."""
        if not self._answer.response.isclosed():
            if self._work.is_shortened:
                self._work.discard(self._line.waiting_bytes)
            self._answer.close()

    def cut(self) -> WireError:
        """The failure of a body that has ended before its end."""
        shown = redact(self._answer.url)
        return WireError(Failure(kind="cut", message=f"{shown} ended the body early.", url=shown))

    def _receive(self, nbytes: int) -> bytes:
        try:
            data: bytes = self._answer.response.read(nbytes, decode_content=False)
            if not data and self._line.broken is not None:
                raise self._line.broken
        except Exception as exc:
            if self._work.is_revoked:
                raise Revoked from exc
            failure = describe(exc, redact(self._answer.url))
            if failure.kind == "connect":  # TLS broke, but the connection was there
                failure = msgspec.structs.replace(failure, kind="reset")
            raise WireError(failure) from exc
        finally:
            frames = self._answer.response._original_response
            if isinstance(frames, FinalResponse):
                self.open_chunk = frames.open_chunk
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
            if self._work.is_revoked:
                raise Revoked
            self._cell.set_state(THROTTLED)
            time.sleep(_THROTTLE_POLL_S)
        self._work.spent.limit_s += time.monotonic() - started
        self._cell.set_state(BODY)
        return min(nbytes, self._cell.room)
