"""Files that come in one answer, whole: what holds for large ones holds for them."""

from collections.abc import Callable

import pytest

from engine.transfer.beginning import WHOLE_BYTES
from tests.integration.trial import MIB, Trial, wait_until

SMALL = 100 << 10


@pytest.mark.parametrize("size", [0, 1, WHOLE_BYTES - 1, WHOLE_BYTES, WHOLE_BYTES + 1])
@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
@pytest.mark.parametrize("processes", [0, 1])
def test_a_small_file_is_one_request(
    try_file: Callable[..., Trial], size: int, ranges: bool, processes: int
) -> None:
    """On both sides of the limit, and whatever the server knows of ranges: exact, asked for once."""
    trial = try_file(size, ranges=ranges)
    result = trial.pull(
        "--json", "--processes", processes, "--segment-size", MIB, "--sha256", trial.content.sha256()
    )
    trial.assert_exact()
    (done,) = result.events_named("file")
    assert (done["verified"], done["size"], done["fetched_bytes"]) == (True, size, size)
    assert [event["size"] for event in result.events_named("plan")] == [size]
    assert len(trial.origin.requests) == 1


@pytest.mark.parametrize("fault", ["cut", "reset"])
@pytest.mark.row("body/small-cut")
def test_a_small_file_that_breaks_off_is_asked_for_again(try_file: Callable[..., Trial], fault: str) -> None:
    """Nothing of it was on disk, so nothing is held, and what came is told as thrown away; the second answer is the
    file."""
    trial = try_file(SMALL)
    trial.origin.fault(fault, after_bytes=SMALL // 2, times=1)
    (done,) = trial.pull("--json").events_named("file")
    assert trial.origin.fired(fault) == 1
    assert 0 < done["discarded_bytes"] <= SMALL // 2
    trial.assert_exact()


@pytest.mark.row("body/small-cut")
def test_a_small_file_that_always_breaks_off_leaves_nothing(try_file: Callable[..., Trial]) -> None:
    """Exit 5, no file, and no part of which nothing could be used."""
    trial = try_file(SMALL)
    trial.origin.fault("cut", after_bytes=SMALL // 2)
    trial.assert_failed(trial.pull("--retries", 1, code=5), "ended the body early")
    assert trial.origin.fired("cut") == 2
    assert not trial.part.exists()


def test_a_small_file_with_a_wrong_byte_is_fetched_again(try_file: Callable[..., Trial]) -> None:
    """As a large one: once, when a digest is known."""
    trial = try_file(SMALL)
    trial.origin.fault("same_size_corruption", offset=17, times=1)
    result = trial.pull("--sha256", trial.content.sha256())
    assert "digest is wrong" in result.stderr
    assert len(trial.origin.requests) == 2
    trial.assert_exact()


def test_a_small_file_that_is_always_wrong_is_set_aside(try_file: Callable[..., Trial]) -> None:
    """Exit 6, and the same content is taken up when its own digest is asked for."""
    trial = try_file(SMALL)
    trial.assert_failed(trial.pull("--sha256", "0" * 64, code=6), "SHA256", "set aside")
    sent = trial.origin.bytes_sent()
    trial.pull("--sha256", trial.content.sha256())
    assert trial.origin.bytes_sent() == sent
    trial.assert_exact()


@pytest.mark.row("process/kill-small-file")
def test_a_kill_leaves_nothing_in_the_way(try_file: Callable[..., Trial]) -> None:
    """SIGKILL in the middle of the only answer: the next run goes on as if nothing had been."""
    trial = try_file(SMALL)
    trial.origin.fault("stall", after_bytes=SMALL // 2, times=1)
    running = trial.spawn()
    wait_until(lambda: trial.origin.fired("stall") == 1, "the body to stall")
    running.kill()
    assert not trial.target.exists()
    trial.origin.behave()
    trial.pull()
    trial.assert_exact()


def test_a_small_file_keeps_to_the_rate_limit(try_file: Callable[..., Trial]) -> None:
    """200 KiB at 100 KiB/s take a second at the least (the limiter may lend a tenth of one)."""
    trial = try_file(200 << 10)
    result = trial.pull("--limit-rate", "100K", "--json")
    assert result.events_named("file")[0]["seconds"] > 1.0
    trial.assert_exact()
