"""What stands behind one path of the origin, and how it answers when it behaves."""

import email.utils
import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tests.origin.content import Content, as_content
from tests.origin.wire import Answer, Headers, Request, plain

if TYPE_CHECKING:
    from tests.origin.server import Origin

_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)
_EPOCH = 1_700_000_000


@dataclass
class File:
    """Content with the manner in which it is served. The defaults are those of a good server."""

    content: Content | bytes | Path
    ranges: bool = True
    """False: no Accept-Ranges, and 200 with everything to any range."""
    framing: Literal["length", "chunked", "close"] = "length"
    """chunked: no Content-Length. close: as HTTP/1.0, the end of the connection ends the body."""
    validators: bool = True
    """False: neither ETag nor Last-Modified."""
    etag: str | None = None
    """With its quotation marks; None makes a strong one."""
    last_modified: float = _EPOCH
    """Seconds since 1970."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every answer about this file, redirects included."""
    content_type: str = "application/octet-stream"
    bearer: str | None = None
    """The token that must come as Authorization: 401 without one, 403 with another."""
    denied_code: str = "GatedRepo"
    """X-Error-Code of such an answer."""
    redirect: "str | Callable[[Request], str] | tuple[Origin, str] | None" = None
    """Instead of content, 302 to an address; (origin, name) is signed anew for each request."""
    redirect_status: int = 302
    signed: bool = False
    """Only addresses made by Origin.sign() are answered; others get 403."""
    token_uses: int | None = None
    """For the addresses that a redirect signs: how many requests each is good for."""
    pace: float | None = None
    """Bytes a second on each connection."""

    def __post_init__(self) -> None:
        self.content = as_content(self.content)
        if self.etag is None:
            self.etag = f'"{_fingerprint(self.content)}"'

    @property
    def size(self) -> int:
        assert isinstance(self.content, Content)
        return self.content.size

    def answer(self, request: Request) -> Answer:
        """RFC 9110: authorization, redirect, preconditions (§13.2.2), then range or whole."""
        denied = self._denied(request) or self._redirected(request)
        if denied is None and request.method not in ("GET", "HEAD"):
            denied = plain(405, "GET and HEAD only.\n", [("Allow", "GET, HEAD")])
        answer = denied or self._precondition(request) or self._represented(request)
        for key, value in self.headers.items():
            answer.headers.set(key, value)
        return answer

    def _denied(self, request: Request) -> Answer | None:
        given = request.headers.get("Authorization")
        if self.bearer is None or given == f"Bearer {self.bearer}":
            return None
        lines = [("X-Error-Code", self.denied_code), ("X-Error-Message", "Access is restricted.")]
        if given is None:
            lines.append(("WWW-Authenticate", "Bearer"))
        return plain(403 if given else 401, "Access is restricted.\n", lines)

    def _redirected(self, request: Request) -> Answer | None:
        if self.redirect is None:
            return None
        if isinstance(self.redirect, tuple):
            origin, name = self.redirect
            location = origin.sign(name, uses=self.token_uses)
        else:
            location = self.redirect(request) if callable(self.redirect) else self.redirect
        return plain(self.redirect_status, "Elsewhere.\n", [("Location", location)])

    def _precondition(self, request: Request) -> Answer | None:
        wanted, known = request.headers.get("If-Match"), request.headers.get("If-None-Match")
        etag = self.etag if self.validators else None
        if wanted is not None and not _matches(wanted, etag, weakly=False):
            return plain(412, "Another version.\n", self._validator_lines())
        if known is not None and _matches(known, etag, weakly=True):
            lines = Headers(self._validator_lines())
            return Answer(304, lines)
        return None

    def _represented(self, request: Request) -> Answer:
        assert isinstance(self.content, Content)
        size = self.content.size
        span = self._span(request, size)
        if span is not None and not span[0] < min(span[1], size):
            return plain(416, "No such bytes.\n", [("Content-Range", f"bytes */{size}")])
        start, stop = span or (0, size)
        headers = Headers([("Content-Type", self.content_type), *self._validator_lines()])
        if self.ranges:
            headers.append(("Accept-Ranges", "bytes"))
        if span:
            headers.append(("Content-Range", f"bytes {start}-{stop - 1}/{size}"))
        answer = Answer(206 if span else 200, headers, self.content, start, stop)
        return self._framed(answer)

    def _framed(self, answer: Answer) -> Answer:
        if self.framing == "length":
            answer.headers.append(("Content-Length", str(answer.length)))
        elif self.framing == "chunked":
            answer.headers.append(("Transfer-Encoding", "chunked"))
            answer.chunked = True
        else:
            answer.version, answer.close = "HTTP/1.0", True
            answer.headers.append(("Connection", "close"))
        return answer

    def _span(self, request: Request, size: int) -> tuple[int, int] | None:
        """The bytes to send, clipped at size; None for all of them."""
        span = requested_span(request, size)
        if span is None or not self.ranges or request.method != "GET":
            return None
        condition = request.headers.get("If-Range")
        if condition is not None and not (self.validators and condition in self._strong_validators()):
            return None
        return span[0], min(span[1], size)

    def _strong_validators(self) -> list[str]:
        return [value for _, value in self._validator_lines() if not value.startswith("W/")]

    def _validator_lines(self) -> list[tuple[str, str]]:
        if not self.validators:
            return []
        date = email.utils.formatdate(self.last_modified, usegmt=True)
        return [("ETag", self.etag or ""), ("Last-Modified", date)]


def requested_span(request: Request, size: int) -> tuple[int, int] | None:
    """What a Range header asks for, half-open, not clipped; None without one, or for several or odd ones."""
    match = _RANGE.fullmatch(request.headers.get("Range") or "")
    if not match or match.group() == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return max(size - int(last), 0), size if int(last) else 0
    start, stop = int(first), int(last) + 1 if last else max(size, int(first) + 1)
    return (start, stop) if start < stop else None


def _matches(condition: str, etag: str | None, *, weakly: bool) -> bool:
    if condition.strip() == "*":
        return True
    if etag is None or (not weakly and etag.startswith("W/")):
        return False
    return etag.removeprefix("W/") in [tag.strip().removeprefix("W/") for tag in condition.split(",")]


def _fingerprint(content: Content) -> str:
    """Differs where the first or last block differs; cheap for any size."""
    size = content.size
    sample = content.read(0, min(size, 65536)) + content.read(max(size - 65536, 0), size)
    return hashlib.sha256(b"%d:" % size + sample).hexdigest()[:32]


@dataclass
class _Grant:
    path: str
    uses_left: int | None
    until: float | None


class Grants:
    """Signed addresses that were given out, as tokens."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_token: dict[str, _Grant] = {}
        self._made = 0

    def make(self, path: str, uses: int | None, life_s: float | None) -> str:
        with self._lock:
            self._made += 1
            token = hashlib.sha256(f"{path}:{self._made}".encode()).hexdigest()[:40]
            until = None if life_s is None else time.monotonic() + life_s
            self._by_token[token] = _Grant(path, uses, until)
        return token

    def use(self, path: str, tokens: Iterable[str]) -> bool:
        """Whether a token opens path now; counts as a use of it."""
        with self._lock:
            for grant in filter(None, map(self._by_token.get, tokens)):
                if grant.path != path or grant.uses_left == 0:
                    continue
                if grant.until is not None and time.monotonic() > grant.until:
                    continue
                if grant.uses_left is not None:
                    grant.uses_left -= 1
                return True
        return False

    def expire(self) -> None:
        """No token given so far opens anything any more."""
        with self._lock:
            self._by_token.clear()
