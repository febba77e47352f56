"""The pipe between a coordinator and a worker: framed messages, and descriptors that travel with them.

A Unix socket pair with a length before each message. multiprocessing.connection does the same, but costs 20 ms of
imports in every process that only wants this. Descriptors are attached to the first byte of their message
(SCM_RIGHTS, unix(7)).
"""

import select
import socket
import struct
import threading
from typing import Self

_LENGTH = struct.Struct("<I")
_MAX_FDS = 2


class Pipe:
    """One end. Any thread may send; one thread receives."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._sending = threading.Lock()

    @classmethod
    def pair(cls) -> tuple[Self, socket.socket]:
        """Our end, and the other one to hand to a child and close."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        return cls(ours), theirs

    @classmethod
    def from_fd(cls, fd: int) -> Self:
        """The child's end, by the descriptor that it inherited."""
        return cls(socket.socket(fileno=fd))

    def send(self, payload: bytes, fds: tuple[int, ...] = ()) -> None:
        """Send a message; fds are copied to the other side. Raises OSError when that is gone."""
        data = _LENGTH.pack(len(payload)) + payload
        with self._sending:
            sent = socket.send_fds(self._end, [data], fds) if fds else 0
            self._end.sendall(memoryview(data)[sent:])

    def receive(self, idle_s: float | None = None) -> tuple[bytes, tuple[int, ...]]:
        """The next message and its descriptors, which are the caller's now. Raises EOFError at the end, TimeoutError
        when nothing begins to arrive within idle_s."""
        # Not the socket's own timeout: it would hold for the threads that send, too.
        if idle_s is not None and not self._wait_readable(idle_s):
            raise TimeoutError
        head, fds = self._read(_LENGTH.size)
        payload, more = self._read(*_LENGTH.unpack(head))
        return payload, (*fds, *more)

    def close(self) -> None:
        """May be called twice."""
        self._end.close()

    def _wait_readable(self, seconds: float) -> bool:
        # poll, not select: a process with many files has descriptors above 1023.
        poll = select.poll()
        poll.register(self._end, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def _read(self, nbytes: int) -> tuple[bytes, tuple[int, ...]]:
        parts: list[bytes] = []
        fds: list[int] = []
        while nbytes:
            data, found, _, _ = socket.recv_fds(self._end, nbytes, _MAX_FDS)
            fds += found
            if not data:
                raise EOFError
            parts.append(data)
            nbytes -= len(data)
        return b"".join(parts), tuple(fds)
