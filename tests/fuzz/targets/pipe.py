"""What comes through a worker's pipe: frames, with descriptors."""

import os
import socket
from collections.abc import Iterator
from contextlib import suppress

from hypothesis import strategies as st

from engine.transfer.pipe import Pipe
from tests.fuzz.target import Run, housed


def _framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "little") + b"\0" + body


_LEAD = _framed(bytes((1 << 18) - 10))
"""Leaves five bytes of a buffer."""


def _send(end: socket.socket, data: bytes, fd: int) -> None:
    if data:
        socket.send_fds(end, [data], [fd] * (len(data) % 3))


def _take(pipe: Pipe, most: int, *, alone: bool) -> None:
    """One message with its descriptors, or all that have come."""
    if not alone:
        assert all(len(payload) <= most for payload in pipe.receive_all())
        return
    _, fds = pipe.receive(0.05)
    for fd in fds:
        os.close(fd)


def _rest(pipe: Pipe) -> None:
    """As a wait that ends in the midst of a message, without the waiting."""
    pipe._end.setblocking(False)
    pipe._fill()
    pipe._fill()
    pipe._end.setblocking(True)


def _pipe() -> Iterator[Run]:
    """Bytes in two pieces, with descriptors beside them: whole messages come out, then the end. Once with a rest
    between the pieces, and once behind a message that leaves them only the end of the receiver's buffer."""
    null = os.open(os.devnull, os.O_RDONLY)

    def run(data: bytes) -> None:
        for alone, lead in ((True, b""), (False, b""), (False, _LEAD)):
            ours, theirs = Pipe.pair()
            try:
                half = len(data) // 2
                _send(theirs, lead + data[:half], null)
                if alone and half:
                    _rest(ours)
                _send(theirs, data[half:][: 1 << 16], null)
                theirs.close()
                with suppress(EOFError, OSError):
                    while True:
                        _take(ours, len(lead + data), alone=alone)
            finally:
                for fd in ours._fds:
                    os.close(fd)
                ours.close()

    yield run
    ours, theirs = Pipe.pair()
    child = Pipe.from_fd(theirs.detach())
    child.send(b"a" * 300_000, b"b", fds=(null,))
    child.send(b"c")
    payload, (fd,) = ours.receive(1.5)
    assert len(payload) == 300_000 and ours.receive(None) == (b"b", ()) and ours.receive(None) == (b"c", ())
    with suppress(TimeoutError):
        ours.receive(0.001)
    for end in (ours, child):
        end.close()
    os.close(fd)
    os.close(null)


_FRAME = st.binary(max_size=20).map(_framed)
pipe = housed(
    "pipe",
    st.lists(_FRAME, max_size=5).map(b"".join),
    (b"\0\0\0\0\0", b"\1\0\0\0\1x", b"\xff\xff\xff\xff\0", b"\0\0\4\0\0", b"\0\0\0\0\2"),
    "transfer/pipe.py",
)(_pipe)
TARGETS = (pipe,)
