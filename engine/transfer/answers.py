"""What a lane asks, and which answers it may write. Nearly pure: only a refusal's body is read.

Strict on purpose: a byte at a wrong offset is found by the digest at best, and by nobody at worst.
"""

from collections.abc import Callable

import msgspec

from engine.plain_text import conceal
from engine.remote_file import Identity
from engine.spans import Span
from engine.telemetry import redact
from engine.transfer.messages import Lease, Opened
from engine.transport.auth import origin_of
from engine.transport.bodies import status_failure
from engine.transport.ranges import fits, format_range, parse_content_range
from engine.transport.retry import EXPIRED_STATUS, Failure, WireError
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
        total = None if is_framed else _int(answer.headers.get("content-length"))
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
        linked_size=_int(first.get("x-linked-size")),
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


def _int(text: str | None) -> int | None:
    return int(text) if text and len(text) <= 19 and text.isascii() and text.isdigit() else None


def refuse_misfit(lease: Lease, answer: Answer, opened: Opened) -> None:
    """Raise WireError for an answer of which not a byte may be written. Pure but for reading an error's body."""
    shown = redact(answer.url)

    def misfit(kind: str, message: str) -> WireError:
        return WireError(
            msgspec.convert(
                {"kind": kind, "message": f"{shown} {message}", "url": shown, "status": answer.status},
                Failure,
            )
        )

    if answer.status not in (200, 206):
        if lease.is_probe and lease.span is not None and answer.status == 416:
            return  # an empty file, or one that must be asked for without a range: the coordinator decides
        known = None if lease.has_digest else lease.identity
        if answer.status == 416 and known and (reason := _has_another_size(known, opened.identity)):
            answer.close()
            raise misfit("changed", reason)  # what is asked for lies behind the end that the file has now
        raise _refused(lease, answer, misfit)
    if answer.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise misfit("encoding", "sent compressed content although none was asked for. Try without a proxy.")
    if answer.status == 206 and answer.headers.get("content-type", "").lower().startswith(
        "multipart/byteranges"
    ):
        raise misfit("range", "answered one range in parts with frames around them.")  # RFC 9110 §15.3.7.2
    stated = answer.headers.get("content-length")
    if stated is not None and _int(stated) is None and "transfer-encoding" not in answer.headers:
        # Read to the end of the connection, as http.client would, a cut body would pass for a whole one.
        raise misfit("protocol", f"sent a Content-Length that makes no sense: {stated[:40]!r}.")
    if lease.identity and (reason := differs(lease, opened.identity)):
        is_change = not lease.has_digest and not _may_be_another_thing(lease, opened)
        raise misfit("changed" if is_change else "range", reason)
    if answer.status == 206 and (reason := _shows_otherwise(lease, opened.identity)):
        raise misfit("changed", reason)
    if lease.span is None and answer.status == 206:
        raise misfit("range", "sent a part although the whole file was asked for.")
    if lease.span is None or (lease.is_probe and (answer.status == 200 or _total_is_unknown(answer))):
        return
    if answer.status == 200:
        raise misfit("range", "answered a range with the whole file.")
    content_range = parse_content_range(answer.headers.get("content-range"))
    length = _int(answer.headers.get("content-length"))
    got = opened.span
    if not fits(lease.span, content_range) or (length is not None and got is not None and length != len(got)):
        raise misfit(
            "range",
            f"answered {format_range(lease.span)} with Content-Range {answer.headers.get('content-range')!r}"
            f" and Content-Length {answer.headers.get('content-length')!r}.",
        )


def _total_is_unknown(answer: Answer) -> bool:
    content_range = parse_content_range(answer.headers.get("content-range"))
    return content_range is not None and content_range.total is None


def _refused(lease: Lease, answer: Answer, misfit: Callable[[str, str], WireError]) -> WireError:
    if answer.status == 412:
        answer.close()
        return misfit("changed", "has another version of the file now.")
    failure = status_failure(answer)
    led_elsewhere = bool(answer.hops) and origin_of(answer.url) != origin_of(lease.url)
    if answer.status in EXPIRED_STATUS and (lease.is_located or led_elsewhere):
        failure = msgspec.structs.replace(failure, kind="expired")
    elif answer.status == 416:
        failure = msgspec.structs.replace(failure, kind="range")
    return WireError(failure)


def _may_be_another_thing(lease: Lease, opened: Opened) -> bool:
    """Whether an answer to a range is whole and shows no version, though the file had one. A portal's login page looks
    so, and is no reason to throw away what is there."""
    known = lease.identity is not None and lease.identity.has_validator
    return known and lease.span is not None and opened.status == 200 and not opened.identity.has_validator


def _shows_otherwise(lease: Lease, got: Identity) -> str | None:
    """Why nothing says that a part belongs to what is there (RFC 9110 §15.3.7.3): it has none of the validators that
    the file is known by, or it has some and the file had none; another server, or another file, behind the address."""
    want = lease.identity
    if want is None or lease.has_digest:
        return None
    if not want.has_validator:
        is_first = lease.wants_facts or lease.is_probe  # until an answer, only a listing has spoken
        if is_first or not got.has_validator:
            return None
        return "shows a version of the file, and showed none before."
    if (want.etag and got.etag) or (want.last_modified and got.last_modified):
        return None
    return "does not show any more which version of the file it sends."


def _has_another_size(want: Identity, got: Identity) -> str | None:
    if want.size is not None and got.size is not None and want.size != got.size:
        return f"says that the file has {got.size} bytes; it had {want.size}."
    return None


def differs(lease: Lease, got: Identity) -> str | None:
    """In which way an answer is of another version than the lease expects (RFC 9110 §8.8); None if in none."""
    want = lease.identity
    if want is None:
        return None
    if (reason := _has_another_size(want, got)) or lease.has_digest:
        return reason
    if want.etag and got.etag and want.etag != got.etag:
        return f"has another version of the file now: its ETag was {want.etag[:80]} and is {got.etag[:80]}."
    if want.last_modified and got.last_modified and want.last_modified != got.last_modified:
        return "has another version of the file now: its Last-Modified is another one."
    return None
