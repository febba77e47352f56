"""Events in human words."""

from typing import Any, get_args

import msgspec
import pytest

from engine.console.words import how_verified, in_words, progress_line
from engine.transfer.events import Event, Notice, Plan, Retry, Waiting
from engine.transport.retry import Kind
from tests.unit.console.made import file_done, progress

NAMES: dict[str, Any] = {"file": "m.gguf", "path": "/m.gguf"}
RETRY = Retry(
    **NAMES,
    url="https://example.org/m.gguf",
    cause="https://example.org/m.gguf broke the connection: reset by peer.",
    kind="reset",
    offset=1_000_000,
    lane=3,
    start=524_288,
    stop=1_048_576,
    wait_s=2.0,
    attempt=1,
    attempts=3,
)
PLAN = Plan(**NAMES, url="https://example.org/m.gguf", size=2_000_000_000, held_bytes=0, ranges=True)

SHORT: list[tuple[Event, str | None]] = [
    (RETRY, "m.gguf: the connection broke, again in 2.0 s (attempt 1 of 3)"),
    (
        Retry(**NAMES, url="", cause="x", kind="status", status=503),
        "m.gguf: the server answered 503, trying again",
    ),
    (Notice(**NAMES, message="Starting again."), "m.gguf: Starting again."),
    (Waiting(**NAMES, holder="process 7 on h"), "m.gguf: waiting for process 7 on h, which is fetching it."),
    (PLAN, None),
    (
        Plan(**NAMES, url="", size=10_000, held_bytes=4000, ranges=True),
        "m.gguf: 10.0 kB, of which 4.0 kB are here from an earlier run",
    ),
    (file_done(), None),
    (progress(), None),
]
LONG: list[tuple[Event, str]] = [
    (
        RETRY,
        "m.gguf: https://example.org/m.gguf broke the connection: reset by peer "
        "(connection 3, bytes 524,288 to 1,048,576, at byte 1,000,000); "
        "again in 2.0 s (attempt 1 of 3)",
    ),
    (PLAN, "m.gguf: 2.0 GB from https://example.org/m.gguf"),
    (file_done(retries=2), "m.gguf: 2.1 GB fetched in 3.0 s, 2 retries, verified against its digest"),
    (file_done(already_there=True), "m.gguf: already there, 2.1 GB"),
]


@pytest.mark.parametrize(("event", "text"), SHORT)
def test_short_words(event: Event, text: str | None) -> None:
    """Without --verbose: only what a person should know, in one short line."""
    assert in_words(event) == text


@pytest.mark.parametrize(("event", "text"), LONG)
def test_verbose_words(event: Event, text: str) -> None:
    """With --verbose: the cause in full, with the address."""
    assert in_words(event, verbose=True) == text


def test_verification_is_not_boasted_of() -> None:
    """Compared, computed without anything to compare with, and not hashed are three different things."""
    assert how_verified(True, "ab", "h publishes") == "verified against the digest that h publishes"
    assert how_verified("computed", "ab", None) == "SHA-256 computed, nothing to compare it with: ab"
    assert how_verified("transport", None, None) == "not hashed"


PROGRESS = [
    (progress(), "m.gguf: 500.0 MB of 2.0 GB (25 %), 310 MB/s, 5s left, 8 connections"),
    (progress(size=None, eta_s=None, lanes=1), "m.gguf: 500.0 MB, 310 MB/s, 1 connection"),
    (progress(phase="verifying"), "m.gguf: verifying, 400.0 MB of 2.0 GB (20 %)"),
    (progress(phase="connecting"), "m.gguf: connecting"),
]


@pytest.mark.parametrize(("event", "text"), PROGRESS)
def test_progress_line(event: Any, text: str) -> None:
    """Verifying is a phase of its own, told by how far the hash has come."""
    assert progress_line(event) == text


@pytest.mark.parametrize("kind", sorted({*get_args(Kind)} - {"status"}))
def test_every_kind_has_words(kind):
    """A plain line names no kind that only the documents explain."""
    told = in_words(msgspec.structs.replace(RETRY, kind=kind))
    assert f": {kind}," not in told
