"""What a lane asks, and what the headers of an answer say. Pure."""

from engine.plain_text import conceal
from engine.remote_file import Identity
from engine.spans import Span
from engine.transfer.messages import Lease, Opened
from engine.transport.ranges import format_range, parse_content_range
from engine.transport.wire import Answer


def request_headers(lease: Lease) -> dict[str, str]:
    """The closed range, and the version that it must be of (RFC 9110 §13.1.1, §14.2)."""
    headers = {"Range": format_range(lease.span)} if lease.span else {}
    if lease.identity and not lease.has_digest and lease.identity.strong_etag:
        headers["If-Match"] = lease.identity.strong_etag
    if lease.accept:
        headers["Accept"] = lease.accept
    return headers


def facts_of(lease: Lease, answer: Answer) -> Opened:
    """What the headers of an answer say."""
    first = answer.hops[0].headers if answer.hops else answer.headers
    content_range = parse_content_range(answer.headers.get("content-range"))
    if answer.status == 206 or answer.status == 416:
        total = content_range.total if content_range else None
    else:
        # RFC 9112 §6.3: where the body is framed otherwise, a Content-Length says nothing.
        is_framed = "transfer-encoding" in answer.headers
        total = None if is_framed else int_of(answer.headers.get("content-length"))
    return Opened(
        lease.lane,
        lease.lease,
        lease.file,
        url=answer.url,
        is_redirected=bool(answer.hops),
        status=answer.status,
        span=content_range.span if content_range else None,
        identity=Identity(
            size=total, etag=_harmless(answer, "etag"), last_modified=_harmless(answer, "last-modified")
        ),
        linked_etag=first.get("x-linked-etag") or (None if answer.hops else first.get("etag")),
        linked_size=int_of(first.get("x-linked-size")),
        commit=first.get("x-repo-commit"),
        must_be_public=answer.must_be_public,
    )


def _harmless(answer: Answer, name: str) -> str | None:
    """A validator, unless the server has put a credential into it: journals and receipts keep validators."""
    value = answer.headers.get(name)
    return value if value is None or conceal(value) == value else None


def is_whole(opened: Opened, up_to: int) -> bool:
    """Whether an answer that fits holds all of a file of at most up_to bytes."""
    size = opened.identity.size
    if size is None or size > up_to:
        return False
    return opened.status == 200 or (opened.status == 206 and opened.span == Span(0, size))


def int_of(text: str | None) -> int | None:
    """A length as RFC 9110 §8.6 writes it; None for all else."""
    return int(text) if text and len(text) <= 19 and text.isascii() and text.isdigit() else None
