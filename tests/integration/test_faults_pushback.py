"""Servers that ask to slow down: Retry-After is obeyed up to a minute, and its absence is no hurry."""

import email.utils
import time

import pytest

from tests.command import Command
from tests.hub import Hub
from tests.integration.trial import MIB, SEGMENT, Trial
from tests.origin import Pattern, Record

SIZE = 4 * MIB


def pause_after(requests: list[Record], status: int) -> float:
    """Seconds between the first refusal and the first request after it."""
    refused = next(r for r in requests if r.status == status)
    assert refused.ended is not None
    return min(r.started for r in requests if r.started > refused.ended) - refused.ended


@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.parametrize("nth", [1, 4])
@pytest.mark.row("pushback/retry-after-seconds")
def test_retry_after_in_seconds_is_obeyed(trial: Trial, code: int, nth: int) -> None:
    """Nothing is asked for before the time is over, first request or later one."""
    trial.origin.fault("status", code=code, nth=nth, times=1, headers={"Retry-After": "1"})
    trial.pull("-c", 1)
    assert trial.origin.fired("status") == 1
    assert 1.0 <= pause_after(trial.origin.requests, code) < 3
    trial.assert_exact()


@pytest.mark.row("pushback/retry-after-seconds")
def test_retry_after_holds_for_all_lanes_of_the_file(trial: Trial) -> None:
    """One lane's refusal keeps the others from asking too, but not from finishing what they have."""
    trial.origin.fault("status", code=429, nth=4, times=1, headers={"Retry-After": "1"})
    trial.pull("-c", 4)
    assert trial.origin.fired("status") == 1
    refused = next(r for r in trial.origin.requests if r.status == 429)
    assert refused.ended is not None
    early = [r for r in trial.origin.requests if refused.ended + 0.3 < r.started < refused.ended + 1.0]
    assert early == []
    trial.assert_exact()


@pytest.mark.row("pushback/retry-after-date")
def test_retry_after_as_a_date_is_obeyed(trial: Trial) -> None:
    """RFC 9110 §10.2.3: a date, in whole seconds."""
    date = email.utils.formatdate(time.time() + 3, usegmt=True)
    trial.origin.fault("status", code=503, nth=1, times=1, headers={"Retry-After": date})
    trial.pull()
    assert trial.origin.fired("status") == 1
    came = trial.origin.requests[1].started + (time.time() - time.monotonic())
    assert came >= email.utils.parsedate_to_datetime(date).timestamp() - 0.1
    assert pause_after(trial.origin.requests, 503) < 4
    trial.assert_exact()


@pytest.mark.row("pushback/retry-after-date")
def test_a_date_that_has_passed_is_no_wait(trial: Trial) -> None:
    """A server with a wrong clock does not stop the pull."""
    trial.origin.fault(
        "status", code=503, nth=1, times=1, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}
    )
    result = trial.pull()
    assert trial.origin.fired("status") == 1
    assert result.seconds < 5
    trial.assert_exact()


@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.parametrize("asked", ["86400", "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
@pytest.mark.row("pushback/retry-after-absurd", "attack/34-absurd-waits")
def test_an_absurd_wait_ends_at_once_and_is_named(trial: Trial, code: int, asked: str) -> None:
    """More than a minute is not waited for: exit 5 with what the server asked; what came is kept."""
    trial.origin.fault(
        "status",
        code=code,
        when=lambda r: r.range is not None and r.range[0] >= SIZE // 2,
        headers={"Retry-After": asked},
    )
    result = trial.pull("-c", 1, code=5)  # so that all before it has come when the refusal ends the pull
    assert trial.origin.fired("status") >= 1
    error = trial.assert_failed(result, "wait", "60 s", "kept")
    if asked == "86400":
        assert "86400 s" in error
    assert result.seconds < 30  # a minute would have been granted; a loaded machine starts slowly
    trial.finish(at_least_held=SIZE // 2 // SEGMENT, lanes=1)


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "soon"}, {"Retry-After": "-7"}])
@pytest.mark.row("pushback/retry-after-missing")
def test_without_a_sound_retry_after_the_wait_is_ours(trial: Trial, headers: dict[str, str]) -> None:
    """About a second before the first attempt: less up to a quarter of jitter."""
    trial.origin.fault("status", code=503, nth=1, times=1, headers=headers)
    trial.pull()
    assert trial.origin.fired("status") == 1
    assert 0.7 <= pause_after(trial.origin.requests, 503) < 2.5
    trial.assert_exact()


@pytest.mark.parametrize("code", [408, 500, 502, 504, 524])
@pytest.mark.row("pushback/server-error-once")
def test_a_passing_failure_of_the_server_is_tried_again(trial: Trial, code: int) -> None:
    """Statuses that say "not now" are no end."""
    trial.origin.fault("status", code=code, nth=3, times=1)
    trial.pull()
    assert trial.origin.fired("status") == 1
    trial.assert_exact()


@pytest.mark.row("pushback/server-error-always")
def test_a_server_that_fails_all_the_time_is_given_up(trial: Trial) -> None:
    """Exit 5 with the status and the number of attempts."""
    trial.origin.fault("status", code=503)
    result = trial.pull("--retries", 1, code=5)
    assert trial.origin.fired("status") == 2
    trial.assert_failed(result, "503", "2 attempts")


@pytest.mark.row("pushback/connections-limited")
def test_a_busy_server_gets_fewer_lanes(trial: Trial) -> None:
    """503 to some of many lanes lets the others finish the file."""
    trial.origin.fault("status", code=503, nth=(3, 4, 5, 6), headers={"Retry-After": "0"})
    trial.pull("-c", 8)
    assert trial.origin.fired("status") == 4
    trial.assert_exact()


@pytest.mark.parametrize("processes", [0, 2])
def test_our_own_limit_holds_over_all_lanes(trial: Trial, processes: int) -> None:
    """--limit-rate is of the whole pull, worker processes included, and waiting for it is no stall."""
    result = trial.pull("--limit-rate", "2MiB", "-c", 4, "-p", processes, "--stall-timeout", 1, "--json")
    (done,) = result.events_named("file")  # the origin is done sooner: the kernel takes what nobody reads yet
    assert done["seconds"] >= 0.9 * SIZE / (2 * MIB)
    assert result.seconds < 3 * SIZE / (2 * MIB)
    assert result.events_named("retry") == []
    trial.assert_exact()


# Answers that say that they were the last ones

LAST = {"name": "RateLimit", "value": '"resolvers";r=0;t=1'}
"""The window ends within two seconds: t counts whole ones."""


@pytest.mark.parametrize("processes", [0, 2])
@pytest.mark.row("pushback/ratelimit-headers")
def test_an_exhausted_limit_is_waited_for(trial: Trial, processes: int) -> None:
    """A success that says that nothing remains: no lane asks before the next window, and nobody is refused. The first
    answer says it, so no other lane has been told to ask by then."""
    trial.origin.fault("header", nth=1, times=1, **LAST)
    trial.pull("-c", 4, "-p", processes)
    assert trial.origin.fired("header") == 1
    last, *others = trial.origin.requests
    assert min(r.started for r in others) >= last.started + 2.0
    assert {r.status for r in trial.origin.requests} == {206}
    trial.assert_exact()


@pytest.mark.row("pushback/ratelimit-headers")
def test_an_exhausted_limit_holds_for_the_next_pull(trial: Trial) -> None:
    """Another process, which was told nothing itself."""
    trial.origin.fault("header", **{**LAST, "value": "limit=9, remaining=0, reset=2"})
    trial.pull("-c", 1, "--segment-size", "4MiB")
    (first,) = trial.origin.requests
    assert trial.origin.fired("header") == 1
    trial.forget()
    trial.origin.behave()
    trial.pull()
    assert 3.0 <= trial.origin.requests[1].started - first.started < 6


@pytest.mark.row("pushback/ratelimit-long-window")
def test_a_window_longer_than_a_wait_is_not_waited_for(trial: Trial) -> None:
    """The server may yet answer; if it refuses, the refusal says why."""
    trial.origin.fault("header", **{**LAST, "value": '"resolvers";r=0;t=172'})
    assert trial.pull().seconds < 10
    assert trial.origin.fired("header") == len(trial.origin.requests)
    trial.assert_exact()


def test_an_exhausted_hub_does_not_hold_up_its_content(
    command: Command, origin_factory, tmp_path, monkeypatch
) -> None:
    """Listings and redirects of the site wait for its window; ranges from where it led to do not."""
    hub = Hub(origin_factory(), origin_factory())
    hub.add("ns/m", {"m-Q4_K_M.gguf": Pattern(4 * MIB).read()})
    monkeypatch.setenv("HF_ENDPOINT", hub.site.base)
    hub.site.fault("header", nth=(1, 3), **LAST)
    command.run("pull", "hf.co/ns/m", "-d", tmp_path / "out", "-c", 2, "--segment-size", SEGMENT).check(0)
    commit, tree, located = hub.site.requests
    assert tree.started - commit.started >= 2.0
    assert max(r.started for r in hub.content.requests) - located.started < 2.0
    assert (tmp_path / "out/m-Q4_K_M.gguf").read_bytes() == Pattern(4 * MIB).read()
