"""What a request for a file's bytes is to get: whole, part, unchanged, refused. Pure.

The order is that of RFC 9110 §13.2.2. Only strong ETags exist here, because each is a digest of the
content; there is no Last-Modified, so conditions by date are ignored as §13.1.3 and §13.1.4 ask, and an
If-Range with a date never holds (§13.1.5). One range is answered; a request for several gets the whole
file, which §14.2 allows and every client must cope with.
"""

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from engine.spans import Span

_RANGE = re.compile(r"(?:(\d{1,30})-(\d{0,30})|-(\d{1,30}))", re.ASCII)
_UNIT = re.compile(r"bytes=", re.IGNORECASE | re.ASCII)
_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\U0010ffff]*"'
_TAG_LIST = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
"""Only one way to read what stands between two tags: with several, a list that goes wrong at its end takes for ever."""
_EACH_TAG = re.compile(_TAG)


class Verdict(msgspec.Struct, frozen=True):
    """The status of the answer, and the bytes that go with it (empty for 304, 412 and 416)."""

    status: Literal[200, 206, 304, 412, 416]
    span: Span


def judge(method: str, headers: Mapping[str, str], etag: str, size_bytes: int) -> Verdict:
    """Decide from the request's headers (names in any case; repeated ones joined by commas).

    etag is the file's strong ETag with its quotes.
    """
    nothing = Span(0, 0)
    if (wanted := headers.get("If-Match")) is not None and not _matches(wanted, etag, weakly=False):
        return Verdict(412, nothing)
    if (known := headers.get("If-None-Match")) is not None and _matches(known, etag, weakly=True):
        return Verdict(304, nothing)
    whole = Verdict(200, Span(0, size_bytes))
    text = headers.get("Range")
    if method != "GET" or text is None or headers.get("If-Range", etag).strip() != etag:
        return whole
    unit = _UNIT.match(text)
    if not unit or "," in text:
        return whole
    span = parse_range(text[unit.end() :], size_bytes)
    return Verdict(206, span) if span else Verdict(416, nothing)


def parse_range(text: str, size_bytes: int) -> Span:
    """The bytes that one range (`0-99`, `100-`, `-5`: what follows `bytes=`) selects of size_bytes.

    An end beyond the file is cut to it. Empty when nothing of the file is selected or text is malformed.
    """
    match = _RANGE.fullmatch(text.strip(" \t"))
    if not match:
        return Span(0, 0)
    first, last, suffix = match.groups()
    if suffix is not None:
        return Span(max(0, size_bytes - int(suffix)), size_bytes)
    start = int(first)
    stop = min(int(last) + 1, size_bytes) if last else size_bytes
    return Span(start, stop) if start < stop else Span(0, 0)


def format_content_range(span: Span, size_bytes: int) -> str:
    """Content-Range of a 206, or of a 416 when span is empty (RFC 9110 §14.4)."""
    return f"bytes {span.start}-{span.stop - 1}/{size_bytes}" if span else f"bytes */{size_bytes}"


def _matches(text: str, etag: str, *, weakly: bool) -> bool:
    """Whether a list of entity tags holds etag; a malformed list holds nothing."""
    if text.strip() == "*":
        return True
    if not _TAG_LIST.fullmatch(text):
        return False
    tags = _EACH_TAG.findall(text)
    return etag in tags or (weakly and f"W/{etag}" in tags)
