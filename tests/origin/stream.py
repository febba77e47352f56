"""A body on its way, and the faults that strike in the middle of it."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.origin.faults import Fault, kind
from tests.origin.ledger import Record
from tests.origin.wire import Answer

if TYPE_CHECKING:
    from tests.origin.connection import Connection

_BEATS = 20
"""Pieces a second at which a paced body is sent."""


class Hangup(Exception):
    """The connection ends here: with FIN, or with RST."""

    def __init__(self, *, reset: bool = False, orderly: bool = False) -> None:
        super().__init__()
        self.reset = reset
        self.orderly = orderly
        """Over TLS: say so first (close_notify), as an attacker cannot."""


class BodyStream:
    """Sends the body of an answer; body faults act on it as it goes."""

    def __init__(self, connection: "Connection", answer: Answer, record: Record) -> None:
        self.connection = connection
        self.answer = answer
        self.record = record
        self.rate: float | None = None
        """Bytes a second; None is as fast as they go."""
        self.flip_next = False
        self._due = 0.0

    def send(self, faults: list[Fault]) -> None:
        """All of the body, with these faults at their points; one beyond the body's end never fires."""
        points = [(fault.point(self.answer.start), i, fault) for i, fault in enumerate(faults)]
        points = sorted(entry for entry in points if 0 <= entry[0] < self.answer.length)
        position = 0
        for view in self._views():
            while view:
                while points and points[0][0] == position:
                    self._strike(points.pop(0)[2])
                piece = view[: self._piece_size(points[0][0] - position if points else len(view))]
                view = view[len(piece) :]
                position += len(piece)
                self._send_piece(piece)
        if self.answer.chunked:
            self.connection.send(b"0\r\n")
            while self.answer.trailer_every_s is not None:
                self.connection.hang(self.answer.trailer_every_s)
                self.connection.send(b"X")
            self.connection.send(b"\r\n")

    def _views(self) -> Iterator[memoryview]:
        return self.answer.content.views(self.answer.start, self.answer.stop)

    def _strike(self, fault: Fault) -> None:
        if fault.claim(self.record):
            fault.kind.act(self, **fault.options)

    def _piece_size(self, limit: int) -> int:
        if self.flip_next:
            return 1
        return limit if self.rate is None else max(1, min(limit, int(self.rate / _BEATS)))

    def _send_piece(self, piece: memoryview) -> None:
        if self.flip_next:
            piece, self.flip_next = memoryview(bytes([piece[0] ^ 0xFF])), False
        if self.rate is not None:
            self._wait_turn(len(piece))
        if self.answer.chunked:
            self.connection.send(b"%x\r\n" % len(piece))
        self.connection.send(piece, self.record)
        if self.answer.chunked:
            self.connection.send(b"\r\n")

    def _wait_turn(self, nbytes: int) -> None:
        assert self.rate is not None
        now = time.monotonic()
        self._due = max(self._due, now) + nbytes / self.rate
        self.connection.rest(self._due - now)


@kind("body")
def stall(stream: BodyStream, *, seconds: float | None = None) -> None:
    """Nothing more comes, the connection stays open; until seconds have passed, release(), or the end."""
    stream.connection.hang(seconds)


@kind("body")
def reset(stream: BodyStream, *, abrupt: bool = False) -> None:
    """RST, once what was sent before has arrived; abrupt: at once, which destroys what is under way."""
    if not abrupt:
        stream.connection.drain()
    raise Hangup(reset=True)


@kind("body")
def cut(stream: BodyStream, *, orderly: bool = False) -> None:
    """FIN in the middle; orderly: with a TLS close_notify before it."""
    raise Hangup(orderly=orderly)


@kind("body")
def slow(stream: BodyStream, *, rate: float) -> None:
    """From here on so many bytes a second."""
    stream.rate = rate


@kind("body")
def one_byte_a_second(stream: BodyStream) -> None:
    """From here on as it says."""
    stream.rate = 1.0


@kind("body")
def same_size_corruption(stream: BodyStream) -> None:
    """The byte at `offset` is inverted; length and validators stay as they are."""
    stream.flip_next = True


@kind("body")
def chunk_of_frames(stream: BodyStream, *, nbytes: int) -> None:
    """Chunked: one of so many bytes begins here, and its content is what follows, further frames among it."""
    stream.connection.send(b"%x\r\n" % nbytes)
