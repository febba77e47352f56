"""A proxy that lets one connection fall silent for ever at a given point, as a dead path or a hung edge does.

The connection that carries the byte at that point passes nothing more, in either direction, and stays open until the
client leaves. All others, and those that come later, go on. Bytes move by splice(2) from socket to socket, so that
what is measured is not this proxy.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator

_PASS_BYTES = 256 << 10
_REQUEST_BYTES = 64 << 10


class StallPoint:
    """Where the stall is, in bytes of answers over all connections; None: nowhere, the proxy only passes on."""

    def __init__(self, after_bytes: int | None) -> None:
        self.has_happened = False
        self._left = after_bytes
        self._lock = threading.Lock()

    def is_reached(self, nbytes: int) -> bool:
        """Count what a connection is about to pass; True once, for the one that comes to the point."""
        with self._lock:
            if self._left is None or self.has_happened:
                return False
            self._left -= nbytes
            self.has_happened = self._left <= 0
            return self.has_happened


@contextlib.contextmanager
def stalling(port: int, point: StallPoint) -> Iterator[int]:
    """A port of the loopback address that leads to another one until the block ends, with a stall at the point."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as door:
        links: list[_Link] = []
        accepting = threading.Thread(
            target=_accept, args=(door, port, point, links), name="stall", daemon=True
        )
        accepting.start()
        try:
            yield int(door.getsockname()[1])
        finally:
            door.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for link in links:
                link.close()


def _accept(door: socket.socket, port: int, point: StallPoint, links: list["_Link"]) -> None:
    with contextlib.suppress(OSError):  # the door was closed
        while True:
            client, _ = door.accept()
            links.append(_Link(client, socket.create_connection(("127.0.0.1", port)), point))


class _Link:
    """A connection through the proxy: a thread each way."""

    def __init__(self, client: socket.socket, server: socket.socket, point: StallPoint) -> None:
        self._client, self._server, self._point = client, server, point
        self._is_over = threading.Event()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._threads = [
            threading.Thread(target=self._run, args=(work,), name="stall-link", daemon=True)
            for work in (self._requests, self._answers)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._end()
        for thread in self._threads:
            thread.join()
        self._client.close()
        self._server.close()

    def _end(self) -> None:
        """Let both ends know, and the threads with them."""
        self._is_over.set()
        for side in (self._client, self._server):
            with contextlib.suppress(OSError):  # it may be closed already
                side.shutdown(socket.SHUT_RDWR)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            with contextlib.suppress(OSError):  # either end may go at any time
                work()
        finally:
            self._end()

    def _requests(self) -> None:
        while data := self._client.recv(_REQUEST_BYTES):
            self._server.sendall(data)

    def _answers(self) -> None:
        reading, writing = os.pipe()
        try:
            while count := os.splice(self._server.fileno(), writing, _PASS_BYTES):
                if self._point.is_reached(count):
                    self._is_over.wait()
                    return
                while count:
                    count -= os.splice(reading, self._client.fileno(), count)
        finally:
            os.close(reading)
            os.close(writing)
