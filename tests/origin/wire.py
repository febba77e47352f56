"""HTTP/1.1 as bytes: requests read from a socket, answers before they become bytes.

Nothing here checks that an answer makes sense; saying wrong things is what the origin is for.
"""

import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

from tests.origin.content import Bytes, Content

_MAX_HEAD = 1 << 20
_TLS_HANDSHAKE = 0x16


class Headers(list[tuple[str, str]]):
    """Header lines in their order, looked up without regard to case."""

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of that name."""
        return next((value for key, value in self if key.lower() == name.lower()), default)

    def get_all(self, name: str) -> list[str]:
        return [value for key, value in self if key.lower() == name.lower()]

    def has(self, name: str) -> bool:
        return self.get(name) is not None

    def set(self, name: str, value: str) -> None:
        """Replace all lines of that name by one, in the place of the first."""
        at = next((i for i, (key, _) in enumerate(self) if key.lower() == name.lower()), len(self))
        self.drop(name)
        self.insert(at, (name, value))

    def drop(self, name: str) -> None:
        self[:] = [(key, value) for key, value in self if key.lower() != name.lower()]


@dataclass
class Request:
    """One request as it was sent."""

    method: str
    target: str
    version: str
    headers: Headers
    body: bytes = b""

    @property
    def path(self) -> str:
        """The target's path, decoded, without its first slash; of an absolute target too."""
        return unquote(urlsplit(self.target).path).lstrip("/")

    @property
    def query(self) -> str:
        return urlsplit(self.target).query

    @property
    def wants_close(self) -> bool:
        token = (self.headers.get("Connection") or "").lower()
        return "close" in token or (self.version == "HTTP/1.0" and "keep-alive" not in token)


class RequestReader:
    """Requests of one connection, one after the other."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()

    def next(self) -> Request | None:
        """The next request with its body; None when the client has closed, or tries TLS where there is none: skopeo
        does so first, and waits ten seconds for an answer. ValueError if it is not HTTP."""
        head = self._take_head()
        if head is None:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, version = first.split(" ")
        headers = Headers()
        for line in lines:
            key, _, value = line.partition(":")
            headers.append((key.strip(), value.strip()))
        body = self._take(int(headers.get("Content-Length") or 0))
        return Request(method, target, version, headers, body)

    def _take_head(self) -> bytes | None:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _MAX_HEAD:
                raise ValueError("a request head of more than a mebibyte")
            if not self._fill() or self._buffer[0] == _TLS_HANDSHAKE:
                return None
        head = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        return head

    def _take(self, nbytes: int) -> bytes:
        while len(self._buffer) < nbytes and self._fill():
            pass
        body = bytes(self._buffer[:nbytes])
        del self._buffer[:nbytes]
        return body

    def _fill(self) -> bool:
        data = self._sock.recv(65536)
        self._buffer += data
        return bool(data)


@dataclass
class Answer:
    """What is going to be sent: headers as they will stand, and the bytes [start, stop) of content.

    Length, framing and headers need not agree.
    """

    status: int
    headers: Headers = field(default_factory=Headers)
    content: Content = field(default_factory=lambda: Bytes(b""))
    start: int = 0
    stop: int = 0
    chunked: bool = False
    close: bool = False
    """End the connection after the body."""
    trailer_every_s: float | None = None
    """Behind the last chunk a trailer that drips for ever."""
    version: str = "HTTP/1.1"
    reason: str | None = None

    @property
    def length(self) -> int:
        return self.stop - self.start

    def head(self) -> bytes:
        """Status line and header lines as bytes; header values may hold anything, line ends too."""
        reason = self.reason if self.reason is not None else _phrase(self.status)
        lines = [f"{self.version} {self.status} {reason}"]
        lines += [f"{key}: {value}" for key, value in self.headers]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unheard-Of"


def plain(status: int, body: bytes | str = b"", headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """A short, well-formed answer."""
    data = body.encode() if isinstance(body, str) else body
    lines = Headers([("Content-Type", "text/plain"), ("Content-Length", str(len(data)))])
    for key, value in headers:
        lines.set(key, value)
    return Answer(status, lines, Bytes(data), 0, len(data))
