"""Heads of answers: they are read as http.client reads them, but for what it passes over."""

import http.client
import io
import time
from typing import Any

import pytest

from engine.transport.heads import BrokenFrames, FinalResponse, read_fields

HEADS = [
    b'HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 12\r\nETag: "abc"\r\nConnection: keep-alive\r\n\r\n',
    b"HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 0-11/12\r\ncontent-length:12\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 12\n\n",
    b"HTTP/1.1 200\r\nTransfer-Encoding: Chunked\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 3\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 3\r\n\r\n",
    b"HTTP/0.9 200 OK\r\nContent-Length: 3\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nX:\r\nSet-Cookie: b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: folded\r\n into two\r\nContent-Length: 3\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: caf\xe9 \x85\r\nY: nul\x00\r\nContent-Length: 3\r\n\r\n",
]


class Wire:
    """A socket that has received this."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(io.BytesIO(self._content))  # type: ignore[arg-type]  # raw enough


def read(kind: type[http.client.HTTPResponse], head: bytes, method: str) -> tuple[Any, ...]:
    response = kind(Wire(head + b"content of it"), method=method)  # type: ignore[arg-type]  # see Wire
    response.begin()
    return (
        response.status,
        response.reason,
        response.version,
        response.headers.items(),
        response.length,
        response.chunked,
        response.will_close,
        response.read() if not response.chunked else None,
    )


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("head", HEADS)
def test_read_as_http_client_reads(head: bytes, method: str) -> None:
    """Status, fields, and where the body ends."""
    assert read(FinalResponse, head, method) == read(http.client.HTTPResponse, head, method)


@pytest.mark.parametrize("other", [b"", b"X: folded\r\n into two\r\n"], ids=["plain", "folded"])
def test_blanks_around_a_value_are_no_part_of_it(other: bytes) -> None:
    """RFC 9110 §5.5: two servers of one file may differ in them."""
    head = b'HTTP/1.1 200 OK\r\nContent-Length: \t3 \r\nETag: "a"\t \r\n' + other + b"\r\n"
    response = FinalResponse(Wire(head), method="GET")  # type: ignore[arg-type]  # see Wire
    response.begin()
    assert (response.headers["content-length"], response.headers["etag"]) == ("3", '"a"')


@pytest.mark.parametrize(
    "line",
    [
        b"no colon",
        b"space : before",
        b": no name",
        b"\xff\xfe\x00\x01:\x02",
        b"\r",
        b"X: a\rContent-Length: 9",
    ],
)
@pytest.mark.row("body/header-without-colon")
def test_what_is_no_field_is_refused(line: bytes) -> None:
    """http.client drops it with all lines behind it. A head without its empty line goes on into the content so."""
    for fields in (line + b"\r\nA: b\r\n", b"A: b\r\n" + line + b"\r\n", b" folds nothing\r\nA: b\r\n"):
        with pytest.raises(http.client.HTTPException, match="no fields"):
            read(FinalResponse, b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n", "GET")


@pytest.mark.parametrize(
    "codings",
    [
        b"gzip, chunked",
        b"chunked, gzip",
        b"chunked\r\nTransfer-Encoding: gzip",
        b"chunked\r\nTransfer-Encoding: chunked",
        b"xchunked",
        b"chunked,",
        b'"chunked"',
        b"identity",
    ],
)
def test_other_transfer_codings_are_refused(codings: bytes) -> None:
    """What another one leaves is no content, with or without the frames of chunks."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + codings + b"\r\nContent-Length: 3\r\n\r\n"
    with pytest.raises(http.client.HTTPException, match="Transfer-Encoding"):
        read(FinalResponse, head, "GET")


def chunked(body: bytes) -> FinalResponse:
    response = FinalResponse(Wire(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body))  # type: ignore[arg-type]  # see Wire
    response.begin()
    return response


@pytest.mark.parametrize("size", [b"0_3", b"+3", b"-3", b"0x3", b" 3", b"3 3", b"\xd9\xa3", b"f" * 17])
def test_a_size_of_a_chunk_is_digits(size: bytes) -> None:
    """Where a proxy and we read sizes differently, one's content is the other's framing."""
    with pytest.raises(BrokenFrames):
        chunked(size + b"\r\nabc\r\n0\r\n\r\n").read()


@pytest.mark.parametrize(
    "body", [b"2\r\nabc\r\n0\r\n\r\n", b"4\r\nabc\r\n0\r\n\r\n", b"3\r\nabc\n\n0\r\n\r\n"]
)
@pytest.mark.row("body/chunks-that-do-not-fit")
def test_a_chunk_ends_where_it_says(body: bytes) -> None:
    """http.client takes any two bytes for its end."""
    with pytest.raises(BrokenFrames):
        chunked(body).read()


class Dripping(io.RawIOBase):
    """A byte at a time, a second apart on a clock of its own."""

    def __init__(self, start: bytes, drop: bytes) -> None:
        self._left, self._drop, self.now = start, drop, 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.now += 0 if self._left else 1
        data, self._left = (self._left or self._drop)[:1000], self._left[1000:]
        buffer[: len(data)] = data
        return len(data)


@pytest.mark.row("body/chunk-size-drips")
def test_a_size_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes of frames are no sign of life: whoever watches for silence would see none."""
    raw = Dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0")
    monkeypatch.setattr(time, "monotonic", lambda: raw.now)
    wire: Any = type("Wire", (), {"makefile": lambda self, mode: io.BufferedReader(raw)})()
    response = FinalResponse(wire, method="GET")
    response.begin()
    with pytest.raises(http.client.HTTPException, match="does not end"):
        response.read()
    assert raw.now < 10


@pytest.mark.parametrize("body", [b"", b"3", b"3\r\nabc", b"3\r\nabc\r\n", b"3\r\nabc\r\n0"])
def test_the_end_of_the_connection_is_no_broken_frame(body: bytes) -> None:
    """What came before it is the content's."""
    with pytest.raises(http.client.IncompleteRead):
        chunked(body).read()


@pytest.mark.parametrize("size", [b"3", b"03", b"3 ", b"3;a=b", b"3 ; a"])
def test_a_chunk_may_have_an_extension(size: bytes) -> None:
    """And a trailer, of which nothing is used."""
    assert chunked(size + b"\r\nabc\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n").read() == b"abc"


@pytest.mark.parametrize("trailer", [b"X: y\r\n" * 5000, b"X: " + b"y" * 20_000])
def test_an_endless_trailer_is_refused(trailer: bytes) -> None:
    """All of the content is there by then, but a connection in the middle of a trailer is of no use."""
    with pytest.raises(http.client.HTTPException, match="does not end"):
        chunked(b"3\r\nabc\r\n0\r\n" + trailer + b"\r\n").read()


@pytest.mark.parametrize("version", [b"HTTP/2", b"HTTP/11", b"ICY"])
def test_other_protocols_are_refused(version: bytes) -> None:
    """What is no HTTP/1 is an error of http.client's."""
    for kind in (FinalResponse, http.client.HTTPResponse):
        with pytest.raises((http.client.UnknownProtocol, http.client.BadStatusLine)):
            read(kind, version + b" 200 OK\r\n\r\n", "GET")


@pytest.mark.parametrize("fields", [b"X: y\r\n" * 200, b"X: " + b"y" * 70_000 + b"\r\n"])
@pytest.mark.row("attack/36-header-bombs")
def test_endless_heads_are_refused(fields: bytes) -> None:
    """Lines that are too many, or too long."""
    with pytest.raises(http.client.HTTPException):
        read_fields(io.BufferedReader(io.BytesIO(fields + b"\r\n")))  # type: ignore[arg-type]  # raw enough


def test_blanks_that_lead_to_nothing_take_no_time() -> None:
    """A field of blanks with a byte in the end that no field has is read in milliseconds, not in many seconds."""
    begun = time.process_time()
    read_fields(io.BufferedReader(io.BytesIO(b"X:" + b" " * 60_000 + b"\0\r\n\r\n")))
    assert time.process_time() - begun < 2
