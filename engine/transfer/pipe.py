"""The pipe between a coordinator and a worker: framed messages, and descriptors that travel with them.

A Unix socket pair with a head before each message. multiprocessing.connection does the same, but costs 20 ms of
imports in every process that only wants this. Descriptors are attached to the first byte of their message
(SCM_RIGHTS, unix(7)), and a head says how many there are: they come in the order in which they were sent, so a receive
may take in several messages at once.
"""

import select
import socket
import struct
import threading
from collections import deque
from typing import Self

_HEAD = struct.Struct("<IB")
"""Bytes of the payload, and how many descriptors belong to it."""
_MAX_FDS = 2
_RECEIVE_BYTES = 1 << 16


class Pipe:
    """One end. Any thread may send; one thread receives."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._sending = threading.Lock()
        self._poll: select.poll | None = None
        self._received = bytearray()
        self._fds: deque[int] = deque()

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
        data = _HEAD.pack(len(payload), len(fds)) + payload
        with self._sending:
            sent = socket.send_fds(self._end, [data], fds) if fds else 0
            self._end.sendall(memoryview(data)[sent:])

    def receive(self, idle_s: float | None = None) -> tuple[bytes, tuple[int, ...]]:
        """The next message and its descriptors, which are the caller's now. Raises EOFError at the end, TimeoutError
        when nothing begins to arrive within idle_s."""
        # Not the socket's own timeout: it would hold for the threads that send, too.
        if idle_s is not None and not self._received and not self._wait_readable(idle_s):
            raise TimeoutError
        nbytes, count = _HEAD.unpack(self._take(_HEAD.size))
        payload = self._take(nbytes)
        return payload, tuple(self._fds.popleft() for _ in range(count))

    def close(self) -> None:
        """May be called twice."""
        self._end.close()

    def _wait_readable(self, seconds: float) -> bool:
        if self._poll is None:
            # poll, not select: a process with many files has descriptors above 1023.
            self._poll = select.poll()
            self._poll.register(self._end, select.POLLIN)
        return bool(self._poll.poll(seconds * 1000))

    def _take(self, nbytes: int) -> bytes:
        """The next so many bytes, as soon as they are here."""
        while (missing := nbytes - len(self._received)) > 0:
            data, found, _, _ = socket.recv_fds(self._end, max(missing, _RECEIVE_BYTES), _MAX_FDS)
            self._fds.extend(found)
            if not data:
                raise EOFError
            self._received += data
        with memoryview(self._received) as view:
            taken = bytes(view[:nbytes])
        del self._received[:nbytes]
        return taken
