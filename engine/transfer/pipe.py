"""The pipe between a coordinator and a worker: framed messages, and descriptors that travel with them.

A Unix socket pair with a head before each message. multiprocessing.connection does the same, but costs 20 ms of
imports in every process that only wants this. Descriptors are attached to the first byte of their message
(SCM_RIGHTS, unix(7)), and a head says how many there are: they come in the order in which they were sent, so a receive
may take in several messages at once.
"""

import array
import errno
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator
from typing import Self

_HEAD = struct.Struct("<IB")
"""Bytes of the payload, and how many descriptors belong to it."""
_TIMEVAL = struct.Struct("@ll")
_MAX_FDS = 3
_FDS_BYTES = socket.CMSG_LEN(_MAX_FDS * array.array("i").itemsize)
_BUFFER_BYTES = 1 << 18
_KERNEL_BYTES = 1 << 20
"""What may be under way, as far as the system grants it: several small files that come whole."""


class Pipe:
    """One end. Any thread may send; one thread receives."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._sending = threading.Lock()
        self._idle_s: float | None = None
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._start = self._stop = 0
        """What of the buffer has been received and not been taken yet."""
        self._fds: deque[int] = deque()

    @classmethod
    def pair(cls) -> tuple[Self, socket.socket]:
        """Our end, and the other one to hand to a child and close."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)
        return cls(ours), theirs

    @classmethod
    def from_fd(cls, fd: int) -> Self:
        """The child's end, by the descriptor that it inherited."""
        return cls(socket.socket(fileno=fd))

    def send(self, *payloads: bytes, fds: tuple[int, ...] = ()) -> None:
        """Send messages; fds are copied to the other side and belong to the first. Raises OSError when that is gone."""
        parts: list[bytes] = []
        for number, payload in enumerate(payloads):
            parts += (_HEAD.pack(len(payload), 0 if number else len(fds)), payload)
        if len(payloads) > 1:
            parts = [b"".join(parts)]  # they are small, and sendmsg(2) takes only so many pieces
        with self._sending:
            sent = socket.send_fds(self._end, parts, fds) if fds else self._end.sendmsg(parts)
            if sent < sum(map(len, parts)):
                self._end.sendall(memoryview(b"".join(parts))[sent:])

    def receive(self, idle_s: float | None = None) -> tuple[bytes, tuple[int, ...]]:
        """The next message and its descriptors, which are the caller's now. Raises EOFError at the end, TimeoutError
        when nothing begins to arrive within idle_s, OSError where descriptors did not come: the kernel drops those that
        would be more than this process may have (unix(7), MSG_CTRUNC)."""
        if idle_s != self._idle_s:
            self._wait_at_most(idle_s)
        while (found := self._next()) is None:
            self._fill()
        payload, count = found
        if count > len(self._fds):
            raise OSError(errno.EMFILE, "descriptors of a message are missing")
        return bytes(payload), tuple(self._fds.popleft() for _ in range(count))

    def receive_all(self) -> Iterator[memoryview]:
        """The payloads of all messages that have come, and of one at least; each may be looked at until the next one
        is asked for. Descriptors are not looked for. Raises EOFError at the end."""
        while (found := self._next()) is None:
            self._fill()
        while found is not None:
            yield found[0]
            found = self._next()

    def close(self) -> None:
        """May be called twice."""
        self._end.close()

    def _wait_at_most(self, seconds: float | None) -> None:
        # Not the socket's own timeout: it would hold for the threads that send, too (socket(7)).
        whole, part = divmod(seconds or 0.0, 1)
        self._end.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL.pack(int(whole), int(part * 1_000_000))
        )
        self._idle_s = seconds

    def _next(self) -> tuple[memoryview, int] | None:
        """The next message, if it is whole, and how many descriptors it has."""
        start = self._start + _HEAD.size
        if start > self._stop:
            return None
        nbytes, count = _HEAD.unpack_from(self._buffer, self._start)
        if start + nbytes > self._stop:
            return None
        self._start = start + nbytes
        return self._buffer[start : self._start], count

    def _fill(self) -> None:
        """Wait for more."""
        if self._start == self._stop:
            self._start = self._stop = 0
        elif self._stop == len(self._buffer):
            self._make_room()
        try:
            nbytes, ancillary, _, _ = self._end.recvmsg_into([self._buffer[self._stop :]], _FDS_BYTES)
        except BlockingIOError:
            if self._start < self._stop:
                return  # it has begun
            raise TimeoutError from None
        for _, _, found in ancillary:
            self._fds.extend(array.array("i", found))
        if not nbytes:
            raise EOFError
        self._stop += nbytes

    def _make_room(self) -> None:
        """Move what has come of a message to the beginning, of a larger buffer if that is where it is."""
        begun = bytes(self._buffer[self._start : self._stop])
        if len(begun) == len(self._buffer):
            self._buffer = memoryview(bytearray(2 * len(begun)))
        self._buffer[: len(begun)] = begun
        self._start, self._stop = 0, len(begun)
