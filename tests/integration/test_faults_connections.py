"""Connections that break, hang, crawl, or speak no HTTP: what came is kept, the rest is asked for elsewhere."""

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Certificates
from tests.command import Running
from tests.integration.trial import LANES, MIB, SEGMENT, Trial
from tests.origin import Origin, Pattern, Record

SIZE = 4 * MIB
STALL = ("--stall-timeout", 1)


@pytest.fixture(params=["http", "https", "https in a worker"])
def any_trial(request: pytest.FixtureRequest, try_file: Callable[..., Trial], tls: Certificates) -> Trial:
    """The same over plain HTTP, over TLS, and over TLS in a worker process."""
    trial = try_file(tls=None if request.param == "http" else tls)
    trial.options += ("-p", 1 if "worker" in request.param else 0)
    return trial


def beyond(offset: int) -> Callable[[Record], bool]:
    return lambda record: record.range is not None and record.range[0] >= offset


def is_whole_segment(record: Record) -> bool:
    return record.range is not None and record.range[1] - record.range[0] >= SEGMENT


@pytest.mark.parametrize(
    ("fault", "options"),
    [("cut", {}), ("cut", {"orderly": True}), ("reset", {}), ("reset", {"abrupt": True})],
)
@pytest.mark.row("body/cut", "body/reset", "body/reset-abrupt")
def test_a_body_that_breaks_off_goes_on_at_its_byte(
    any_trial: Trial, fault: str, options: dict[str, Any]
) -> None:
    """What came before a cut or a reset is not fetched again, but for what an abrupt reset destroyed."""
    trial = any_trial
    trial.origin.fault(fault, nth=(2, 5), when=is_whole_segment, after_bytes=SEGMENT // 2, **options)
    result = trial.pull("--json")
    assert trial.origin.fired(fault) == 2
    assert len(result.events_named("retry")) == 2
    lost = 2 * SEGMENT if options.get("abrupt") else 0
    assert trial.origin.bytes_sent() <= SIZE + lost
    trial.assert_exact()


def test_a_retry_says_at_which_byte(any_trial: Trial) -> None:
    """The event's offset is where the next attempt takes over: with an orderly cut, after all that was sent."""
    trial = any_trial
    at = 2 * SEGMENT + SEGMENT // 2
    cut = trial.origin.fault("cut", offset=at, orderly=True, times=1)
    (retry,) = trial.pull("--json", "-c", 1).events_named("retry")
    assert cut.fired == 1
    assert retry["offset"] == at
    assert any(record.range is not None and record.range[0] == at for record in trial.origin.ledger.requests)


def test_a_stream_says_at_which_byte(try_file: Callable[..., Trial]) -> None:
    """Also where nobody knows how long the file is."""
    trial = try_file(SIZE, ranges=False, framing="chunked")
    trial.origin.fault("cut", after_bytes=SEGMENT, orderly=True, times=1)
    (retry,) = trial.pull("--json").events_named("retry")
    assert retry["offset"] == SEGMENT


@pytest.mark.row("body/cut-again-and-again")
def test_bodies_that_break_again_and_again_end_well_as_long_as_they_get_further(trial: Trial) -> None:
    """Attempts are counted anew with every progress: more breaks than retries are no reason to give up."""
    breaks = trial.origin.fault("reset", after_bytes=SEGMENT // 2, times=12)
    trial.pull("--retries", 2)
    assert breaks.fired == 12
    trial.assert_exact()


@pytest.mark.row("body/cut-always")
def test_a_byte_that_never_comes_is_given_up_and_the_rest_is_kept(any_trial: Trial) -> None:
    """Attempts without any progress end with exit 5; the next run fetches what is missing."""
    trial = any_trial
    trial.origin.fault("cut", when=lambda r: r.range is not None and r.range[1] == SIZE)
    result = trial.pull("--retries", 1, code=5)
    assert trial.origin.fired("cut") >= 2
    trial.assert_failed(result, "2 attempts", "kept", "resumes")
    trial.finish(at_least_held=SIZE // SEGMENT // 2)


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("garbage", {}),
        ("garbage", {"data": b""}),
        ("garbage", {"data": b"HTTP/1.1 200"}),
        ("garbage", {"data": b"HTTP/1.1 two hundred OK\r\n\r\n"}),
        ("garbage", {"data": b"HTTP/9.9 206 Partial\r\nContent-Length: 3\r\n\r\nabc"}),
        ("huge_headers", {"lines": 1, "length": 1 << 20}),
        ("huge_headers", {"lines": 300, "length": 10}),
        ("close_without_answer", {}),
        ("close_without_answer", {"reset": True}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(str(v)[:20] for v in value.values()),
)
@pytest.mark.row("body/no-http", "body/no-answer", "attack/36-header-bombs")
def test_an_answer_that_is_no_http_is_asked_for_again(
    trial: Trial, fault: str, options: dict[str, Any]
) -> None:
    """Always is exit 5 with what happened, and what came before is kept; once, in the run that goes on, is nothing."""
    always = trial.origin.fault(fault, when=beyond(SIZE // 2), **options)
    result = trial.pull("--retries", 0, code=5)
    trial.assert_failed(result, "model.gguf")
    assert always.fired
    held = trial.segments_on_disk()
    assert held >= SIZE // 4 // SEGMENT  # a lane that was in the midst of more than one segment keeps less
    trial.origin.behave()
    trial.origin.wait_idle()  # a request of the first run, read late, would get the fault of the second
    once = trial.origin.fault(fault, nth=3, **options)
    before = trial.origin.bytes_sent()
    trial.pull(*trial.in_threads)
    assert once.fired == 1
    assert trial.origin.bytes_sent() - before <= SIZE - (held - LANES) * SEGMENT
    trial.assert_exact()


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.row("network/kept-connection-ends")
def test_the_end_of_a_kept_connection_is_no_failure(trial: Trial, reset: bool) -> None:
    """A server may close one at any time between two answers: the request is sent again, and no retry is spent."""
    trial.origin.fault("close_without_answer", nth=3, reset=reset)
    trial.pull("--retries", 0, "-c", 1)
    assert trial.origin.fired("close_without_answer") == 1
    trial.assert_exact()


@pytest.mark.parametrize("data", [b"\x00\xff\r\n\r\n", b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-"])
@pytest.mark.row("body/no-http")
def test_garbage_from_the_start_makes_nothing(trial: Trial, data: bytes) -> None:
    """A server that never speaks HTTP leaves neither file nor part."""
    trial.origin.fault("garbage", data=data)
    trial.assert_failed(trial.pull("--retries", 0, code=5), "model.gguf")
    assert trial.origin.fired("garbage") == 1
    assert not trial.part.exists()


@pytest.mark.parametrize("fault", ["stall", "hang_before_headers"])
@pytest.mark.row("body/hang-mid-body", "body/hang-before-headers")
def test_a_connection_that_falls_silent_holds_nobody_up(any_trial: Trial, fault: str) -> None:
    """Others take over what it leaves, long before the stall timeout of ten seconds."""
    trial = any_trial
    where = {"after_bytes": SEGMENT // 2} if fault == "stall" else {}
    trial.origin.fault(fault, nth=4, times=1, **where)
    result = trial.pull()
    assert trial.origin.fired(fault) == 1
    assert result.seconds < 5
    assert trial.origin.bytes_sent() <= SIZE + SEGMENT
    trial.assert_exact()


@pytest.mark.parametrize(
    ("fault", "kinds"), [("stall", {"slow", "stalled"}), ("hang_before_headers", {"stalled"})]
)
@pytest.mark.row("body/hang-mid-body", "body/hang-before-headers")
def test_the_only_connection_that_falls_silent_is_replaced(
    any_trial: Trial, fault: str, kinds: set[str]
) -> None:
    """No byte for --stall-timeout (three times that before the first one): another connection goes on."""
    trial = any_trial
    where = {"after_bytes": SEGMENT // 2} if fault == "stall" else {}
    trial.origin.fault(fault, nth=4, times=1, **where)
    result = trial.pull("--json", "-c", 1, *STALL)
    assert trial.origin.fired(fault) == 1
    (retry,) = result.events_named("retry")
    assert retry["kind"] in kinds
    assert result.seconds < (4 if fault == "stall" else 7)
    trial.assert_exact()


@pytest.mark.row("body/hang-everywhere")
def test_all_connections_silent_at_once_are_replaced(trial: Trial) -> None:
    """When every lane hangs, every lane is replaced."""
    trial.origin.fault("stall", when=beyond(MIB), after_bytes=1000, times=LANES)
    trial.pull(*STALL)
    assert trial.origin.fired("stall") == LANES
    trial.assert_exact()


@pytest.mark.row("body/hang-always")
def test_a_server_that_is_always_silent_is_given_up(trial: Trial) -> None:
    """Exit 5 and a word about the silence; what came before is kept and used."""
    trial.origin.fault("stall", when=beyond(SIZE // 2), after_bytes=1)
    result = trial.pull("--retries", 0, *STALL, code=5)
    assert trial.origin.fired("stall") >= 1
    trial.assert_failed(result, "No byte", "1 s")
    assert result.seconds < 6
    trial.finish(at_least_held=SIZE // 2 // SEGMENT - LANES)


@pytest.mark.row("body/hang-on-connect")
def test_a_handshake_that_never_ends_is_replaced(try_file: Callable[..., Trial], tls: Certificates) -> None:
    """A connection that is accepted and then silent, before TLS is up, costs no more than a stalled one."""
    trial = try_file(tls=tls)
    trial.origin.fault("hang_on_connect", nth=2, times=1)
    result = trial.pull(*STALL)
    assert trial.origin.fired("hang_on_connect") == 1
    assert result.seconds < 8
    trial.assert_exact()


@pytest.mark.row("body/hang-on-connect")
def test_a_first_handshake_that_never_ends_is_replaced(
    try_file: Callable[..., Trial], tls: Certificates
) -> None:
    """The same where it is the very first connection, for which everything waits."""
    trial = try_file(tls=tls)
    trial.origin.fault("hang_on_connect", nth=1, times=1)
    result = trial.pull(*STALL)
    assert trial.origin.fired("hang_on_connect") == 1
    assert result.seconds < 14
    trial.assert_exact()


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("fault", ["slow", "one_byte_a_second"])
@pytest.mark.row("body/slow", "body/one-byte-a-second", "attack/35-slow-loris")
def test_a_crawling_connection_among_fast_ones_is_replaced(trial: Trial, fault: str, lanes: int) -> None:
    """Far below the others for half a second: its remainder goes to another one. With one lane there is none to take
    over."""
    options = {"rate": 4000} if fault == "slow" else {}
    trial.origin.fault(fault, nth=6, times=1, after_bytes=1, **options)
    result = trial.pull("--json", "-c", lanes)
    assert trial.origin.fired(fault) == 1
    assert [event["kind"] for event in result.events_named("retry")] == (["slow"] if lanes == 1 else [])
    assert result.seconds < 5
    trial.assert_exact()


@pytest.mark.parametrize("code", [503, None])
@pytest.mark.row("pushback/connections-limited")
def test_a_server_that_takes_few_connections_gets_few(
    try_file: Callable[..., Trial], code: int | None
) -> None:
    """Connections beyond two are turned away, with 503 or a reset: the pull ends well with fewer lanes."""
    trial = try_file(pace=2 * MIB)
    trial.origin.fault("limit_connections", n=2, code=code)
    result = trial.pull("-c", 8)
    assert trial.origin.fired("limit_connections") >= 1
    assert result.seconds < 15
    trial.assert_exact()


@pytest.mark.row("network/tls-untrusted", "attack/38-tls")
def test_an_untrusted_certificate_is_refused_at_once(
    try_file: Callable[..., Trial], tls: Certificates, origin_factory: Callable[..., Any]
) -> None:
    """Trying again cannot change a certificate: exit 5, once, naming the way out."""
    trial = try_file(tls=tls)
    trial.options = ()
    result = trial.pull(code=5)
    trial.origin.wait_handshake_failures(1)
    trial.assert_failed(result, "certificate", "--cacert")
    assert trial.origin.bytes_sent() == 0
    for identity in (tls.expired, tls.wrong_host, tls.self_signed):
        other = origin_factory({"model.gguf": trial.content}, tls=identity)
        trial.url = other.url("model.gguf")
        trial.assert_failed(trial.pull("--cacert", tls.cacert, code=5), "certificate")
        assert other.requests == []
    trial.pull("--insecure")
    trial.assert_exact()
    trial.forget()
    trial.assert_failed(trial.pull(code=5), "certificate")  # once is not for ever


@pytest.mark.row("body/headers-drip", "attack/35-slow-loris")
def test_headers_that_drip_are_no_sign_of_life(any_trial: Trial) -> None:
    """An answer has three times the stall timeout to begin, however many headers it sends; the message says who."""
    trial = any_trial
    trial.origin.fault("drip_headers", nth=None)
    result = trial.pull("--stall-timeout", 0.3, "--retries", 0, code=5)
    assert trial.origin.fired("drip_headers") >= 1
    trial.assert_failed(result, "No byte of content", re.escape(trial.url), "for 1 s")


@pytest.mark.row("body/hang-of-another-host")
def test_files_of_a_silent_host_come_behind_those_of_others(
    spawn: Callable[..., Running], origin_factory: Callable[..., Origin], tmp_path: Path
) -> None:
    """They were named first, and are more than there are lanes, or files open at once."""
    silent = origin_factory({f"s{i}": b"x" for i in range(60)})
    sound = origin_factory({f"g{i}": Pattern(100_000, i) for i in range(8)})
    silent.fault("hang_before_headers")
    words = [silent.url(f"s{i}") for i in range(60)] + [sound.url(f"g{i}") for i in range(8)]
    running = spawn("pull", *words, "-d", tmp_path, "--json")
    running.wait_output(lambda out, _: out.count('"event":"file"') == 8, "the files of the sound host")
    assert silent.requests
    assert not [name for name in running.stdout.splitlines() if '"event":"retry"' in name]
    running.send(signal.SIGINT)
    assert running.wait().code == 130
    assert silent.fired("hang_before_headers") > 0
