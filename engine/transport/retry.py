"""What a failure means and how long to wait. Pure: no sockets, no clock of its own.

A lane reports a `Failure`; the coordinator asks here what to do with it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

import msgspec

from engine.transport.rate_limit import exhausted_s

Kind = Literal[
    "connect",    # refused, unreachable, timed out, no address
    "tls",        # certificate or handshake
    "reset",      # connection reset
    "cut",        # body ended before its length
    "stalled",    # no byte for the stall timeout
    "slow",       # far behind the other lanes
    "status",     # a status that is no answer to a range
    "expired",    # a signed address that no longer holds
    "range",      # an answer that does not fit what was asked
    "page",       # a web page in place of the file
    "changed",    # another version of the file
    "encoding",   # a content coding though identity was asked
    "redirect",   # refused redirect
    "protocol",   # not HTTP
    "frames",     # a body whose frames do not fit together: what came of it may not be the content
    "worker",     # a worker process died
    "disk",       # the disk refused
    "denied",     # no token is given, and the message says why
    "address",    # the caller's own mistake: a URL that cannot be asked
]  # fmt: skip

RETRYABLE_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
"""RFC 9110 §15, RFC 6585, RFC 8470, and the ones that edges in front of origins add (curl's list and Cloudflare's)."""

PUSHBACK_STATUS = frozenset({429, 503})
EXPIRED_STATUS = frozenset({400, 401, 403, 404, 410})
"""What stores answer to a signed address that no longer holds: S3 and CloudFront 403 or 400, others the rest."""

MAX_WAIT_S = 60.0


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a lease did not end well, in words and in facts."""

    kind: Kind
    message: str
    status: int | None = None
    retry_after_s: float | None = None
    headers: dict[str, str] = {}
    """Of the refusing answer; only those that explain a refusal."""
    body: bytes = b""
    url: str = ""
    """Redacted."""
    errno: int | None = None
    is_despite_credentials: bool = False
    """The user's credentials went along with what was refused."""

    @property
    def is_pushback(self) -> bool:
        """The server asks for less of us."""
        return self.status in PUSHBACK_STATUS

    @property
    def is_final(self) -> bool:
        """Trying again cannot help."""
        if self.kind == "status":
            return self.status not in RETRYABLE_STATUS
        return self.kind in ("tls", "redirect", "disk", "denied", "address")


class WireError(Exception):
    """A failure, as a value. Never leaves transport and transfer."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


EXPLAINING = frozenset(
    {"x-error-code", "x-error-message", "x-request-id", "www-authenticate", "content-type", "content-range"}
)


def backoff_s(attempt: int, first_s: float, spread: float | None = None) -> float:
    """Wait before attempt 1, 2, 3 …: first_s doubled each time, at most 60 s, less up to a quarter of jitter."""
    full = min(first_s * float(2 ** min(attempt - 1, 16)), MAX_WAIT_S)
    import random  # 5 ms that a pull without a failure saves

    jitter = random.random() if spread is None else spread  # noqa: S311 - spreads load, guards nothing
    return full * (1 - jitter / 4)


def parse_retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that a server asks us to wait; None when it says nothing sound.

    Retry-After as seconds or date (RFC 9110 §10.2.3), else the reset time of an exhausted RateLimit
    (rate_limit.py)."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    if text and (wait := _seconds_until(text, now)) is not None:
        return wait
    return exhausted_s(headers)


def _seconds_until(date: str, now: datetime | None) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
