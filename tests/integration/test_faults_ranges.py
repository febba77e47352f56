"""Servers that lie about ranges, sizes and versions: not one such byte is written, and one lie is no end."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.command import Result
from tests.integration.trial import LANES, MIB, SEGMENT, Trial
from tests.origin import File, Pattern, Record
from tests.origin.content import Changed

SIZE = 4 * MIB
LIES = [
    pytest.param("shifted_range", {"by": 1}, marks=pytest.mark.row("range/206-shifted-start")),
    pytest.param("shifted_range", {"by": -4096}, marks=pytest.mark.row("range/206-shifted-start")),
    pytest.param(
        "shifted_range", {"by": 4096, "lie": True}, marks=pytest.mark.row("range/206-lies-about-start")
    ),
    pytest.param("short_range", {}, marks=pytest.mark.row("range/206-shorter")),
    pytest.param("short_range", {"by": 1}, marks=pytest.mark.row("range/206-shorter")),
    pytest.param("long_range", {"by": 1}, marks=pytest.mark.row("range/206-longer")),
    pytest.param("no_content_range", {}, marks=pytest.mark.row("range/206-without-content-range")),
    pytest.param("multipart", {}, marks=pytest.mark.row("range/206-multipart")),
    pytest.param("ok_to_range", {}, marks=pytest.mark.row("range/200-to-a-range")),
    pytest.param("gzip", {}, marks=pytest.mark.row("body/gzip")),
    pytest.param("gzip", {"encoding": "br"}, marks=pytest.mark.row("body/other-coding")),
    pytest.param("gzip", {"encoding": "zstd"}, marks=pytest.mark.row("body/other-coding")),
    pytest.param("gzip", {"encoding": ", ".join(["gzip"] * 50)}, marks=pytest.mark.row("body/coding-chain")),
    pytest.param("416_no_range", {}, marks=pytest.mark.row("range/416-midway")),
    *(
        pytest.param(
            "header",
            {"name": "Content-Range", "value": value},
            marks=pytest.mark.row("range/206-malformed-content-range"),
        )
        for value in (
            "bytes 0--1/4194304",
            "bytes -5-10/4194304",
            "bytes 0-99999999999999999999/99999999999999999999",
        )
    ),
    *(
        pytest.param(
            "header",
            {"name": "Content-Length", "value": value},
            marks=pytest.mark.row("range/206-other-length"),
        )
        for value in ("7", "9000000000000000000")
    ),
]
IDS = [
    f"{lie.values[0]}-{'-'.join(map(str, lie.values[1].values()))}"[:60].rstrip("-")  # type: ignore[attr-defined]
    for lie in LIES
]


def in_second_half(record: Record) -> bool:
    """Requests that come when something has been received already."""
    return record.range is not None and record.range[0] >= SIZE // 2 and record.range[1] < SIZE


def retries(result: Result) -> list[str]:
    return [event["kind"] for event in result.events_named("retry")]


@pytest.mark.parametrize(("lie", "options"), LIES, ids=IDS)
@pytest.mark.row("attack/26-range-lies")
def test_a_lie_about_a_range_is_thrown_away(trial: Trial, lie: str, options: dict[str, Any]) -> None:
    """A server that always lies ends the pull with exit 5 and what it did; what came before is kept and used. When it
    lies once, in the run that goes on, that answer is asked for again."""
    always = trial.origin.fault(lie, when=in_second_half, **options)
    result = trial.pull("--retries", 0, code=5)
    assert always.fired
    trial.assert_failed(result, "model.gguf", "Content-Range|compressed|whole file|416|frames")
    held = trial.segments_on_disk()
    assert held >= SIZE // 4 // SEGMENT  # a lane that was in the midst of more than one segment keeps less
    trial.origin.behave()
    trial.origin.wait_idle()  # a request of the first run, read late, would get the fault of the second
    once = trial.origin.fault(lie, when=in_second_half, times=1, **options)
    result = trial.pull("--json", *trial.in_threads)
    assert once.fired == 1
    assert len(retries(result)) == 1
    (done,) = result.events_named("file")
    assert done["held_bytes"] >= (held - LANES) * SEGMENT
    trial.assert_exact()


@pytest.mark.parametrize("content_range", [None, "bytes */4194304", "bytes */0"])
@pytest.mark.row("range/416-always")
def test_a_server_that_answers_416_whatever_is_asked_ends(trial: Trial, content_range: str | None) -> None:
    """Also where no range was asked for: a failure like others, counted and paused after. An empty file is none."""
    headers = {} if content_range is None else {"Content-Range": content_range}
    always = trial.origin.fault("status", code=416, headers=headers)
    result = trial.command.run(*trial.arguments("--retries", 1))
    assert always.fired <= 4
    if content_range == "bytes */0":
        assert (result.code, trial.target.read_bytes()) == (0, b"")
        return
    trial.assert_failed(result.check(5), "416")


@pytest.mark.parametrize("by", [1, -1])
@pytest.mark.row("range/206-other-total-once")
def test_a_total_that_changes_once_is_another_version(trial: Trial, by: int) -> None:
    """Without a digest, another total means another file: start again, said so, and end exact."""
    trial.origin.fault("wrong_total", when=in_second_half, times=1, by=by)
    result = trial.pull()
    assert trial.origin.fired("wrong_total") == 1
    assert "Starting again" in result.stderr
    trial.assert_exact()


@pytest.mark.row("range/206-total-too-large")
def test_a_total_that_is_always_too_large_ends(trial: Trial) -> None:
    """A file that claims a byte more than it has is never called complete."""
    trial.origin.fault("wrong_total", by=1)
    result = trial.pull("--retries", 0, code=5)
    assert trial.origin.fired("wrong_total") >= 1
    trial.assert_failed(result)


@pytest.mark.row("range/206-total-too-small")
def test_a_total_that_is_always_too_small_is_found_by_the_digest(trial: Trial) -> None:
    """A file that claims a byte less than it has would be cut off; the digest tells."""
    trial.origin.fault("wrong_total", by=-1)
    result = trial.pull("--sha256", trial.content.sha256(), "--retries", 1, code=6)
    assert trial.origin.fired("wrong_total") >= 1
    trial.assert_failed(result, "SHA256")


@pytest.mark.parametrize("total", [10**17, 9_223_372_036_854_775_807, 9_999_999_999_999_999_999])
@pytest.mark.row("range/206-enormous-total")
def test_an_enormous_total_is_a_lack_of_room(trial: Trial, total: int) -> None:
    """A size that no disk has is refused before anything is allocated, whatever number it is."""
    end = SEGMENT - 1
    value = f"bytes 0-{end}/{total}"
    trial.origin.fault("header", range_start=0, name="Content-Range", value=value)
    trial.assert_failed(trial.pull(code=7), "bytes are needed")
    assert trial.origin.fired("header") == 1
    assert not (trial.part / "data").exists()


@pytest.mark.parametrize("value", ["bytes 0-262143/-1", "bytes 0-262143/99999999999999999999", "garbage"])
@pytest.mark.row("range/206-malformed-content-range")
def test_a_first_answer_without_a_sound_range_is_refused(trial: Trial, value: str) -> None:
    """Negative and overlong numbers in the very first Content-Range: exit 5, nothing is made of them."""
    trial.origin.fault("header", name="Content-Range", value=value)
    trial.assert_failed(trial.pull("--retries", 0, code=5), "Content-Range")
    assert trial.origin.fired("header") >= 1
    assert trial.segments_on_disk() == 0


@pytest.mark.row("range/206-unknown-total")
def test_an_unknown_total_is_asked_again_without_a_range(trial: Trial) -> None:
    """`*` as total (RFC 9110 §14.4 allows it) leads to one stream of the whole file, and says so."""
    trial.origin.fault("star_total")
    result = trial.pull()
    assert trial.origin.fired("star_total") == 1
    assert trial.origin.requests[-1].range is None
    assert "one stream" in result.stderr
    trial.assert_exact()


@pytest.mark.row("range/206-unknown-total-midway")
def test_an_unknown_total_midway_is_not_a_change(trial: Trial) -> None:
    """`*` after the total is known contradicts nothing."""
    trial.origin.fault("star_total", when=in_second_half)
    trial.pull()
    assert trial.origin.fired("star_total") >= 1
    trial.assert_exact()


@pytest.mark.parametrize(
    "content_range",
    [
        pytest.param(None, marks=pytest.mark.row("range/416-first")),
        pytest.param("bytes */4194304", marks=pytest.mark.row("range/416-first-with-total")),
    ],
)
def test_a_first_416_is_asked_again_without_a_range(trial: Trial, content_range: str | None) -> None:
    """Only `*/0` is an empty file; any other first 416 is a server that wants no range."""
    trial.origin.fault("416_no_range", content_range=content_range)
    result = trial.pull()
    assert trial.origin.fired("416_no_range") == 1
    assert "one stream" in result.stderr
    trial.assert_exact()


@pytest.mark.parametrize("with_digest", [False, True])
@pytest.mark.row(
    "identity/changes-midway", "identity/changes-midway-with-digest", "attack/27-version-changes"
)
def test_a_new_version_midway_is_never_spliced(trial: Trial, with_digest: bool) -> None:
    """Without a digest the new version is pulled from its start; with the old one's digest it is refused."""
    new = Changed(trial.content)
    trial.origin.fault("etag_change", nth=5, content=new)
    digest = ("--sha256", trial.content.sha256()) if with_digest else ()
    result = trial.pull(*digest, code=6 if with_digest else 0)
    assert trial.origin.fired("etag_change") == 1
    if with_digest:
        trial.assert_failed(result, "SHA256", trial.content.sha256())
        return
    assert "Starting again" in result.stderr
    trial.assert_exact(new)


@pytest.mark.row("identity/etag-differs-by-edge")
def test_an_etag_that_differs_between_edges_does_not_matter_with_a_digest(trial: Trial) -> None:
    """Edges of one network disagree on ETags: with a digest, size and digest decide."""
    trial.origin.fault("etag_change", nth=(3, 5), same_content=True, permanent=False)
    result = trial.pull("--sha256", trial.content.sha256(), "--json")
    assert trial.origin.fired("etag_change") == 2
    assert retries(result) == []
    assert trial.origin.bytes_sent() == SIZE
    trial.assert_exact()


@pytest.mark.row("identity/changes-all-the-time")
def test_a_version_that_changes_all_the_time_ends(trial: Trial) -> None:
    """A file that is another one at every request is given up, not spliced."""
    versions = iter(range(10**6))
    trial.origin.fault(
        "header", name="ETag", value='"never-the-same"', when=lambda r: next(versions) % 2 == 0
    )
    result = trial.pull("--retries", 1, code=5)
    assert trial.origin.fired("header") >= 2
    trial.assert_failed(result, "version")


@pytest.mark.row("identity/changes-between-runs")
def test_a_change_between_two_runs_starts_again(try_file: Callable[..., Trial]) -> None:
    """What an earlier run left of another version is not continued, and the user is told."""
    trial = try_file()
    trial.leave_half()
    new = Pattern(SIZE, seed=7)
    trial.origin.add("model.gguf", new)
    result = trial.pull()
    assert "Starting again" in result.stderr
    trial.assert_exact(new)


@pytest.mark.row("identity/no-validators")
def test_a_server_without_validators_is_not_resumed_across_runs(try_file: Callable[..., Trial]) -> None:
    """Nothing tells its versions apart, so the next run starts at zero; with a digest it resumes."""
    trial = try_file(validators=False)
    size = trial.content.size
    half = trial.origin.fault("reset", when=lambda r: r.range is not None and r.range[1] > size // 2)
    trial.assert_failed(trial.pull("--retries", 0, code=5))
    assert half.fired
    trial.origin.behave()
    before = trial.origin.bytes_sent()
    trial.pull()
    assert trial.origin.bytes_sent() - before == size
    trial.assert_exact()
    trial.forget()
    trial.options = ("--sha256", trial.content.sha256())
    trial.leave_half()
    trial.finish()


@pytest.mark.row("identity/validators-vanish")
def test_a_file_that_loses_its_validators_is_not_continued(try_file: Callable[..., Trial]) -> None:
    """Another file of the same size behind the address, from a server that tells no versions: no splice of the two."""
    trial = try_file(etag='W/"v1"')  # weak, so that no If-Match can be sent
    trial.leave_half()
    new = Pattern(SIZE, seed=7)
    trial.origin.add("model.gguf", File(new, validators=False))
    result = trial.pull()
    assert "Starting again" in result.stderr
    trial.assert_exact(new)


@pytest.mark.row("identity/validators-appear")
def test_a_file_that_gets_validators_midway_is_not_continued(try_file: Callable[..., Trial]) -> None:
    """Another file of the same size takes the place of one whose version nothing told: no splice of the two."""
    trial = try_file(validators=False)
    trial.origin.fault("stall", after_bytes=2 * SEGMENT, times=1)
    running = trial.spawn("-c", 1, "--stall-timeout", 1)
    trial.origin.wait_fired("stall")
    new = Pattern(SIZE, seed=7)
    trial.origin.add("model.gguf", File(new))
    assert "Starting again" in running.wait().check(0).stderr
    trial.assert_exact(new)


@pytest.mark.row("identity/published-digest-changes-all-the-time")
def test_a_hub_that_publishes_another_digest_each_time_ends(try_file: Callable[..., Trial]) -> None:
    """It is given up after as many attempts as any failure, not asked for ever."""
    trial = try_file()
    name = "acme/model/resolve/main/model.gguf"
    trial.origin.add(name, File(trial.content, redirect=trial.url))
    trial.url, turns = trial.origin.url(name), [iter(range(10**6)) for _ in range(2)]
    trial.origin.fault("header", path=name, name="X-Linked-ETag", value=f'"{0:064}"')
    odd = {"when": lambda _: next(turns[0]) % 2 == 1}
    trial.origin.fault("header", path=name, name="X-Linked-ETag", value=f'"{1:064}"', **odd)
    trial.origin.fault("status", path="model.gguf", code=403, when=lambda _: next(turns[1]) % 2 == 1)
    env = {"HF_ENDPOINT": trial.origin.base}
    result = trial.command.run(*trial.arguments("--retries", 1, "-c", 1), env=env).check(5)
    assert trial.origin.fired("status") >= 1
    trial.assert_failed(result, "version")


@pytest.mark.parametrize("value", ["-5", "five", "4_194_304", "+4194304", "4194304, 4194304"])
@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.row("body/content-length-senseless")
def test_a_content_length_that_makes_no_sense_yields_no_wrong_file(
    try_file: Callable[..., Trial], ranges: bool, value: str
) -> None:
    """Either the file is exact or there is none: a length that cannot be read must not cut it off."""
    trial = try_file(ranges=ranges)
    trial.origin.fault("header", name="Content-Length", value=value)
    result = trial.command.run(*trial.arguments("--retries", 0, "--stall-timeout", 1))
    assert trial.origin.fired("header") >= 1
    if result.code == 0:
        trial.assert_exact()
        return
    assert result.code == 5, str(result)
    trial.assert_failed(result)


@pytest.mark.parametrize("after_bytes", [0, MIB])
@pytest.mark.row("body/content-length-senseless")
def test_an_invalid_content_length_with_a_cut_is_never_a_file(
    try_file: Callable[..., Trial], after_bytes: int
) -> None:
    """A stream whose length cannot be read and that ends early is not taken for complete."""
    trial = try_file(ranges=False)
    trial.origin.fault("header", name="Content-Length", value="-5")
    trial.origin.fault("cut", after_bytes=after_bytes)
    trial.assert_failed(trial.pull("--retries", 0, code=5))
    assert trial.origin.fired("header") >= 1
    if after_bytes == 0:  # later the command, which reads the headers and leaves, may be the first to go
        trial.origin.wait_fired("cut", trial.origin.fired("header"))


@pytest.mark.row("body/gzip-bomb", "attack/28-compression")
def test_a_gzip_bomb_is_not_unpacked(try_file: Callable[..., Trial]) -> None:
    """Compressed content, though identity was asked for, is refused unread."""
    trial = try_file(ranges=False)
    trial.origin.fault("gzip", bomb_bytes=64 * MIB)
    trial.assert_failed(trial.pull("--retries", 0, code=5), "compressed")
    assert trial.origin.fired("gzip") == 1
