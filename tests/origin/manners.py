"""Faults that strike before an answer, instead of it, or in what it says; bodies in midway: stream.py.

A function of the "before" stage may wait, end the connection, or change the file for this exchange.
One of the "answer" stage changes the good answer; it returns False where it has nothing to change
(a Content-Range fault on an answer without one), and then has not fired.
"""

import gzip as gzip_codec
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.origin.content import Bytes, Changed, Content, Excerpt, Joined, as_content
from tests.origin.faults import Fault, Stage, kind
from tests.origin.files import File
from tests.origin.ledger import Record
from tests.origin.stream import Hangup
from tests.origin.wire import Answer, Headers, Request, plain

if TYPE_CHECKING:
    from tests.origin.connection import Connection


@dataclass
class Exchange:
    """One request under treatment."""

    connection: "Connection"
    request: Request
    record: Record
    file: File | None
    faults: list[Fault]
    """Those that are meant for this request."""

    def faults_at(self, stage: Stage) -> list[Fault]:
        return [fault for fault in self.faults if fault.kind.stage == stage]


# Before an answer


@kind("before")
def hang_before_headers(exchange: Exchange, *, seconds: float | None = None) -> None:
    """Nothing comes at all; until seconds have passed, release(), or the end."""
    exchange.connection.hang(seconds)


@kind("before")
def informational(exchange: Exchange, *, code: int = 103, count: int = 1) -> None:
    """So many informational responses, each with a header, before the answer."""
    lines = f"HTTP/1.1 {code} Informational\r\nLink: </style.css>; rel=preload\r\nContent-Length: 5\r\n\r\n"
    for _ in range(count):
        exchange.connection.send(lines.encode())


@kind("before")
def drip_headers(exchange: Exchange, *, every_s: float = 0.1) -> None:
    """An answer that begins, and never gets beyond its headers: another line now and then."""
    exchange.connection.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        exchange.connection.hang(every_s)
        exchange.connection.send(b"X-More: to come\r\n")


@kind("before")
def close_without_answer(exchange: Exchange, *, reset: bool = False) -> None:
    """The request is read, the connection ends."""
    raise Hangup(reset=reset)


@kind("before")
def garbage(exchange: Exchange, *, data: bytes = b"\x00\xffSSH-2.0-nothing like HTTP\r\n\r\n") -> None:
    """Bytes that are not HTTP, then the end."""
    exchange.connection.send(data)
    raise Hangup(orderly=True)


@kind("before")
def refuse(exchange: Exchange, *, seconds: float | None = None) -> None:
    """The origin stops listening, for seconds or until listen(); this connection is reset."""
    exchange.connection.origin.refuse(seconds)
    raise Hangup(reset=True)


@kind("before")
def etag_change(
    exchange: Exchange,
    *,
    content: Content | bytes | None = None,
    etag: str | None = None,
    same_content: bool = False,
    permanent: bool = True,
) -> None:
    """A second version (same size, other bytes, unless content is given) with an ETag of its own.

    permanent: for every request from this one on; else for this one alone, as another edge of a
    content network would answer. same_content: only the ETag differs.
    """
    old = exchange.file
    assert old is not None, "etag_change needs a path that exists"
    assert isinstance(old.content, Content)
    new = old.content if same_content else Changed(old.content) if content is None else as_content(content)
    etag = etag or f'"{(old.etag or "").strip(chr(34))}-changed"'
    exchange.file = replace(old, content=new, etag=etag, last_modified=old.last_modified + 1)
    if permanent:
        files = exchange.connection.origin.files
        files.update({path: exchange.file for path, file in list(files.items()) if file is old})


# Another answer


def _become(answer: Answer, other: Answer) -> bool:
    answer.__dict__.update(other.__dict__)
    return True


@kind("answer")
def status(
    answer: Answer,
    exchange: Exchange,
    *,
    code: int,
    headers: Mapping[str, str] | None = None,
    body: bytes | str = b"",
    reason: str | None = None,
    close: bool = False,
) -> bool:
    """Any status, with any headers and body: 429 and 503 with Retry-After, 403 with X-Error-Code, …"""
    other = plain(code, body, (headers or {}).items())
    return _become(answer, replace(other, reason=reason, close=close))


@kind("answer")
def redirect_to(answer: Answer, exchange: Exchange, *, location: str, code: int = 302) -> bool:
    """To any location: another scheme, no URL at all, one with line ends in it."""
    return _become(answer, plain(code, "Elsewhere.\n", [("Location", location)]))


@kind("answer")
def redirect_loop(answer: Answer, exchange: Exchange, *, code: int = 302, distinct: bool = False) -> bool:
    """To itself; distinct: each time with another query, so that no two addresses are the same."""
    path = exchange.request.target.partition("?")[0]
    hop = int(exchange.request.query.removeprefix("hop=") or 0) + 1 if distinct else 0
    location = f"{path}?hop={hop}" if distinct else exchange.request.target
    return _become(answer, plain(code, "Round again.\n", [("Location", location)]))


@kind("answer", "416_no_range")
def range_not_satisfiable(answer: Answer, exchange: Exchange, *, content_range: str | None = None) -> bool:
    """416 to a range that could be served, without Content-Range, or with the one given."""
    if answer.status != 206:
        return False
    lines = [("Content-Range", content_range)] if content_range is not None else []
    return _become(answer, plain(416, "", lines))


# A range answered wrongly


def _whole(answer: Answer) -> int:
    return answer.content.size


def _serve_span(answer: Answer, start: int, stop: int) -> bool:
    answer.start, answer.stop = start, stop
    answer.headers.set("Content-Range", f"bytes {start}-{stop - 1}/{_whole(answer)}")
    _set_length(answer, answer.length)
    return True


def _set_length(answer: Answer, nbytes: int) -> None:
    if answer.headers.has("Content-Length"):
        answer.headers.set("Content-Length", str(nbytes))


@kind("answer")
def ok_to_range(answer: Answer, exchange: Exchange) -> bool:
    """200 with everything, although a range was asked for."""
    if answer.status != 206:
        return False
    answer.status, answer.start, answer.stop = 200, 0, _whole(answer)
    answer.headers.drop("Content-Range")
    _set_length(answer, answer.length)
    return True


@kind("answer")
def shifted_range(answer: Answer, exchange: Exchange, *, by: int = 1, lie: bool = False) -> bool:
    """206 that starts `by` bytes off, with the bytes it says; lie: with the bytes that were asked for."""
    start = answer.start + by
    stop = min(answer.stop + by, _whole(answer))
    if answer.status != 206 or not 0 <= start < stop:
        return False
    if lie:
        answer.headers.set("Content-Range", f"bytes {start}-{stop - 1}/{_whole(answer)}")
        return True
    return _serve_span(answer, start, stop)


@kind("answer")
def wrong_total(answer: Answer, exchange: Exchange, *, by: int = 1) -> bool:
    """206 whose Content-Range gives another total size."""
    if answer.status != 206:
        return False
    total = _whole(answer) + by
    answer.headers.set("Content-Range", f"bytes {answer.start}-{answer.stop - 1}/{total}")
    return True


@kind("answer")
def star_total(answer: Answer, exchange: Exchange) -> bool:
    """206 whose Content-Range gives `*` as total size, which RFC 9110 §14.4 allows."""
    if answer.status != 206:
        return False
    answer.headers.set("Content-Range", f"bytes {answer.start}-{answer.stop - 1}/*")
    return True


@kind("answer")
def short_range(answer: Answer, exchange: Exchange, *, by: int | None = None) -> bool:
    """206 with the right start that stops `by` bytes early (half of it, unless told), and says so."""
    stop = answer.stop - (answer.length // 2 if by is None else by)
    if answer.status != 206 or not answer.start < stop < answer.stop:
        return False
    return _serve_span(answer, answer.start, stop)


@kind("answer")
def long_range(answer: Answer, exchange: Exchange, *, by: int = 1) -> bool:
    """206 that goes on `by` bytes further than asked, and says so; not at the end of the file."""
    stop = min(answer.stop + by, _whole(answer))
    if answer.status != 206 or stop == answer.stop:
        return False
    return _serve_span(answer, answer.start, stop)


@kind("answer")
def no_content_range(answer: Answer, exchange: Exchange) -> bool:
    """206 without Content-Range."""
    if answer.status != 206:
        return False
    answer.headers.drop("Content-Range")
    return True


@kind("answer")
def multipart(answer: Answer, exchange: Exchange) -> bool:
    """206 as multipart/byteranges with the asked range as its one part (RFC 9110 §15.3.7.2 forbids that)."""
    span = answer.headers.get("Content-Range")
    if answer.status != 206 or span is None:
        return False
    kind_of_part = answer.headers.get("Content-Type", "application/octet-stream")
    head = f"\r\n--gap\r\nContent-Type: {kind_of_part}\r\nContent-Range: {span}\r\n\r\n"
    part = Excerpt(answer.content, answer.start, answer.stop)
    _replace_body(answer, Joined(Bytes(head.encode()), part, Bytes(b"\r\n--gap--\r\n")))
    answer.headers.drop("Content-Range")
    answer.headers.set("Content-Type", "multipart/byteranges; boundary=gap")
    return True


# Bodies and headers that are not what they seem


def _replace_body(answer: Answer, content: Content) -> None:
    answer.content, answer.start, answer.stop = content, 0, content.size
    _set_length(answer, content.size)


@kind("answer")
def wrong_content_length(answer: Answer, exchange: Exchange, *, by: int) -> bool:
    """Content-Length says `by` bytes more than are sent (or fewer, if negative); then the connection ends."""
    if answer.status not in (200, 206) or answer.length + by < 0:
        return False
    answer.headers.set("Content-Length", str(answer.length + by))
    answer.close = True
    return True


@kind("answer")
def extra_bytes(answer: Answer, exchange: Exchange, *, data: bytes) -> bool:
    """Data behind a body whose length says nothing of it; the connection goes on. Where there is no length, in it."""
    if answer.status not in (200, 206):
        return False
    _replace_body(answer, Joined(Excerpt(answer.content, answer.start, answer.stop), Bytes(data)))
    _set_length(answer, answer.length - len(data))
    return True


@kind("answer")
def gzip(
    answer: Answer, exchange: Exchange, *, encoding: str = "gzip", bomb_bytes: int | None = None
) -> bool:
    """Content-Encoding although identity was asked for: gzip and deflate truly, other names as a mere claim.

    bomb_bytes: the body is so many zeros instead, compressed.
    """
    if answer.status not in (200, 206):
        return False
    body = bytes(bomb_bytes) if bomb_bytes is not None else answer.content.read(answer.start, answer.stop)
    packers: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip_codec.compress, "deflate": zlib.compress}
    _replace_body(answer, Bytes(packers[encoding](body) if encoding in packers else body))
    answer.headers.set("Content-Encoding", encoding)
    return True


@kind("answer")
def huge_headers(answer: Answer, exchange: Exchange, *, lines: int = 1, length: int = 1 << 20) -> bool:
    """So many more header lines, each with a value of so many characters."""
    answer.headers[:0] = [(f"X-Filler-{i}", "x" * length) for i in range(lines)]
    return True


@kind("answer")
def header(answer: Answer, exchange: Exchange, *, name: str, value: str | None) -> bool:
    """One header line set to any value, or (None) left out."""
    answer.headers.drop(name)
    if value is not None:
        answer.headers.append((name, value))
    return True


@kind("answer")
def endless_trailer(answer: Answer, exchange: Exchange, *, every_s: float = 0.1) -> bool:
    """Behind the last chunk a trailer drips and never ends."""
    answer.trailer_every_s = every_s
    return answer.chunked


# At the door


@kind("accept")
def limit_connections(connection: "Connection", *, n: int, code: int | None = 503) -> None:
    """Above n open connections, a further one gets this status and is closed; None: is closed at once."""
    if code is None:
        raise Hangup(reset=True)
    connection.turned_away = plain(code, "Too many connections.\n", [("Connection", "close")])


@kind("accept")
def hang_on_connect(connection: "Connection", *, seconds: float | None = None) -> None:
    """The connection is accepted, but over it comes nothing, no TLS handshake either."""
    connection.hang(seconds)


def shaped(answer: Answer) -> Answer:
    """A copy of an answer that a fault may change without harm to the first."""
    return replace(answer, headers=Headers(answer.headers))
