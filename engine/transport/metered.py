"""Connections that count what they receive, as connection classes of urllib3's pools.

Counting stands at the socket, per receive: a read of 1 MiB may take a minute on a slow line, and
whoever judges a stall must see its bytes arrive. The same place keeps what arrived before an error:
`BufferedReader.read(n)` throws away everything when a receive in its middle fails, so the failing
receive answers "end of stream" first, and raises when asked again. Where only the end of the connection
ends a body, that would pass for its end: the meter is told that it was none.
"""

import contextlib
import io
import socket
import time
from typing import Any, Protocol

from urllib3.connection import HTTPConnection, HTTPSConnection

from engine.transport.heads import FinalResponse


class Meter(Protocol):
    """Who is told what a connection does."""

    @property
    def receive_buffer(self) -> int:
        """SO_RCVBUF of the next connection, in bytes; 0 leaves it to the kernel."""

    def attach(self, wire: socket.socket) -> None:
        """A connection is up; wire is its plain socket, under TLS too."""

    def received(self, nbytes: int) -> None:
        """So many bytes came out of one receive."""

    def broke(self, failure: OSError) -> None:
        """A receive in the middle of an answer failed; "end of stream" was said first."""


class NoMeter:
    """For requests that nobody watches."""

    receive_buffer = 0

    def attach(self, wire: socket.socket) -> None:
        pass

    def received(self, nbytes: int) -> None:
        pass

    def broke(self, failure: OSError) -> None:
        pass


class Deadline(NoMeter):
    """For answers that nobody watches: one that drips is given up, wherever in it that is.

    A timeout of a receive alone would wait as long as a byte comes now and then.
    """

    _LEAST_BYTES_S = 4096
    """Slower than this is no line that a listing is asked for over."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self.start()

    def start(self) -> None:
        """Another request begins."""
        self._ends = time.monotonic() + self._patience_s

    def received(self, nbytes: int) -> None:
        self._ends += nbytes / self._LEAST_BYTES_S
        if time.monotonic() > self._ends:
            raise TimeoutError


class _MeteredRaw(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase, meter: Meter) -> None:
        self._raw = raw
        self._meter = meter
        self._failure: BaseException | None = None
        self._has_received = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._failure is not None:
            raise self._failure
        try:
            nbytes = self._raw.readinto(buffer) or 0
        except OSError as exc:
            if not self._has_received:
                raise
            self._failure = exc
            self._meter.broke(exc)
            return 0
        self._has_received = True
        self._meter.received(nbytes)
        return nbytes

    def close(self) -> None:
        self._raw.close()
        super().close()


class _MeteredSocket:
    """A socket whose makefile() counts; all else is the socket's own."""

    def __init__(self, sock: Any, meter: Meter) -> None:
        self._sock = sock
        self._meter = meter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def makefile(self, mode: str = "rb", **_: Any) -> io.BufferedReader:
        return io.BufferedReader(_MeteredRaw(self._sock.makefile(mode, buffering=0), self._meter))


class _Metered:
    """Mixed into urllib3's connection classes; `meter` is set on a subclass per lane."""

    meter: Meter = NoMeter()
    sock: Any
    socket_options: Any
    response_class = FinalResponse

    def connect(self) -> None:
        if nbytes := self.meter.receive_buffer:
            # Before the handshake, which is where a window's scale is agreed on (tcp(7)).
            option = (socket.SOL_SOCKET, socket.SO_RCVBUF, nbytes)
            self.socket_options = [*HTTPConnection.default_socket_options, option]
        super().connect()  # type: ignore[misc]  # the mixin's next class is urllib3's connection
        self.meter.attach(getattr(self.sock, "wire", self.sock))
        self.sock = _MeteredSocket(self.sock, self.meter)


def connection_classes(meter: Meter) -> dict[str, type[HTTPConnection]]:
    """Connection classes for urllib3 pools, by scheme, that report to this meter."""
    return {
        "http": type("MeteredHTTP", (_Metered, HTTPConnection), {"meter": meter}),
        "https": type("MeteredHTTPS", (_Metered, HTTPSConnection), {"meter": meter}),
    }


def wake(wire: socket.socket) -> None:
    """Make a thread that is stuck in a receive on this socket return; it must throw away what it gets.

    The plain socket's own shutdown, not SSLSocket.shutdown: that one drops the TLS layer while another
    thread reads, which then gets ciphertext as content.
    """
    try:
        socket.socket.shutdown(wire, socket.SHUT_RDWR)
    except (OSError, TypeError):
        pass  # closed already, or a TLS-in-TLS transport, which has no socket of its own


def bytes_waiting(wire: socket.socket) -> int:
    """Received by this machine and read by nobody yet, in bytes (tcp(7), SIOCINQ); 0 where that cannot be asked."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import fcntl  # not on Windows, and only for a connection that is given up
        import struct
        import termios

        return int(struct.unpack("i", fcntl.ioctl(wire.fileno(), termios.FIONREAD, bytes(4)))[0])
    return 0
