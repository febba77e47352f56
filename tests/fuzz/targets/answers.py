"""Whole heads of answers: read, fitted to what was asked for, and judged where they refuse."""

import http.client
import io
from contextlib import suppress
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast, get_args

import urllib3
from hypothesis import strategies as st

from engine.errors import EngineError, NetworkError
from engine.remote_file import Identity
from engine.spans import Span
from engine.transfer.answers import facts_of, is_whole, request_headers
from engine.transfer.messages import Lease
from engine.transfer.misfits import refuse_misfit
from engine.transport.heads import FinalResponse
from engine.transport.refusals import refusal
from engine.transport.retry import MAX_WAIT_S, Failure, Kind, WireError, parse_retry_after
from engine.transport.verdicts import error_of, wait_s
from engine.transport.wire import Answer, Hop
from tests.fuzz.documents import Bytes, as_json, joined, one_of, record
from tests.fuzz.target import simple

_STATUS = one_of("200 206 416 412 401 403 404 429 503 304 100 101 302 410 451 407 999 099")
_FIELDS = joined(
    one_of(
        "Content-Range Content-Length Content-Encoding Transfer-Encoding ETag Last-Modified "
        "X-Linked-Size X-Linked-Etag X-Repo-Commit Connection X-Error-Code X-Error-Message "
        "Retry-After X-Request-Id"
    ),
    ": ",
    one_of(
        '10 0 5 chunked identity gzip W/"a" "a" close RepoNotFound GatedRepo DisabledRepo '
        "EntryNotFound RevisionNotFound",
        "bytes 0-9/10",
        "bytes 0-4/10",
        "bytes 0-9/*",
        "bytes */0",
    ),
    "\r\n",
)
_BODIES = as_json(
    record({}, error=st.text(max_size=9), errors=st.just([{"message": "m"}]) | st.just([1]))
) | one_of('0123456789 {"error":"disabled"} 5\r\nhello\r\n0\r\n\r\n [] [', "Invalid credentials")
_HEADS: Bytes = joined(
    one_of("HTTP/1.1 HTTP/1.0 HTTP/1.9 HTTP/2 ICY"),
    " ",
    _STATUS,
    one_of(" OK", "", " \x1b[2J"),
    "\r\n",
    st.lists(_FIELDS, max_size=6).map(b"".join),
    one_of("\r\n", "\n"),
    _BODIES,
)
_HEADS |= joined(one_of("HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n", "HTTP/1.1 100 C\r\n\r\n"), _HEADS)


def _response(data: bytes) -> FinalResponse:
    """As http.client makes one of a socket."""
    wire = SimpleNamespace(makefile=lambda _mode: io.BufferedReader(io.BytesIO(data)))
    return FinalResponse(cast(Any, wire), method="GET")


def _head(data: bytes) -> None:
    """ValueError and HTTPException are what the wire translates, and http.client's own parser raises."""
    with suppress(http.client.HTTPException, ValueError):
        response = _response(data)
        response.begin()
        assert 100 <= response.status <= 999
        while response.read(5):
            assert min(response.open_chunk) >= 0


_HEAD_WORDS = (
    b"\r\n",
    b"\n",
    b" ",
    b"\r\n ",
    *(
        b"HTTP/1.1 200 206 416 : Content-Length: Content-Range: Transfer-Encoding: chunked bytes "
        b"ETag: \x00 \xa0 \x85 = 0 9999999999999999999 -1"
    ).split(),
)
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_FRAMES = st.lists(
    st.sampled_from(
        [
            b"5\r\nabcde\r\n",
            b"3;x=y\r\nabc\r\n",
            b"0\r\n\r\n",
            b"0\r\nA: b\r\nB: c\r\n\r\n",
            b"0\r\n" + b"x" * 9000,
            b"5\r\nabcdeX",
            b"zz\r\n",
            b"1" * 9000,
            b"HTTP/1.1 100 Continue\r\n\r\n",
        ]
    ),
    max_size=4,
).map(lambda frames: _CHUNKED + b"".join(frames))
head = simple("response-head", _HEADS | _FRAMES, (*_HEAD_WORDS, _CHUNKED), "transport/heads.py")(_head)

_LEASES = [
    Lease(0, 1, 0, "https://h.example/m", Span(0, 10), is_probe=True, whole=100),
    Lease(0, 1, 0, "https://h.example/m", Span(0, 10), Identity(size=10), has_digest=True, accept="*/*"),
    Lease(0, 1, 0, "https://h.example/m", Span(0, 5), Identity(size=10, etag='"a"', last_modified="x")),
    Lease(0, 1, 0, "https://h.example/m", Span(0, 10), Identity(size=10)),
    Lease(0, 1, 0, "https://h.example/m", None, Identity(etag='W/"a"'), is_located=True),
    Lease(0, 1, 0, "https://h.example/m", None),
]


def _answer(data: bytes) -> None:
    """A whole answer to each kind of lease: what fits says what was asked for, all else is a WireError."""
    for lease in _LEASES:
        for hops in ([], [Hop("https://h.example/m", {"x-linked-size": "10"})]):
            # What the wire translates, where http.client and urllib3 find that the answer makes no sense.
            with suppress(http.client.HTTPException, urllib3.exceptions.HTTPError, ValueError):
                response = _response(data)
                response.begin()
                fields = urllib3.HTTPHeaderDict(response.headers.items())
                raw = urllib3.HTTPResponse(io.BytesIO(b"{}"), fields, response.status, preload_content=False)
                _judge(
                    lease, Answer(raw, "https://h.example/m" if not hops else "https://cdn.example/m", hops)
                )


def _judge(lease: Lease, answer: Answer) -> None:
    opened = facts_of(lease, answer)
    assert isinstance(request_headers(lease), dict)
    try:
        refuse_misfit(lease, answer, opened)
    except WireError as exc:
        assert _is_plain(error_of(exc.failure))
        return
    if answer.status == 206 and lease.span and not lease.is_probe:
        assert opened.span is not None and opened.span.start == lease.span.start
    assert is_whole(opened, 10) in (True, False)


answer = simple("answer", _HEADS, _HEAD_WORDS, "transfer/answers.py", "transfer/misfits.py")(_answer)


def _is_plain(error: EngineError) -> bool:
    """Whether it may be shown on a terminal, whatever words of the server's are in it."""
    return str(error).replace("\u2060", "").isprintable()


def _refusal(data: bytes) -> None:
    """The status, the headers and the body of a refusing answer, for addresses of each kind."""
    with suppress(http.client.HTTPException, ValueError):
        response = _response(data)
        response.begin()
        body = data[-200:]
        headers = {
            **dict(response.headers.items()),
            **({"X-Error-Code": body[:9].decode("latin-1")} if len(body) % 3 == 0 else {}),
        }
        for url in (
            "https://huggingface.co/ns/m/resolve/main/a",
            "https://h.example/api/models/ns/m/tree/x",
            "https://registry.ollama.ai/v2/library/m/manifests/x",
            "https://r.example/v2/ns/m/blobs/x",
            "https://h.example/blob/x",
        ):
            for lapsed, keeps, despite in ((False, False, False), (True, True, False), (False, True, True)):
                said = refusal(
                    url,
                    response.status,
                    headers,
                    body,
                    has_lapsed=lapsed,
                    keeps=keeps,
                    is_despite_credentials=despite,
                )
                assert _is_plain(said)


refused = simple(
    "refusal",
    _HEADS,
    (
        *_HEAD_WORDS,
        *(
            b'X-Error-Code: X-Error-Message: RepoNotFound Retry-After: {"error":" '
            b'{"errors":[{"message":" \x9b2J \x1b'
        ).split(),
    ),
    "transport/refusals.py",
)(_refusal)


def _verdict(data: bytes) -> None:
    """What becomes of an answer's failure, whatever it was taken for, at first and after several attempts."""
    with suppress(http.client.HTTPException, ValueError):
        response = _response(data)
        response.begin()
        said = dict(response.headers.items())
        asked = parse_retry_after({name.lower(): value for name, value in said.items()}, _NOW)
        for kind in get_args(Kind):
            failure = Failure(
                kind=kind,
                message="m",
                status=response.status,
                retry_after_s=asked,
                headers=said,
                body=data[-200:],
                url="https://h.example/m",
            )
            for attempts, keeps in ((1, False), (3, True)):
                _judge_failure(failure, attempts, keeps=keeps)


def _judge_failure(failure: Failure, attempts: int, *, keeps: bool) -> None:
    try:
        assert 0 <= wait_s(failure, attempts, 1.0, keeps=keeps) <= MAX_WAIT_S
    except NetworkError as exc:
        assert failure.retry_after_s and "asks to wait" in str(exc)
    assert _is_plain(error_of(failure, attempts=attempts, keeps=keeps))


_NOW = datetime(2026, 10, 21, tzinfo=UTC)
verdict = simple(
    "verdict", _HEADS, (*_HEAD_WORDS, b"Retry-After: 99\r\n", b"Retry-After:"), "transport/verdicts.py"
)(_verdict)
TARGETS = (head, answer, refused, verdict)
