"""`jarvis doctor`: it tells what works and what does not, and never fails for looking."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.certificates import Certificates
from tests.command import Result
from tests.origin import File, Origin

Jarvis = Callable[..., Result]


def finding(result: Result, about: str) -> str:
    (line,) = [line for line in result.stdout.splitlines() if f"  {about}: " in line]
    return line


@pytest.fixture
def hub(origin_factory: Callable[..., Origin]) -> Origin:
    return origin_factory({"api/whoami-v2": File(b'{"name": "me"}', bearer="hf_0123456789abcdefXY")})


def at(origin: Origin, **more: str) -> dict[str, str]:
    return {"HF_ENDPOINT": origin.url("").rstrip("/"), **more}


def test_all_is_well(jarvis: Jarvis, hub: Origin, home: Path) -> None:
    """A line for each thing, exit 0, and nothing is left on the disk."""
    result = jarvis("doctor", env=at(hub)).check(0)
    for about in ("version", "disk", "cores", "proxies", "certificates", "token", "server", "link"):
        assert finding(result, about)
    assert finding(result, "link").startswith("ok    link: ")
    assert "locks work; sparse files work" in finding(result, "disk")
    assert not home.exists() and "FAIL" not in result.stdout


def test_token_is_masked_and_tried(jarvis: Jarvis, hub: Origin) -> None:
    """Where it comes from, too little of it to use, and whether the registry takes it."""
    result = jarvis("doctor", env=at(hub, HUGGINGFACE_TOKEN="hf_0123456789abcdefXY")).check(0)
    assert finding(result, "token").endswith("hf_…XY from HUGGINGFACE_TOKEN")
    assert "accepts the token" in finding(result, "link")
    assert "0123456789" not in result.stdout + result.stderr
    refused = jarvis("doctor", env=at(hub, HF_TOKEN="hf_another_token_that_is_wrong")).check(0)
    assert "refuses the token" in finding(refused, "link")


def test_network_that_cannot_be_reached_is_a_finding(jarvis: Jarvis, hub: Origin) -> None:
    """A note with the reason, not a crash and not a failure: files of a local server can still be pulled."""
    hub.refuse()
    result = jarvis("doctor", env=at(hub)).check(0)
    assert "cannot be reached" in finding(result, "link") and "Traceback" not in result.stderr


def test_proxies_are_shown_without_passwords(jarvis: Jarvis, hub: Origin) -> None:
    """Which are set, and never their secrets."""
    env = at(hub, https_proxy="http://user:s3cret@proxy.example:3128", no_proxy="127.0.0.1")
    line = finding(jarvis("doctor", env=env).check(0), "proxies")
    assert "https_proxy=http://proxy.example:3128" in line and "no_proxy=127.0.0.1" in line
    assert "s3cret" not in line


def test_certificates(jarvis: Jarvis, hub: Origin, tls: Certificates, tmp_path: Path) -> None:
    """SSL_CERT_FILE is read; one that cannot be keeps every https pull from working: exit 1."""
    good = jarvis("doctor", env=at(hub, SSL_CERT_FILE=str(tls.cacert))).check(0)
    assert "1 authorities" in finding(good, "certificates") or "1 authority" in finding(good, "certificates")
    bad = jarvis("doctor", env=at(hub, SSL_CERT_FILE=str(tmp_path / "absent.pem"))).check(1)
    assert finding(bad, "certificates").startswith("FAIL")


def test_store_that_cannot_be_written(jarvis: Jarvis, hub: Origin, tmp_path: Path) -> None:
    """A file where the store's folder should be: exit 1, and what to set."""
    (tmp_path / "file").touch()
    result = jarvis("doctor", env=at(hub, JARVIS_HOME=str(tmp_path / "file/store"))).check(1)
    assert "JARVIS_HOME" in finding(result, "disk")


@pytest.mark.parametrize("token", ["", "hf_0123456789abcdefXY"])
@pytest.mark.parametrize("page", [b"<html>Log in</html>", b"[]", b'{"name": 5}'])
def test_a_login_in_between_is_no_good_link(
    jarvis: Jarvis, origin_factory: Callable[..., Origin], page: bytes, token: str
) -> None:
    """What answers 200 with something else accepts no token."""
    portal = origin_factory({"api/whoami-v2": page})
    line = finding(jarvis("doctor", env=at(portal, HF_TOKEN=token)).check(0), "link")
    assert line.startswith("note") and "not as a Hub does" in line and "accepts" not in line
