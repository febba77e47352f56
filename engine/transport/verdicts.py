"""What becomes of a failure: a wait before the next attempt, or the error that the caller sees. Pure."""

from engine.errors import (
    AccessDenied,
    EngineError,
    NetworkError,
    PathError,
    ProtocolViolation,
    RedirectRefused,
)
from engine.transport.refusals import KEPT, refusal
from engine.transport.retry import MAX_WAIT_S, RETRYABLE_STATUS, Failure, backoff_s


def wait_s(failure: Failure, attempt: int, first_s: float, *, keeps: bool = False) -> float:
    """How long to wait before this attempt. keeps: something was received that the next run need not fetch.

    Raises NetworkError where the server asks for more than we grant."""
    asked = failure.retry_after_s
    if asked is not None and asked > MAX_WAIT_S:
        raise NetworkError(
            f"{failure.message} It asks to wait {asked:.0f} s, which is more than the {MAX_WAIT_S:.0f} s that are "
            f"granted. Try again later{_kept(keeps)}.",
            url=failure.url,
            status=failure.status,
        )
    return asked if asked is not None else backoff_s(max(attempt, 1), first_s)


def error_of(failure: Failure, *, attempts: int = 1, keeps: bool = False) -> EngineError:
    """The error that a failure becomes when nothing more is tried, after so many attempts without progress. keeps: as
    above, so the address was open before."""
    if failure.kind in ("status", "expired") and failure.status not in RETRYABLE_STATUS:
        has_lapsed = keeps and failure.kind == "status"
        return refusal(
            failure.url,
            failure.status or 0,
            failure.headers,
            failure.body,
            has_lapsed=has_lapsed,
            keeps=keeps,
            is_despite_credentials=failure.is_despite_credentials,
        )
    if failure.kind == "address":
        return PathError(failure.message)
    if failure.kind == "denied":
        return AccessDenied(failure.message + (f" {KEPT}" if keeps else ""))
    message = failure.message
    if attempts > 1:
        message += f" Given up after {attempts} attempts without progress{_kept(keeps)}."
    if failure.kind == "status" and not keeps:
        message += " Try again later."
    error = _KINDS.get(failure.kind, NetworkError)(message, url=failure.url, status=failure.status)
    error.kind = failure.kind
    return error


def _kept(keeps: bool) -> str:
    return "; what was received is kept, and the same command resumes" if keeps else ""


_KINDS: dict[str, type[NetworkError]] = {
    "redirect": RedirectRefused,
    "range": ProtocolViolation,
    "page": ProtocolViolation,
    "protocol": ProtocolViolation,
    "encoding": ProtocolViolation,
}
