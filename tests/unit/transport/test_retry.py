"""What failures mean and how long to wait: tables, with the random part and the clock given."""

import random
from datetime import UTC, datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.transport.retry import (
    EXPIRED_STATUS,
    MAX_WAIT_S,
    RETRYABLE_STATUS,
    Failure,
    Kind,
    backoff_s,
    parse_retry_after,
)
from tests.properties import steady

NOW = datetime(2024, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("attempt", "first_s", "full"),
    [
        (1, 1.0, 1.0),
        (2, 1.0, 2.0),
        (3, 1.0, 4.0),
        (6, 1.0, 32.0),
        (7, 1.0, 60.0),
        (5000, 1.0, 60.0),
        (1, 0.01, 0.01),
        (1, 600.0, 60.0),
        (4, 0.0, 0.0),
    ],
)
def test_backoff(attempt, first_s, full):
    """Doubled each time, at most 60 s; jitter takes away up to a quarter and never adds."""
    assert backoff_s(attempt, first_s, spread=0.0) == full
    assert backoff_s(attempt, first_s, spread=1.0) == full * 0.75


def test_backoff_spreads():
    """Clients that failed together do not come back together."""
    random.seed(1)
    waits = {backoff_s(3, 1.0) for _ in range(50)}
    assert len(waits) > 40
    assert all(3.0 <= wait <= 4.0 for wait in waits)


HEADERS = [
    ({}, None),
    ({"retry-after": "0"}, 0.0),
    ({"retry-after": "7"}, 7.0),
    ({"retry-after": " 7 "}, 7.0),
    ({"retry-after": "Mon, 01 Jan 2024 12:00:30 GMT"}, 30.0),
    ({"retry-after": "Monday, 01-Jan-24 12:00:30 GMT"}, 30.0),
    ({"retry-after": "Mon Jan  1 12:00:30 2024"}, 30.0),
    ({"retry-after": "Mon, 01 Jan 2024 12:00:30 -0000"}, 30.0),
    ({"retry-after": "Mon, 01 Jan 2024 13:00:30 +0100"}, 30.0),
    ({"retry-after": "Mon, 01 Jan 2024 11:00:00 GMT"}, 0.0),
    ({"retry-after": "Mon, 01 Jan 99999 00:00:00 GMT"}, None),
    ({"retry-after": "-5"}, None),
    ({"retry-after": "1.5"}, None),
    ({"retry-after": "٧"}, None),
    ({"retry-after": "soon"}, None),
    ({"retry-after": "nan"}, None),
    ({"retry-after": "inf"}, None),
    ({"ratelimit": '"resolvers";r=0;t=172'}, 173.0),
    ({"ratelimit": '"api"; r=0; t=5'}, 6.0),
    ({"ratelimit": '"resolvers";r=17;t=172'}, None),
    ({"ratelimit": '"resolvers";r=0'}, None),
    ({"ratelimit": '"resolvers";r=0;t=x'}, None),
    ({"ratelimit": "garbage;;;==;"}, None),
    ({"retry-after": "3", "ratelimit": '"resolvers";r=0;t=172'}, 3.0),
    ({"retry-after": "soon", "ratelimit": '"resolvers";r=0;t=2'}, 3.0),
]


@pytest.mark.parametrize(("headers", "wait"), HEADERS)
def test_retry_after(headers, wait):
    """Seconds, or a date of any of HTTP's three forms, or the reset of an exhausted RateLimit, or nothing sound."""
    assert parse_retry_after(headers, NOW) == wait


@pytest.mark.parametrize("text", ["86400", "9" * 30, "Fri, 31 Dec 9999 23:59:59 -1200"])
def test_absurd_waits_stay_absurd(text):
    """A server that asks for more than we grant is understood as such, however large the number."""
    wait = parse_retry_after({"retry-after": text}, NOW)
    assert wait is not None
    assert wait > MAX_WAIT_S


@given(st.text() | st.text(st.sampled_from("Mon, 01 Jan 2024:GMT+-"), max_size=40), st.text())
@steady(500)
def test_retry_after_takes_anything(text, limit):
    """Whatever a server sends, a wait that is not negative or None comes back."""
    wait = parse_retry_after({"retry-after": text, "ratelimit": limit})
    assert wait is None or 0 <= wait < float("inf")


@pytest.mark.parametrize(
    "status", [100, 204, 301, 400, 401, 403, 404, 405, 410, 416, 418, 451, 501, 505, 511]
)
def test_status_is_final(status):
    """Asking again does not help against these."""
    assert Failure(kind="status", message="", status=status).is_final


@pytest.mark.parametrize("status", sorted(RETRYABLE_STATUS))
def test_status_is_retried(status):
    """Asking again may help against these, and only the two that say so ask for less of us."""
    failure = Failure(kind="status", message="", status=status)
    assert not failure.is_final
    assert failure.is_pushback == (status in (429, 503))


def test_kinds_that_are_final():
    """Certificates, refused redirects, the disk and the caller's own mistakes do not mend by asking again."""
    final = {kind for kind in get_args(Kind) if Failure(kind=kind, message="", status=403).is_final}
    assert final == {"status", "tls", "redirect", "disk", "denied", "address"}


def test_an_expired_address_is_never_a_reason_to_wait_for_the_same_one():
    """What says that a signed address has expired is not among what is simply asked again."""
    assert not EXPIRED_STATUS & RETRYABLE_STATUS
