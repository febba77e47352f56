"""Which answers a lane may write. Nearly pure: only a refusal's body is read.

Strict on purpose: a byte at a wrong offset is found by the digest at best, and by nobody at worst.
"""

from urllib.parse import urlsplit

import msgspec

from engine.plain_text import conceal
from engine.remote_file import Identity
from engine.telemetry import redact
from engine.transfer.answers import int_of, request_headers
from engine.transfer.messages import Lease, Opened
from engine.transport.auth import origin_of
from engine.transport.bodies import status_failure
from engine.transport.ranges import fits, format_range, parse_content_range
from engine.transport.retry import EXPIRED_STATUS, Failure, Kind, WireError
from engine.transport.wire import Answer

_PAGE = "sent a web page in place of the file. Is there a login in between?"
Misfit = tuple[Kind, str]
"""Kind of failure, and what the server did, to be read after its address."""


def refuse_misfit(lease: Lease, answer: Answer, opened: Opened) -> None:
    """Raise WireError for an answer of which not a byte may be written."""
    if answer.status not in (200, 206):
        if lease.is_probe and lease.span is not None and answer.status == 416:
            return  # an empty file, or one that must be asked for without a range: the coordinator decides
        raise _refused(lease, answer, opened)
    for misfit in (
        _misframed(answer),
        _page_in_place(lease, answer),
        _of_another_version(lease, answer, opened),
        _misplaced(lease, answer, opened),  # before what it does not show, which may be all that a proxy says
        _of_an_unknown_version(lease, opened),
    ):
        if misfit is not None:
            raise _error(answer, *misfit)


def _error(answer: Answer, kind: Kind, did: str) -> WireError:
    shown = redact(answer.url)
    return WireError(Failure(kind=kind, message=conceal(f"{shown} {did}"), url=shown, status=answer.status))


def _refused(lease: Lease, answer: Answer, opened: Opened) -> WireError:
    known = None if lease.has_digest else lease.identity
    if answer.status == 416 and known and (reason := _has_another_size(known, opened.identity)):
        answer.close()
        # What is asked for lies behind the end that the file has now.
        return _error(answer, "changed", reason)
    if answer.status == 412:
        answer.close()
        if "If-Match" in request_headers(lease):
            return _error(answer, "changed", "has another version of the file now.")
        return _error(answer, "range", "answered 412, although no condition was set.")
    failure = status_failure(answer)
    led_elsewhere = bool(answer.hops) and origin_of(answer.url) != origin_of(lease.url)
    if answer.status in EXPIRED_STATUS and (lease.is_located or led_elsewhere):
        failure = msgspec.structs.replace(failure, kind="expired")
    elif answer.status == 416:
        failure = msgspec.structs.replace(failure, kind="range")
    return WireError(failure)


def _misframed(answer: Answer) -> Misfit | None:
    """What comes would not be the file's bytes as they are, or nobody could tell where they end."""
    headers = answer.headers
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        return "encoding", "sent compressed content although none was asked for. Try without a proxy."
    if answer.status == 206 and headers.get("content-type", "").lower().startswith("multipart/byteranges"):
        return "range", "answered one range in parts with frames around them."  # RFC 9110 §15.3.7.2
    told = parse_content_range(headers.get("content-range"))
    if answer.status == 200 and told and told.span and told.total != len(told.span):
        return "range", "sent a part of the file, by its Content-Range, and calls it the whole."
    stated = headers.get("content-length")
    if stated is not None and int_of(stated) is None and "transfer-encoding" not in headers:
        # Read to the end of the connection, as http.client would, a cut body would pass for a whole one.
        return "protocol", f"sent a Content-Length that makes no sense: {stated[:40]!r}."
    return None


def _page_in_place(lease: Lease, answer: Answer) -> Misfit | None:
    """Nothing else would tell that it is not the file, for the first answer says what the file is."""
    if lease.is_never_a_page and _is_html(answer):
        return "page", f"{_PAGE} If it is the file, say so with --sha256, or take it with --force."
    return None


def _of_another_version(lease: Lease, answer: Answer, opened: Opened) -> Misfit | None:
    if lease.identity and (reason := _differs(lease, opened.identity)):
        if _is_page(lease, answer):
            return "page", _PAGE
        is_change = not lease.has_digest and not _may_be_another_thing(lease, opened)
        return "changed" if is_change else "range", reason
    return None


def _of_an_unknown_version(lease: Lease, opened: Opened) -> Misfit | None:
    if opened.status == 206 and (reason := _shows_otherwise(lease, opened.identity)):
        return "changed", reason
    return None


def _misplaced(lease: Lease, answer: Answer, opened: Opened) -> Misfit | None:
    """They are other bytes of the file than those that were asked for."""
    if lease.span is None and answer.status == 206:
        return "range", "sent a part although the whole file was asked for."
    if lease.span is None or (lease.is_probe and (answer.status == 200 or _total_is_unknown(answer))):
        return None
    if answer.status == 200:
        return "range", "answered a range with the whole file. Where that stays so, --force takes it."
    stated, length = answer.headers.get("content-range"), answer.headers.get("content-length")
    nbytes, got = int_of(length), opened.span
    if fits(lease.span, parse_content_range(stated)) and (
        nbytes is None or got is None or nbytes == len(got)
    ):
        return None
    place = f"Content-Range {stated[:80]!r}" if stated else "no Content-Range"
    size = f" and Content-Length {length[:80]!r}" if length else ""
    return "range", f"answered {format_range(lease.span)} with {place}{size}."


def _total_is_unknown(answer: Answer) -> bool:
    content_range = parse_content_range(answer.headers.get("content-range"))
    return content_range is not None and content_range.total is None


def _is_page(lease: Lease, answer: Answer) -> bool:
    """Whether it is for people to read, where the address is not. A portal's login looks so, with a version of its own
    even, and is no reason to throw away what is there."""
    return _is_html(answer) and not urlsplit(lease.url).path.lower().endswith((".html", ".htm", "/"))


def _is_html(answer: Answer) -> bool:
    return answer.headers.get("content-type", "").lower().startswith(("text/html", "application/xhtml"))


def _may_be_another_thing(lease: Lease, opened: Opened) -> bool:
    """Whether an answer to a range is whole and shows no version, though the file had one. Portals send such, too."""
    known = lease.identity is not None and lease.identity.has_validator
    return known and lease.span is not None and opened.status == 200 and not opened.identity.has_validator


def _differs(lease: Lease, got: Identity) -> str | None:
    """In which way an answer is of another version than the lease expects (RFC 9110 §8.8); None if in none."""
    want = lease.identity
    if want is None:
        return None
    is_promise = _is_first(lease) and not want.has_validator
    if (reason := _has_another_size(want, got, is_promise=is_promise)) or lease.has_digest:
        return reason
    if want.etag and got.etag and want.etag != got.etag:
        return f"has another version of the file now: its ETag was {want.etag[:80]} and is {got.etag[:80]}."
    if want.last_modified and got.last_modified and want.last_modified != got.last_modified:
        return "has another version of the file now: its Last-Modified is another one."
    return None


def _has_another_size(want: Identity, got: Identity, *, is_promise: bool = False) -> str | None:
    """is_promise: what is wanted may be but a listing's word."""
    if want.size is None or got.size is None or want.size == got.size:
        return None
    if is_promise:
        return (
            f"says that the file has {got.size} bytes; its listing or an earlier answer said {want.size}. Ask whoever "
            "runs the server which is true."
        )
    return f"says that the file has {got.size} bytes; it had {want.size}."


def _is_first(lease: Lease) -> bool:
    """Whether it finds the way: until an answer, only a listing has spoken, or an earlier run."""
    return lease.wants_facts or lease.is_probe


def _shows_otherwise(lease: Lease, got: Identity) -> str | None:
    """Why nothing says that a part belongs to what is there (RFC 9110 §15.3.7.3): it has none of the validators that
    the file is known by, or it has some and the file had none; another server, or another file, behind the address."""
    want = lease.identity
    if want is None or lease.has_digest:
        return None
    if not want.has_validator:
        if _is_first(lease) or not got.has_validator:
            return None
        return "shows a version of the file, and showed none before."
    if (want.etag and got.etag) or (want.last_modified and got.last_modified):
        return None
    return "does not show any more which version of the file it sends."
