"""Byte ranges on the wire (RFC 9110 §14). The only place where ends are inclusive."""

import re

import msgspec

from engine.spans import Span

_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,19})-(\d{1,19})|\*)/(\d{1,19}|\*)", re.ASCII | re.IGNORECASE)


class ContentRange(msgspec.Struct, frozen=True):
    """What a Content-Range says: the span sent (None for "*") and the total (None for "*")."""

    span: Span | None
    total: int | None


def format_range(span: Span) -> str:
    """A Range header's value for a closed range. Span must not be empty."""
    return f"bytes={span.start}-{span.stop - 1}"


def parse_content_range(text: str | None) -> ContentRange | None:
    """Strictly by RFC 9110 §14.4; None for anything malformed, absent, or contradicting itself."""
    match = _CONTENT_RANGE.fullmatch((text or "").strip())
    if not match:
        return None
    first, last, total_text = match.groups()
    total = None if total_text == "*" else int(total_text)
    if first is None:
        return ContentRange(None, total) if total is not None else None
    span = Span(int(first), int(last) + 1)
    if not span or (total is not None and span.stop > total):
        return None
    return ContentRange(span, total)


def fits(asked: Span, got: ContentRange | None) -> bool:
    """Whether a 206 answers exactly the span asked for, or that span clipped at the total."""
    if got is None or got.span is None or got.span.start != asked.start:
        return False
    return got.span.stop == (asked.stop if got.total is None else min(asked.stop, got.total))
