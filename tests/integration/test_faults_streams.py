"""Servers without ranges, without a length, with HTTP/1.0: one stream, and the user is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Certificates
from tests.command import Command
from tests.hub import Hub
from tests.integration.trial import MIB, Trial

SIZE = 3 * MIB + 7
STREAMS: list[dict[str, Any]] = [
    {"ranges": False},
    {"ranges": False, "framing": "chunked"},
    {"ranges": False, "framing": "close"},
]
IDS = ["length", "chunked", "http10"]


@pytest.mark.parametrize("manners", STREAMS, ids=IDS)
@pytest.mark.row("body/no-ranges", "body/chunked", "body/http10")
def test_a_server_without_ranges_is_one_stream(
    try_file: Callable[..., Trial], manners: dict[str, Any]
) -> None:
    """One request, one connection, said so; hashed all the same."""
    trial = try_file(SIZE, **manners)
    result = trial.pull("--json")
    assert len(trial.origin.requests) == trial.origin.connections == 1
    assert "one stream" in result.stderr
    assert [event["ranges"] for event in result.events_named("plan")] == [False]
    (done,) = result.events_named("file")
    assert done["sha256"] == trial.content.sha256()
    assert done["size"] == SIZE
    trial.assert_exact()


@pytest.mark.parametrize("manners", [{"framing": "chunked"}, {"framing": "close"}], ids=IDS[1:])
@pytest.mark.row("body/chunked")
def test_ranges_without_a_length_are_still_ranges(
    try_file: Callable[..., Trial], manners: dict[str, Any]
) -> None:
    """Content-Range says enough: chunked 206 and HTTP/1.0 ranges come over many lanes."""
    trial = try_file(SIZE, **manners)
    trial.pull()
    assert len(trial.origin.requests) > 2
    assert trial.origin.bytes_sent() == SIZE
    trial.assert_exact()


@pytest.mark.parametrize("fault", ["cut", "reset"])
@pytest.mark.parametrize("manners", STREAMS, ids=IDS)
@pytest.mark.row("body/stream-cut", "body/chunked-cut", "body/http10-cut", "sequence/partial-then-whole")
def test_a_stream_that_breaks_starts_again(
    try_file: Callable[..., Trial], manners: dict[str, Any], fault: str
) -> None:
    """Said so, and never spliced. A cut of HTTP/1.0 is told from an end by the digest alone."""
    trial = try_file(SIZE, **manners)
    trial.origin.fault(fault, after_bytes=MIB, times=1)
    result = trial.pull("--sha256", trial.content.sha256())
    assert trial.origin.fired(fault) == 1
    assert "again" in result.stderr
    assert len(trial.origin.requests) == 2
    trial.assert_exact()


@pytest.mark.parametrize("manners", STREAMS[:2], ids=IDS[:2])
@pytest.mark.row("body/stream-cut", "body/chunked-cut")
def test_a_stream_that_always_breaks_makes_no_file(
    try_file: Callable[..., Trial], manners: dict[str, Any]
) -> None:
    """A length or a last chunk that never comes is an error even without a digest."""
    trial = try_file(SIZE, **manners)
    trial.origin.fault("cut", after_bytes=MIB)
    result = trial.pull("--retries", 1, code=5)
    trial.assert_failed(result, "early|broke|cut")
    assert trial.origin.fired("cut") == 2
    assert "kept" not in result.stderr


@pytest.mark.parametrize("coding", ["gzip, chunked", "chunked, chunked", "xchunked"])
@pytest.mark.row("body/transfer-coding")
def test_another_transfer_coding_makes_no_file(try_file: Callable[..., Trial], coding: str) -> None:
    """The frames of chunks would be in the file, and nobody would notice where no digest is known."""
    trial = try_file(SIZE, ranges=False, framing="chunked")
    trial.origin.fault("header", name="Transfer-Encoding", value=coding)
    trial.assert_failed(trial.pull("--retries", 0, code=5), "Transfer-Encoding", coding)
    assert trial.origin.fired("header") == 1


@pytest.mark.parametrize("times", [1, None], ids=["once", "always"])
@pytest.mark.parametrize("manners", [{"framing": "chunked"}, {"framing": "close"}], ids=IDS[1:])
@pytest.mark.row("body/goes-on")
def test_a_body_that_goes_on_is_not_believed(
    try_file: Callable[..., Trial], manners: dict[str, Any], times: int | None
) -> None:
    """It promised a range and sends more: nobody can say which of it is the file's."""
    trial = try_file(SIZE, **manners)
    trial.origin.fault("extra_bytes", data=bytes(5000), times=times)
    result = trial.pull("--retries", 1, code=0 if times else 5)
    assert trial.origin.fired("extra_bytes") >= 1
    if times:
        trial.assert_exact()
    else:
        trial.assert_failed(result, "sent more than it had promised|does not fit together")


@pytest.mark.parametrize("times", [1, None], ids=["once", "always"])
@pytest.mark.parametrize("coding", [None, "identity"])
@pytest.mark.row("body/frames-unsaid")
def test_frames_that_nobody_told_of_are_not_content(
    try_file: Callable[..., Trial], coding: str | None, times: int | None
) -> None:
    """Chunks, but a head that does not say so: ranges that hold frames would have the right length."""
    trial = try_file(SIZE, framing="chunked")
    trial.origin.fault("header", name="Transfer-Encoding", value=coding, times=times)
    trial.pull("--retries", 1, "--stall-timeout", 2, code=0 if times else 5)
    assert trial.origin.fired("header") >= 1
    if times:
        trial.assert_exact()
    else:
        assert not trial.target.exists()


@pytest.mark.row("body/trailer-endless")
def test_a_trailer_that_drips_is_given_up(try_file: Callable[..., Trial]) -> None:
    """Its bytes are no sign of life."""
    trial = try_file(SIZE, ranges=False, framing="chunked")
    trial.origin.fault("endless_trailer")
    result = trial.pull("--retries", 0, "--stall-timeout", 1, code=5)
    trial.assert_failed(result, "trailer")
    assert trial.origin.fired("endless_trailer") == 1
    assert result.seconds < 20


@pytest.mark.row("body/stream-hang")
def test_a_stream_that_stalls_is_replaced(try_file: Callable[..., Trial], tls: Certificates) -> None:
    """Over TLS too; it starts again because it must."""
    trial = try_file(SIZE, tls=tls, ranges=False)
    trial.origin.fault("stall", after_bytes=MIB, times=1)
    result = trial.pull("--stall-timeout", 1)
    assert trial.origin.fired("stall") == 1
    assert result.seconds < 6
    trial.assert_exact()


@pytest.mark.row("body/content-length-enormous")
def test_a_stream_of_known_size_needs_room_before_it_starts(try_file: Callable[..., Trial]) -> None:
    """Content-Length that no disk has room for ends the pull before a byte is written."""
    trial = try_file(SIZE, ranges=False)
    trial.origin.fault("header", name="Content-Length", value=str(10**17))
    trial.assert_failed(trial.pull(code=7), "bytes are needed")
    assert trial.origin.fired("header") == 1


@pytest.mark.parametrize("by", [1, -1])
@pytest.mark.row(
    "body/content-length-too-large", "body/content-length-too-small", "attack/25-bytes-beyond-the-end"
)
def test_a_length_that_is_wrong_is_found(try_file: Callable[..., Trial], by: int) -> None:
    """A byte too few is a cut; a byte too many is not written, and the digest tells."""
    trial = try_file(SIZE, ranges=False)
    trial.origin.fault("wrong_content_length", by=by)
    code = 5 if by > 0 else 6
    result = trial.pull("--retries", 0, "--sha256", trial.content.sha256(), code=code)
    assert trial.origin.fired("wrong_content_length") >= 1
    trial.assert_failed(result)


@pytest.mark.row("process/kill-stream")
def test_a_stream_that_was_killed_starts_again(try_file: Callable[..., Trial]) -> None:
    """Nothing can be resumed without ranges; the next run is exact all the same."""
    trial = try_file(SIZE, ranges=False)
    trial.origin.fault("stall", after_bytes=MIB, times=1)
    running = trial.spawn()
    trial.origin.wait_fired("stall")
    running.kill()
    running.wait()
    assert not trial.target.exists()
    trial.pull()
    trial.assert_exact()


def test_a_large_stream_is_one_stream_too(try_file: Callable[..., Trial]) -> None:
    """Worker processes cannot share it, however large it is: one request, on one lane."""
    trial = try_file(80 * MIB, ranges=False)
    trial.pull("--segment-size", "8MiB", "-p", 2)
    assert len(trial.origin.requests) == trial.origin.connections == 1
    trial.assert_exact()


@pytest.mark.row("body/http10-reset")
def test_a_reset_is_never_taken_for_the_end(try_file: Callable[..., Trial]) -> None:
    """Where the end of the connection ends the body, only an orderly one does, digest or not."""
    trial = try_file(SIZE, ranges=False, framing="close")
    trial.origin.fault("reset", after_bytes=MIB, times=1)
    result = trial.pull()
    assert trial.origin.fired("reset") == 1
    assert "Starting again" in result.stderr
    trial.assert_exact()


@pytest.mark.row("body/http10-cut-below-tls")
def test_an_end_that_tls_does_not_confirm_is_never_taken_for_the_end(
    try_file: Callable[..., Trial], tls: Certificates
) -> None:
    """Anybody on the way can end a connection, but not say so within TLS (RFC 9112 §9.8)."""
    trial = try_file(SIZE, tls=tls, ranges=False, framing="close")
    cut = trial.origin.fault("cut", after_bytes=MIB, times=2)
    result = trial.pull("--retries", 1, code=5)
    assert trial.origin.fired("cut") == 2
    trial.assert_failed(result, "may have been cut short")
    assert cut.fired == 2
    trial.pull()
    trial.assert_exact()


# Informational responses


@pytest.mark.parametrize("code", [100, 102, 103, 199])
@pytest.mark.parametrize("manners", [{}, *STREAMS], ids=["ranges", *IDS])
@pytest.mark.row("body/informational")
def test_informational_responses_are_passed_over(
    try_file: Callable[..., Trial], manners: dict[str, Any], code: int
) -> None:
    """RFC 9110 §15.2: before every answer, ranges and whole bodies, on connections that are kept."""
    trial = try_file(SIZE, **manners)
    trial.origin.fault("informational", code=code, count=2)
    trial.pull("-p", 1)
    assert trial.origin.fired("informational") == len(trial.origin.requests)
    assert trial.origin.connections <= 2 or manners
    trial.assert_exact()


@pytest.mark.row("body/informational")
def test_informational_responses_over_tls(try_file: Callable[..., Trial], tls: Certificates) -> None:
    """Early Hints come from servers that speak TLS."""
    trial = try_file(SIZE, tls=tls)
    trial.origin.fault("informational")
    trial.pull()
    assert trial.origin.fired("informational") == len(trial.origin.requests)
    trial.assert_exact()


def test_informational_responses_before_a_listing(
    command: Command, origin_factory: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And before a redirect, and behind it."""
    hub = Hub(origin_factory(), origin_factory())
    hub.add("ns/m", {"m-Q4_K_M.gguf": b"m" * 50})
    hub.site.fault("informational")
    hub.content.fault("informational")
    monkeypatch.setenv("HF_ENDPOINT", hub.site.base)
    command.run("pull", "hf.co/ns/m", "-d", tmp_path / "out").check(0)
    assert (tmp_path / "out/m-Q4_K_M.gguf").read_bytes() == b"m" * 50


@pytest.mark.parametrize(("code", "count"), [(103, 1000), (100, 1000), (101, 1)])
@pytest.mark.row("body/informational-endless")
def test_informational_responses_without_end(trial: Trial, code: int, count: int) -> None:
    """Not for ever; and a change of protocol, which nobody asked for, is no answer: exit 5."""
    trial.origin.fault("informational", code=code, count=count)
    trial.assert_failed(trial.pull("--retries", 1, code=5), "model.gguf")
    assert trial.origin.fired("informational") >= 1  # a change of protocol is final
