"""What cannot be pulled at all: wrong names, addresses and rights. One message, the right code, nothing made."""

import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.command import Command
from tests.integration.trial import LANES, MIB, Trial, one_error

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.row("network/dns-failure")
def test_an_unknown_host_is_named(trial: Trial) -> None:
    """A host without an address is a network error that names it."""
    trial.url = "http://models.no-such-host.invalid/model.gguf"
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("models.no-such-host.invalid", 80)
    trial.assert_failed(trial.pull("--retries", 0, code=5), "models.no-such-host.invalid", "name")
    assert not trial.part.exists()


@pytest.mark.row("pushback/connection-refused")
def test_a_refused_connection_is_said_and_later_works(trial: Trial) -> None:
    """Nobody listens: exit 5, naming the address; once somebody does, the same command works."""
    trial.origin.refuse()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((trial.origin.host, trial.origin.port), timeout=5)
    result = trial.pull("--retries", 0, code=5)
    trial.assert_failed(result, "[Cc]annot connect", str(trial.origin.port), "refused")
    trial.origin.listen()
    trial.pull()
    trial.assert_exact()


@pytest.mark.row("pushback/connection-refused")
def test_a_refused_connection_is_tried_again(trial: Trial) -> None:
    """A server that comes back within the retries is not given up."""
    trial.origin.fault("refuse", seconds=0.5, times=1)
    trial.pull()
    assert trial.origin.fired("refuse") == 1
    trial.assert_exact()


@pytest.mark.row("pushback/stops-listening-midway")
def test_a_server_that_stops_listening_midway_still_serves_open_connections(trial: Trial) -> None:
    """Connections that are open go on when no new ones are taken."""

    def both_are_open(_: Any) -> bool:
        return len({request.connection for request in trial.origin.requests}) == LANES

    trial.origin.fault("refuse", when=both_are_open, times=1)
    trial.pull()
    assert trial.origin.fired("refuse") == 1
    trial.assert_exact()


@pytest.mark.row("pushback/not-found")
def test_a_missing_file_is_not_found(trial: Trial) -> None:
    """404 is exit 3, asked once; the message holds "404" and the address."""
    trial.url = trial.origin.url("no-such-file.gguf")
    trial.assert_failed(trial.pull(code=3), "404", "no-such-file.gguf")
    assert [r.status for r in trial.origin.requests] == [404]
    assert not trial.part.exists()


def test_an_address_with_404_in_it_is_no_not_found_error(trial: Trial) -> None:
    """Only errors of the not-found kind hold the text "404", even if the address does."""
    trial.origin.fault("status", code=403)
    trial.url = trial.origin.url("model-404.gguf")
    trial.origin.add("model-404.gguf", trial.content)
    running = trial.spawn()
    trial.assert_failed(running.wait().check(4), "model-404.gguf")
    assert "404" not in running.raw_stderr
    assert trial.origin.fired("status") == 1


@pytest.mark.parametrize(("code", "end"), [(401, 4), (403, 4), (410, 3), (451, 4)])
@pytest.mark.row("pushback/denied", "pushback/not-found")
def test_a_final_status_is_not_tried_again(trial: Trial, code: int, end: int) -> None:
    """What trying again cannot change is asked once."""
    trial.origin.fault("status", code=code)
    trial.assert_failed(trial.pull(code=end), "model.gguf")
    assert trial.origin.fired("status") == len(trial.origin.requests) == 1


@pytest.mark.row("pushback/gated")
def test_a_gated_file_says_so_and_opens_with_the_token(try_file: Callable[..., Trial]) -> None:
    """401 with X-Error-Code GatedRepo: exit 4 and what to do; with --token the same file comes."""
    trial = try_file(bearer="hf_right")
    error = trial.assert_failed(trial.pull(code=4), "gated", "--token", "accept")
    assert "hf_" not in error.replace("HF_TOKEN", "")
    assert trial.origin.requests[-1].status == 401
    denied = trial.pull("--token", "hf_wrong", code=4)
    assert "hf_wrong" not in trial.assert_failed(denied, "gated")
    assert trial.origin.requests[-1].status == 403
    trial.pull("--token", "hf_right")
    trial.assert_exact()


@pytest.mark.parametrize("digest", ["abc", "z" * 64, "md5:" + "0" * 32, ""])
def test_a_malformed_digest_is_a_usage_error(trial: Trial, digest: str) -> None:
    """A digest that cannot be one is refused before anything is asked."""
    trial.assert_failed(trial.pull("--sha256", digest, code=2))
    assert trial.origin.requests == []


@pytest.mark.parametrize(
    "target",
    [
        "http://",
        "http:///model.gguf",
        "ftp://127.0.0.1/model.gguf",
        "file:///etc/passwd",
        "http://user:secret@127.0.0.1/model.gguf",
        "http://127.0.0.1:99999/model.gguf",
        "http://[::1/model.gguf",
        "http://127.0.0.1/a\r\nHost: evil/b.gguf",
        "hf.co/",
        "../../etc/passwd",
        "a b c",
        "",
    ],
)
def test_a_target_that_cannot_be_one_is_a_usage_error(command: Command, target: str) -> None:
    """Garbage as a URL or model path: exit 2, one message, no secret in it, nothing made."""
    command.folder.mkdir()
    result = command.run("pull", target, "-o", "model.gguf").check(2)
    assert "secret" not in one_error(result)
    assert list(command.folder.iterdir()) == []


@pytest.mark.row("range/416-empty-file", "attack/23-empty-blob")
def test_an_empty_file_is_a_file(try_file: Callable[..., Trial]) -> None:
    """A file of no bytes (a range of it is answered with 416) is pulled, hashed and named."""
    trial = try_file(0)
    result = trial.pull("--json")
    assert trial.origin.requests[0].status == 416
    assert trial.target.read_bytes() == b""
    assert result.events_named("file")[0]["sha256"] == EMPTY_SHA256
    trial.pull("--sha256", EMPTY_SHA256)
    trial.assert_exact()


@pytest.mark.row("attack/23-empty-blob")
def test_an_empty_file_is_not_said_to_be_fetched_twice(try_file: Callable[..., Trial]) -> None:
    """Where its digest is another one: there is nothing to fetch."""
    trial = try_file(0)
    result = trial.pull("--sha256", "0" * 64, code=6)
    trial.assert_failed(result, "SHA256", EMPTY_SHA256, "It has no bytes, so either")
    assert "once more" not in result.stderr


@pytest.mark.row("attack/23-empty-blob")
def test_an_empty_file_of_a_server_without_ranges_is_a_file(try_file: Callable[..., Trial]) -> None:
    """The same where the answer is 200 with Content-Length 0."""
    trial = try_file(0, ranges=False)
    trial.pull()
    trial.assert_exact()


@pytest.mark.parametrize("size", [1, 255, 256 << 10, (256 << 10) + 1, MIB - 1])
@pytest.mark.row("range/edges-of-segments")
def test_sizes_at_the_edges_of_segments_are_exact(try_file: Callable[..., Trial], size: int) -> None:
    """One byte, just less than a segment, a segment, one byte more."""
    trial = try_file(size)
    trial.pull()
    trial.assert_exact()
    assert trial.origin.bytes_sent() == size


@pytest.mark.row("network/proxy-unreachable")
def test_a_proxy_that_cannot_be_reached_is_blamed_itself(trial: Trial) -> None:
    """Where HTTP_PROXY is garbage, the message does not accuse the target's name."""
    env = {"HTTP_PROXY": "garbage.invalid", "http_proxy": None, "NO_PROXY": None, "no_proxy": None}
    result = trial.command.run(*trial.arguments("--retries", 0), env=env).check(5)
    trial.assert_failed(result, "through the proxy", "HTTP_PROXY")


@pytest.mark.row("network/proxy-breaks")
def test_a_proxy_that_breaks_off_is_named(trial: Trial) -> None:
    """It may as well be the server that does: the message names both."""
    trial.origin.fault("close_without_answer")
    env = {"HTTPS_PROXY": trial.origin.base, "https_proxy": None, "NO_PROXY": None, "no_proxy": None}
    target = ("pull", "https://models.example/m.bin", "-o", trial.target, "--retries", 0)
    result = trial.command.run(*target, env=env).check(5)
    trial.assert_failed(result, "models.example/m.bin", re.escape(f"(through the proxy {trial.origin.base})"))
    assert trial.origin.fired("close_without_answer") >= 1


@pytest.mark.parametrize(
    "proxy", ["http://", ":::", "http://[", "socks5://h:1", "ftp://h", "http://a b", "http://h:99999"]
)
@pytest.mark.row("network/proxy-that-is-none")
def test_a_proxy_that_cannot_be_one_is_named(trial: Trial, proxy: str) -> None:
    """What stands in HTTP_PROXY is the user's own mistake, and no fault of the server; it may hold a password."""
    env = {"HTTP_PROXY": proxy, "http_proxy": None, "NO_PROXY": None, "no_proxy": None}
    result = trial.command.run(*trial.arguments(), env=env).check(2)
    trial.assert_failed(result, "HTTP_PROXY is not the address of an HTTP proxy")
    assert trial.origin.requests == []


def test_an_error_code_of_the_hub_at_a_plain_address(trial: Trial) -> None:
    """Other servers send X-Error-Code, too: what has no revisions is not said to lack a file of one."""
    trial.origin.fault("status", code=403, headers={"X-Error-Code": "EntryNotFound"})
    assert "revision" not in trial.assert_failed(trial.pull(code=4), "refuses access", "--token or --header")


@pytest.mark.row("disk/store-not-writable")
def test_a_store_that_cannot_be_written_is_named(trial: Trial, tmp_path: Path) -> None:
    """The receipt's place matters with -o, too: the message says which variable moves it."""
    (tmp_path / "blocked").write_text("a file")
    result = trial.command.run(*trial.arguments(), env={"JARVIS_HOME": str(tmp_path / "blocked")}).check(7)
    trial.assert_failed(result, "JARVIS_HOME", "blocked")
