"""Redirects: loops, forbidden places, second origins with signed addresses, and who gets which credentials."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.certificates import Certificates
from tests.command import Command
from tests.integration.trial import LANES, MIB, SEGMENT, Trial
from tests.origin import File, Origin, Pattern

SIZE = 4 * MIB


@pytest.mark.parametrize("distinct", [False, True])
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.row("address/redirect-loop", "address/redirect-hops", "attack/29-redirects")
def test_a_redirect_loop_ends(trial: Trial, code: int, distinct: bool) -> None:
    """Twenty redirects are followed, not more; trying again is no use."""
    trial.origin.fault("redirect_loop", code=code, distinct=distinct)
    trial.assert_failed(trial.pull(code=5), "redirects more than 20 times")
    assert trial.origin.fired("redirect_loop") == 21
    assert not trial.part.exists()


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/model.gguf",
        "javascript:alert(1)",
        "data:text/plain,hello",
        "http://user:secret@127.0.0.1/model.gguf",
        "http://127.0.0.1:99999/",
        "http:///nowhere",
        "",
    ],
)
@pytest.mark.row("address/redirect-other-scheme", "address/redirect-userinfo", "address/redirect-malformed")
def test_a_redirect_to_a_forbidden_place_is_refused(trial: Trial, location: str) -> None:
    """Only http and https addresses without a user in them are followed; what is refused is asked once."""
    trial.origin.fault("redirect_to", location=location)
    error = trial.assert_failed(trial.pull(code=5), "redirects")
    assert "secret" not in error
    assert trial.origin.fired("redirect_to") == len(trial.origin.requests) == 1
    assert not trial.part.exists()


@pytest.mark.row("address/redirect-https-to-http", "attack/29-redirects")
def test_a_redirect_from_https_to_http_is_refused(
    try_file: Callable[..., Trial], tls: Certificates, origin_factory: Callable[..., Any]
) -> None:
    """Content would come over a way on which anybody may change it."""
    trial = try_file(tls=tls)
    plain: Origin = origin_factory({"model.gguf": trial.content})
    trial.origin.fault("redirect_to", location=plain.url("model.gguf"))
    trial.assert_failed(trial.pull(code=5), "https to plain http")
    assert trial.origin.fired("redirect_to") == 1
    assert plain.connections == 0


@pytest.mark.row("address/redirect-midway")
def test_a_redirect_that_appears_midway_is_followed(trial: Trial) -> None:
    """Another address for a later range is no trouble as long as it is the same version."""
    trial.origin.add("moved.gguf", File(trial.content))
    trial.origin.fault("redirect_to", location="/moved.gguf", when=lambda r: r.path == "model.gguf", nth=4)
    trial.pull()
    assert trial.origin.fired("redirect_to") == 1
    trial.assert_exact()


class Edge:
    """A front that redirects to signed addresses of a second origin, as hubs do."""

    def __init__(self, command: Command, make: Callable[..., Any], trial: Trial, **manners: Any) -> None:
        self.content = Pattern(SIZE, seed=3)
        self.store: Origin = make({"blob": File(self.content, signed=True, **manners)})
        self.front = trial.origin
        self.trial = trial
        trial.content = self.content

    def redirect(self, **manners: Any) -> None:
        self.front.add("model.gguf", File(self.content, redirect=(self.store, "blob"), **manners))


@pytest.fixture
def edge(command: Command, origin_factory: Callable[..., Any], trial: Trial) -> Edge:
    return Edge(command, origin_factory, trial)


@pytest.mark.row("address/signed-shared")
def test_a_signed_address_is_asked_for_once_for_all_lanes(edge: Edge) -> None:
    """The first request finds the way; every lane uses it."""
    edge.redirect()
    edge.trial.pull("-c", 4)
    assert len(edge.front.requests) == 1
    assert len(edge.store.requests) >= 4
    edge.trial.assert_exact()


@pytest.mark.row("address/expires-midway", "attack/33-expired-address")
def test_an_expired_address_is_renewed_once_for_all_lanes(edge: Edge) -> None:
    """All lanes meet the 403; one of them asks anew."""
    edge.redirect()
    lanes = 4
    edge.store.fault(
        "stall", when=lambda r: r.range is not None and r.range[0] >= MIB, after_bytes=1, times=lanes
    )
    running = edge.trial.spawn("-c", lanes, "--json")
    edge.store.wait_fired("stall", lanes)
    edge.store.expire()
    edge.store.release()
    result = running.wait().check()
    assert 1 <= sum(r.status == 403 for r in edge.store.requests) <= lanes
    assert len(edge.front.requests) == 2
    assert {event["kind"] for event in result.events_named("retry")} == {"expired"}
    edge.trial.assert_exact()


@pytest.mark.row("address/expires-again-and-again")
def test_addresses_that_expire_all_the_time_are_renewed_all_the_time(edge: Edge) -> None:
    """Each renewal gets the file further, so it is no failure."""
    edge.redirect(token_uses=3)
    edge.trial.pull()
    assert len(edge.front.requests) >= 3
    edge.trial.assert_exact()


@pytest.mark.row("address/expires-at-once")
def test_an_address_that_never_works_is_given_up(edge: Edge) -> None:
    """Renewed addresses that are refused too: exit 4 as the server says, and not for ever."""
    edge.redirect(token_uses=0)
    edge.trial.assert_failed(edge.trial.pull("--retries", 1, code=4), "403")
    assert all(r.status == 403 for r in edge.store.requests)
    assert len(edge.front.requests) <= 3


@pytest.mark.row("address/expires-between-runs")
def test_a_resumed_pull_asks_for_a_fresh_address(edge: Edge) -> None:
    """Signed addresses of an earlier run are not kept; the journal knows the first address alone."""
    edge.redirect()
    edge.store.fault("reset", when=lambda r: r.range is not None and r.range[1] > SIZE // 2)
    edge.trial.assert_failed(edge.trial.pull("--retries", 0, code=5))
    assert edge.store.fired("reset") >= 1
    assert b"X-Signature" not in (edge.trial.part / "journal").read_bytes()
    edge.store.expire()
    edge.store.behave()
    held = edge.trial.segments_on_disk()
    before = edge.store.bytes_sent()
    edge.trial.pull()
    assert edge.store.bytes_sent() - before <= SIZE - held * SEGMENT + LANES * SEGMENT
    edge.trial.assert_exact()


@pytest.mark.row("attack/30-credentials-elsewhere")
def test_credentials_stay_with_their_origin(edge: Edge) -> None:
    """Token and headers go to the origin that was typed, to no other that it redirects to, and into no output."""
    edge.redirect(bearer="hf_secret")
    result = edge.trial.pull("--token", "hf_secret", "--header", "X-Team: blue", "--verbose")
    assert edge.front.requests[0].headers.get("Authorization") == "Bearer hf_secret"
    assert edge.front.requests[0].headers.get("X-Team") == "blue"
    for record in edge.store.requests:
        assert record.headers.get("Authorization") is None
        assert record.headers.get("X-Team") is None
        assert record.headers.get("Cookie") is None
    assert "hf_secret" not in result.stdout + result.stderr
    assert "X-Signature" not in result.stdout + result.stderr
    edge.trial.assert_exact()


@pytest.mark.row("attack/30-credentials-elsewhere")
def test_tokens_of_the_environment_go_to_the_hub_alone(trial: Trial) -> None:
    """Any other server gets none of them."""
    trial.command.run(*trial.arguments(), env={"HF_TOKEN": "hf_secret"}).check(0)
    assert all(r.headers.get("Authorization") is None for r in trial.origin.requests)
    trial.assert_exact()
