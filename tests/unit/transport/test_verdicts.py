"""What becomes of a failure: a wait, or the error that the caller sees."""

from typing import get_args

import pytest

from engine.errors import AccessDenied, NetworkError, NotFound, PathError, ProtocolViolation, RedirectRefused
from engine.transport.retry import Failure, Kind
from engine.transport.verdicts import error_of, wait_s


def failure(kind: str = "reset", status: int | None = None, retry_after: float | None = None) -> Failure:
    return Failure(
        kind=kind, message="It broke.", status=status, retry_after_s=retry_after, url="https://h/x"
    )


@pytest.mark.parametrize(("asked", "wait"), [(0.0, 0.0), (7.5, 7.5), (60.0, 60.0)])
def test_wait_is_what_the_server_asks(asked, wait):
    """Up to 60 s, exactly; zero means at once."""
    assert wait_s(failure("status", 503, asked), 5, 1.0) == wait


@pytest.mark.parametrize("asked", [60.1, 3600.0, 1e11])
def test_a_longer_wait_ends_the_pull(asked):
    """A server that asks for more is told about, with what it asked, and is not asked again."""
    with pytest.raises(NetworkError, match=f"{asked:.0f} s") as caught:
        wait_s(failure("status", 429, asked), 1, 1.0)
    assert (caught.value.status, caught.value.url) == (429, "https://h/x")


def test_wait_is_backoff_otherwise():
    """Doubled each time; an attempt that does not count waits like the first."""
    for attempt, full in [(0, 1.0), (1, 1.0), (2, 2.0), (3, 4.0)]:
        assert 0.75 * full <= wait_s(failure(), attempt, 1.0) <= full


KINDS = {
    "denied": AccessDenied,
    "redirect": RedirectRefused,
    "range": ProtocolViolation,
    "page": ProtocolViolation,
    "protocol": ProtocolViolation,
    "encoding": ProtocolViolation,
    "address": PathError,
}


@pytest.mark.parametrize("kind", get_args(Kind))
def test_error_of_kind(kind):
    """Each kind of failure becomes one class of error, which says what happened."""
    error = error_of(failure(kind, 503 if kind in ("status", "expired") else None))
    assert type(error) is KINDS.get(kind, NetworkError)
    assert "It broke." in str(error)


@pytest.mark.parametrize(
    ("status", "kind"), [(404, NotFound), (401, AccessDenied), (403, AccessDenied), (400, NetworkError)]
)
@pytest.mark.parametrize("how", ["status", "expired"])
def test_final_status_is_a_typed_refusal(status, kind, how):
    """What asking again does not change is told as what it is, also where the address was a signed one."""
    assert type(error_of(failure(how, status), attempts=4)) is kind


def test_attempts_are_told():
    """After several attempts the error says how many, and that the same command resumes."""
    assert "4 attempts" in str(error_of(failure(), attempts=4, keeps=True))
    assert "resumes" in str(error_of(failure(), attempts=4, keeps=True))
    assert "attempts" not in str(error_of(failure()))


@pytest.mark.parametrize("keeps", [True, False])
def test_what_is_kept_is_claimed_only_where_it_is(keeps):
    """Where nothing was received, or a stream starts at zero, nothing is said to be kept."""
    assert (
        "is kept, and the same command resumes" in str(error_of(failure(), attempts=4, keeps=keeps))
    ) == keeps
    with pytest.raises(NetworkError) as caught:
        wait_s(failure("status", 429, 99.0), 1, 1.0, keeps=keeps)
    assert ("is kept" in str(caught.value)) == keeps


@pytest.mark.parametrize("status", [401, 403, 410])
def test_an_address_that_was_open_before_has_expired(status):
    """Where a part of the file is kept, a refusal is told as what it is; where nothing has come, it may be anything."""
    text = str(error_of(failure("status", status), keeps=True))
    assert "has expired" in text
    assert "is kept" in text
    assert "is kept" not in str(error_of(failure("status", status)))


@pytest.mark.parametrize(
    "url", ["https://huggingface.co/ns/repo/resolve/main/x", "https://h/v2/ns/m/blobs/sha256:0"]
)
def test_a_model_that_was_open_before_asks_for_a_token(url):
    """Addresses of hubs and registries are nobody's links: what lapses there is a token."""
    refused = Failure(kind="status", message="It broke.", status=403, url=url)
    assert "link" not in str(error_of(refused, keeps=True))
