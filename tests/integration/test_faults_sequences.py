"""One thing after the other: faults that a single one would not tell, within a run and from run to run."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.trial import MIB, SEGMENT, Trial
from tests.origin import File, Pattern, Record

SIZE = 4 * MIB
PAGE = b"<html><title>Welcome to the network</title>Please log in.</html>\n"
ONE_LANE = ("-c", 1, "-p", 0)


def from_middle(record: Record) -> bool:
    return record.range is not None and record.range[1] > SIZE // 2


@pytest.mark.parametrize("with_digest", [False, True])
@pytest.mark.row("sequence/worst-resume")
def test_a_server_that_fails_in_another_way_each_time(trial: Trial, with_digest: bool) -> None:
    """A whole answer that is cut, a range that is cut, 404, a whole answer of another size: no run makes a file, none
    takes away what an earlier one left, and the last one fetches only what is missing."""
    if with_digest:
        trial.options = ("--sha256", trial.content.sha256())
    whole = trial.origin.fault("ok_to_range", nth=1)
    cut = trial.origin.fault("cut", nth=1, after_bytes=MIB)
    trial.assert_failed(trial.pull("--retries", 0, *trial.in_threads, code=5))
    assert whole.fired == cut.fired == 1
    trial.origin.behave()

    cut = trial.origin.fault("cut", when=from_middle, after_bytes=SEGMENT // 2)
    trial.assert_failed(trial.pull("--retries", 0, *trial.in_threads, code=5), "early")
    assert cut.fired
    held = trial.segments_on_disk()
    assert held >= SIZE // 4 // SEGMENT

    for answer, code in (({"code": 404}, 3), ({"code": 200, "body": PAGE}, 5)):
        trial.origin.behave()
        refusal = trial.origin.fault("status", **answer)
        trial.assert_failed(trial.pull("--retries", 0, *trial.in_threads, code=code))
        assert refusal.fired
        assert trial.segments_on_disk() >= held
    trial.finish(at_least_held=held)


@pytest.mark.row("sequence/worst-resume-in-one-run")
def test_a_server_that_fails_in_another_way_each_time_within_a_run(trial: Trial) -> None:
    """The same, met by the attempts of one run: each answer is judged by itself, and every good byte counts."""
    faults = [
        trial.origin.fault("ok_to_range", nth=2),
        trial.origin.fault("cut", nth=3, after_bytes=SEGMENT // 2),
        trial.origin.fault("status", nth=4, code=503, headers={"Retry-After": "0"}),
        trial.origin.fault("status", nth=5, code=200, body=PAGE),
        trial.origin.fault("cut", nth=6, after_bytes=SEGMENT // 3),
    ]
    result = trial.pull("--retries", 3, *ONE_LANE)
    assert "Starting again" not in result.stderr
    assert [fault.fired for fault in faults] == [1] * 5
    trial.assert_exact()


REFUSALS = [
    pytest.param(404, 3, marks=pytest.mark.row("sequence/missing-file-between-runs")),
    pytest.param(410, 4, marks=pytest.mark.row("sequence/denied-between-runs")),  # a link whose time is over
    pytest.param(401, 4, marks=pytest.mark.row("sequence/denied-between-runs")),
    pytest.param(403, 4, marks=pytest.mark.row("sequence/denied-between-runs")),
    pytest.param(200, 5, marks=pytest.mark.row("sequence/page-instead-of-file")),
]


@pytest.mark.parametrize(("status", "code"), REFUSALS)
def test_a_run_that_is_refused_takes_nothing_away(trial: Trial, status: int, code: int) -> None:
    """Between two good runs: the part stays as it was, and the third run fetches only what is missing."""
    trial.leave_half()
    held = trial.segments_on_disk()
    refusal = trial.origin.fault("status", code=status, body=PAGE, headers={"Content-Type": "text/html"})
    trial.assert_failed(trial.pull("--retries", 1, *trial.in_threads, code=code), "model.gguf")
    assert refusal.fired
    assert trial.segments_on_disk() == held
    trial.finish(at_least_held=held)


@pytest.mark.row("sequence/page-at-first")
def test_a_page_in_the_first_answer_gets_no_name_of_weights(trial: Trial) -> None:
    """Nothing is known of the file yet but its name; who knows better says so, with a digest or by force."""
    page = {"Content-Type": "text/html; charset=utf-8"}
    trial.origin.fault("status", code=200, body=PAGE, headers=page)
    failed = trial.pull("--retries", 1, *trial.in_threads, code=5)
    trial.assert_failed(failed, r"model\.gguf sent a web page", "login", "--sha256")
    assert "the server sent a web page, again in" in failed.stderr
    assert trial.origin.fired("status") == 2
    trial.pull(*trial.in_threads, "--sha256", hashlib.sha256(PAGE).hexdigest())
    assert trial.target.read_bytes() == PAGE
    trial.target.unlink()
    trial.pull(*trial.in_threads, "--force")
    assert trial.target.read_bytes() == PAGE


@pytest.mark.parametrize("etag", [None, 'W/"%s"'], ids=["strong", "weak"])
@pytest.mark.parametrize(
    "size",
    [
        pytest.param(SIZE // 4, marks=pytest.mark.row("identity/shrinks-between-runs")),
        pytest.param(SIZE + MIB, marks=pytest.mark.row("identity/grows-between-runs")),
    ],
)
def test_a_file_of_another_size_between_two_runs_starts_again(
    try_file: Callable[..., Trial], size: int, etag: str | None
) -> None:
    """Said so, whether the server tells by its ETag, or by 416 to a range that lies beyond the new end."""
    trial = try_file(SIZE, etag=etag and etag % "old")
    trial.leave_half()
    new = Pattern(size, seed=11)
    trial.origin.add("model.gguf", File(new, etag=etag and etag % "new", last_modified=1_800_000_000))
    assert "Starting again" in trial.pull().stderr
    trial.assert_exact(new)


# Answers that leave something behind them on the connection


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "stream"])
@pytest.mark.row("body/long", "attack/25-bytes-beyond-the-end")
def test_bytes_behind_a_body_are_nobodys(try_file: Callable[..., Trial], ranges: bool) -> None:
    """What follows the promised length is neither written nor read as the next answer."""
    trial = try_file(ranges=ranges)
    trial.origin.fault("extra_bytes", data=b"\0" * 5000)
    trial.pull(*ONE_LANE)
    assert trial.origin.fired("extra_bytes") == len(trial.origin.requests)
    trial.assert_exact()


@pytest.mark.row("body/long-forged-answer")
def test_an_answer_behind_a_body_is_not_the_next_one(try_file: Callable[..., Trial]) -> None:
    """A whole 206 for the rest of the file, with other bytes, sent before anybody asked for it."""
    trial = try_file(2 * SEGMENT)
    head = (
        f"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {SEGMENT}-{2 * SEGMENT - 1}/{2 * SEGMENT}\r\n"
        f"Content-Length: {SEGMENT}\r\nETag: {trial.origin.files['model.gguf'].etag}\r\n\r\n"
    )
    trial.origin.fault("extra_bytes", nth=1, data=head.encode() + bytes(SEGMENT))
    trial.pull(*ONE_LANE, "--sha256", trial.content.sha256())
    assert trial.origin.fired("extra_bytes") == 1
    trial.assert_exact()


@pytest.mark.row("sequence/416-then-same-connection")
def test_the_body_of_a_refusal_is_no_content(trial: Trial) -> None:
    """A 416 that explains itself at length, and keeps the connection open."""
    headers = {"Content-Range": f"bytes */{SIZE}"}
    trial.origin.fault("status", nth=3, code=416, headers=headers, body=PAGE * 100)
    trial.pull(*ONE_LANE)
    assert trial.origin.fired("status") == 1
    trial.assert_exact()


@pytest.mark.row("sequence/short-body-then-next")
def test_a_connection_that_owes_bytes_is_not_used_again(trial: Trial) -> None:
    """The body ends early and the connection stays: the next request goes over another one."""
    trial.origin.fault("stall", nth=3, times=1, after_bytes=SEGMENT // 2)
    trial.pull(*ONE_LANE, "--stall-timeout", 1)
    assert trial.origin.fired("stall") == 1
    owing, *later = trial.origin.requests[2:]
    assert later
    assert owing.connection not in {record.connection for record in later}
    trial.assert_exact()


@pytest.mark.row("range/206-empty-body")
def test_a_range_without_a_byte_is_asked_for_again(trial: Trial) -> None:
    """Every header is right, and nothing follows."""
    trial.origin.fault("cut", nth=(2, 4), after_bytes=0)
    result = trial.pull(*ONE_LANE, "--json")
    assert trial.origin.fired("cut") == len(result.events_named("retry")) == 2
    trial.assert_exact()


# Heads that are hardly HTTP

ODD_LINES: list[Any] = [
    pytest.param("X-Odd", "a\0b", marks=pytest.mark.row("body/header-nul")),
    pytest.param("ETag", '"a\0b"', marks=pytest.mark.row("body/header-nul")),
    pytest.param("X-Odd", "a\r\nno colon in this line", marks=pytest.mark.row("body/header-without-colon")),
    pytest.param(
        "Content-Length", "7\r\nContent-Length: 4194304", marks=pytest.mark.row("body/content-length-twice")
    ),
    pytest.param(
        "Content-Length", "4194304\r\nContent-Length: 7", marks=pytest.mark.row("body/content-length-twice")
    ),
]


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "stream"])
@pytest.mark.parametrize(("name", "value"), ODD_LINES, ids=ascii)
def test_an_odd_header_line_yields_no_wrong_file(
    try_file: Callable[..., Trial], name: str, value: str, ranges: bool
) -> None:
    """Either the file is exact or there is none, with one error in words."""
    trial = try_file(ranges=ranges)
    trial.origin.fault("header", name=name, value=value)
    result = trial.command.run(*trial.arguments("--retries", 0, "--stall-timeout", 1, *trial.in_threads))
    assert trial.origin.fired("header") >= 1
    if result.code == 0 and name != "Content-Length":
        trial.assert_exact()
        return
    assert result.code == 5, str(result)
    trial.assert_failed(result, "version|Content-Length|no fields")


STATUSES: list[Any] = [
    *(pytest.param(code, marks=pytest.mark.row("body/status-absurd")) for code in (0, 99, 600, 999, 2060)),
    pytest.param(304, marks=pytest.mark.row("identity/304-unasked")),
]


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_that_answers_nothing_makes_no_file(trial: Trial, status: int) -> None:
    """From the first answer on, or in the middle of a pull: exit 5 in words, and what came is kept and used."""
    always = trial.origin.fault("status", code=status)
    trial.assert_failed(trial.pull("--retries", 0, *trial.in_threads, code=5), "model.gguf")
    assert always.fired == 1
    assert not trial.part.exists()
    trial.origin.behave()
    later = trial.origin.fault(
        "status", code=status, when=lambda r: r.range is not None and r.range[0] >= SIZE // 2
    )
    trial.assert_failed(trial.pull("--retries", 0, *trial.in_threads, "-c", 1, code=5), "model.gguf")
    assert later.fired >= 1
    trial.finish(at_least_held=SIZE // 2 // SEGMENT, lanes=1)
