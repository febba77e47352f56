"""TLS: whom to trust, and a faster way to read.

`SSLSocket` hands out one record of 16 KiB a call and makes two read() system calls for each. `TlsStream` feeds
an `ssl.SSLObject` from 128 KiB receives and takes out as many records a call as have come. It is what our
context's wrap_socket returns, so that urllib3's pools use it like any other TLS socket.
"""

import io
import socket
import ssl
from typing import Any, Self

from engine.errors import UsageError
from engine.settings import Settings
from engine.transport.trust import trust_system

_RECEIVE_BYTES = 1 << 17


class TlsStream:
    """A connected TLS client socket, as far as http.client and urllib3 use one. One reader, one writer."""

    def __init__(self, context: ssl.SSLContext, wire: socket.socket, server_hostname: str | None) -> None:
        self.wire = wire
        """The plain socket: the one to shut down when a reader is stuck."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        self._received = memoryview(bytearray(_RECEIVE_BYTES))
        self._readers = 0
        self._is_closed = self._has_ended = False
        self._failure: ssl.SSLError | ConnectionError | None = None
        self._handshake()

    def __getattr__(self, name: str) -> Any:
        """Timeouts, addresses, fileno: the wire's own."""
        return getattr(self.wire, name)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:  # noqa: ARG002 - a socket's signature
        """Fill buffer with what has come, waiting only for the first byte. 0 at an end with close_notify; one without
        raises ConnectionResetError: a body that only its end delimits would pass for a whole one, and anybody on the
        way can send that end (RFC 9112 §9.8)."""
        view = memoryview(buffer)
        if self._failure is not None:
            raise self._failure
        while not (filled := self._take_out(view)):
            if self._has_ended:
                break
            if self._failure is not None:
                raise self._failure
            self._receive()
        return filled

    def _take_out(self, view: memoryview) -> int:
        """Decrypt what has been received into view. What ends it for good is kept, for what was decrypted before
        comes first, and OpenSSL tells a failure once: asked again, it would say that the stream has ended."""
        # A record is 16 KiB, so this loop runs 65,000 times a GiB: nothing else belongs into it.
        # Asking in vain costs an exception, dearer than a record; where each record comes alone, nothing waits.
        read, filled, size, incoming = self._tls.read, 0, len(view), self._incoming
        try:
            while filled < size and (incoming.pending or self._tls.pending() or incoming.eof):
                count = read(size - filled, view[filled:])
                if not count:
                    self._has_ended = True
                    break
                filled += int(count)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._has_ended = True
        except ssl.SSLEOFError:
            self._failure = ConnectionResetError(
                "it ended without TLS saying so, and may have been cut short"
            )
        except ssl.SSLError as exc:
            self._failure = exc
        self._answer()
        return filled

    def recv(self, nbytes: int, flags: int = 0) -> bytes:
        """As a socket's: for whoever speaks TLS within this TLS, through a proxy."""
        buffer = bytearray(nbytes)
        return bytes(buffer[: self.recv_into(buffer, nbytes, flags)])

    def send(self, data: Any, flags: int = 0) -> int:  # noqa: ARG002 - a socket's signature
        """All of it, always."""
        self.sendall(data)
        return len(memoryview(data).cast("B"))

    def sendall(self, data: Any, flags: int = 0) -> None:  # noqa: ARG002 - a socket's signature
        view = memoryview(data).cast("B")
        while view:
            view = view[self._tls.write(view) :]
            self._flush()

    def makefile(self, _mode: str = "rb", **_: Any) -> io.RawIOBase:
        """The reading side, unbuffered; the wire stays open until it is closed too."""
        self._readers += 1
        return _Reading(self)

    def reader_closed(self) -> None:
        self._readers -= 1
        if self._is_closed and not self._readers:
            self.wire.close()

    def close(self) -> None:
        """Close the wire, once nobody reads from it any more. May be called twice."""
        self._is_closed = True
        if not self._readers:
            self.wire.close()

    def shutdown(self, how: int) -> None:
        self.wire.shutdown(how)

    def getpeercert(self, binary_form: bool = False) -> Any:
        return self._tls.getpeercert(binary_form)

    def selected_alpn_protocol(self) -> str | None:
        return self._tls.selected_alpn_protocol()

    def version(self) -> str | None:
        return self._tls.version()

    def _handshake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                if not self._receive():
                    raise ConnectionResetError(
                        "the server closed the connection during the TLS handshake"
                    ) from None
            except ssl.SSLError:
                self._flush()  # the alert that tells the server why
                raise
            else:
                self._flush()
                return

    def _receive(self) -> int:
        count = self.wire.recv_into(self._received)
        if count:
            self._incoming.write(self._received[:count])
        else:
            self._incoming.write_eof()
        return count

    def _answer(self) -> None:
        """Send what reading called for: the answer to a key update (RFC 8446 §4.6.3), or an alert."""
        try:
            self._flush()
        except ConnectionError:
            pass  # whoever has gone needs no answer; what was sent before is still to be read

    def _flush(self) -> None:
        if self._outgoing.pending:
            self.wire.sendall(self._outgoing.read())


class _Reading(io.RawIOBase):
    """What TlsStream.makefile gives."""

    def __init__(self, stream: TlsStream) -> None:
        self._stream: TlsStream | None = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._stream is None:
            raise ValueError("read of a closed TLS stream")
        return self._stream.recv_into(buffer)

    def close(self) -> None:
        stream, self._stream = self._stream, None
        super().close()
        if stream is not None:
            stream.reader_closed()


class StreamContext(ssl.SSLContext):
    """A client context whose sockets are TlsStreams."""

    def wrap_socket(  # type: ignore[override]  # what urllib3 calls of it; the result is a socket as far as it cares
        self, sock: socket.socket, *, server_hostname: str | None = None, **_: Any
    ) -> TlsStream:
        return TlsStream(self, sock, server_hostname)

    @classmethod
    def make(cls) -> Self:
        return cls(ssl.PROTOCOL_TLS_CLIENT)


_contexts: dict[tuple[str | None, bool], ssl.SSLContext] = {}


def tls_context(settings: Settings) -> ssl.SSLContext:
    """This process's context for these settings: the system's trust, or --cacert, or none at all.
    Raises UsageError."""
    key = (settings.cacert, settings.insecure)
    if key not in _contexts:
        _contexts[key] = _make_context(settings)
    return _contexts[key]


def _make_context(settings: Settings) -> ssl.SSLContext:
    context = StreamContext.make()
    if settings.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif settings.cacert:
        try:
            context.load_verify_locations(cafile=settings.cacert)
        except (OSError, ssl.SSLError) as exc:
            raise UsageError(
                f"Cannot read certificates from {settings.cacert!r}: {exc}. Give --cacert a PEM file."
            ) from exc
    elif not trust_system(context):
        # truststore asks macOS and Windows themselves, and knows where other systems hide their bundle.
        import truststore

        class Strict(truststore.SSLContext):
            """An end without close_notify is an error, as in TlsStream."""

            def wrap_socket(self, sock: socket.socket, *args: Any, **options: Any) -> ssl.SSLSocket:
                return super().wrap_socket(sock, *args, **options | {"suppress_ragged_eofs": False})

        return Strict(ssl.PROTOCOL_TLS_CLIENT)
    return context
