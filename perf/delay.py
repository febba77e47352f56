"""A proxy that adds round trip time and nothing else: every byte passes as late as a wire of that length would pass it.

What comes in is stamped and sent on when half of the round trip is over, so bytes are late but not slowed down: any
number of them may be on the way. A new connection's first bytes wait a whole round trip longer, as the handshake
would take.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Iterator
from typing import cast

_RECEIVE_BYTES = 256 << 10


class _Side(asyncio.BufferedProtocol):
    """One end of a connection through the proxy. What it receives goes to the peer, late."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray(_RECEIVE_BYTES)
        self._underway: deque[bytes | None] = deque()
        self._open_from = 0.0
        self.transport: asyncio.Transport | None = None
        self.peer: _Side | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def wait(self, seconds: float) -> None:
        """Nothing passes before then."""
        self._open_from = self._loop.time() + seconds

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._send_on(bytes(memoryview(self._buffer)[:nbytes]))

    def eof_received(self) -> bool:
        self._send_on(None)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._send_on(None)

    def _send_on(self, data: bytes | None) -> None:
        """None: this side says no more."""
        self._underway.append(data)
        self._loop.call_at(max(self._loop.time(), self._open_from) + self._delay_s, self._arrive)

    def _arrive(self) -> None:
        data, peer = self._underway.popleft(), self.peer
        if peer is None or peer.transport is None or peer.transport.is_closing():
            return
        if data is None:
            peer.transport.close()
        else:
            peer.transport.write(data)


async def _accept(reader_side: _Side, port: int, delay_s: float) -> None:
    loop = asyncio.get_running_loop()
    assert reader_side.transport is not None
    reader_side.transport.pause_reading()
    _, other = await loop.create_connection(lambda: _Side(delay_s), "127.0.0.1", port)
    reader_side.peer, other.peer = other, reader_side
    reader_side.transport.resume_reading()


class _Entrance(_Side):
    """The client's end: it finds its way to the origin as soon as it is there."""

    def __init__(self, delay_s: float, port: int) -> None:
        super().__init__(delay_s)
        self._port = port
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.wait(2 * self._delay_s)
        self._task = self._loop.create_task(_accept(self, self._port, self._delay_s))


@contextlib.contextmanager
def delayed(port: int, round_trip_s: float) -> Iterator[int]:
    """A port of the loopback address that leads to another one, so much further away, until the block ends."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(
        loop.create_server(lambda: _Entrance(round_trip_s / 2, port), "127.0.0.1", 0, backlog=1024)
    )
    thread = threading.Thread(target=loop.run_forever, name="delay", daemon=True)
    thread.start()
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
