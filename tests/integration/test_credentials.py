"""Who gets which credentials: a second server writes down what it was sent, on every way that leads to one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.transport.challenge import basic
from tests.certificates import Certificates
from tests.connect_proxy import ConnectProxy
from tests.integration.trial import MIB, Trial
from tests.origin import File, Origin, Record

GIVEN = {
    "Authorization": "Basic c2VjcmV0OnNlY3JldA==",
    "Cookie": "session=secret",
    "X-Api-Key": "secret",
    "Private-Token": "secret",
}
"""What `--header` was given for the first server."""
SECRETS = (*GIVEN, "Proxy-Authorization")
WAYS = {
    "another port": (False, False),
    "another port under TLS": (True, True),
    "from http up to https": (False, True),
}


def secrets_in(records: list[Record]) -> set[str]:
    """The names of secret headers that some request carried."""
    return {name for record in records for name in SECRETS if record.headers.get(name) is not None}


def words() -> list[str]:
    return [word for name, value in GIVEN.items() for word in ("--header", f"{name}: {value}")]


@pytest.mark.parametrize(("first", "second"), WAYS.values(), ids=WAYS)
@pytest.mark.row("attack/30-credentials-elsewhere")
def test_a_redirect_carries_no_credentials_to_another_origin(
    try_file: Callable[..., Trial],
    origin_factory: Callable[..., Origin],
    tls: Certificates,
    first: bool,
    second: bool,
) -> None:
    """Scheme, host and port make an origin: the same host at another port is somebody else. In the probe as in all
    requests that go to the found address directly."""
    trial = try_file(MIB, tls=tls if first else None)
    other = origin_factory({"m": File(trial.content)}, tls=tls if second else None)
    trial.origin.add("model.gguf", File(trial.content, redirect=other.url("m")))
    trial.options = ("--cacert", tls.cacert)
    trial.pull("-p", 0, *words())
    trial.assert_exact()
    assert secrets_in(trial.origin.requests) == set(GIVEN)
    assert len(other.requests) > 1
    assert secrets_in(other.requests) == set()


def test_a_redirect_within_the_origin_keeps_them(trial: Trial) -> None:
    """The same server under another path is who they were given for."""
    trial.origin.add("moved.gguf", File(trial.content))
    trial.origin.add("model.gguf", File(trial.content, redirect="/moved.gguf"))
    trial.pull("-p", 0, *words())
    trial.assert_exact()
    assert all(secrets_in([record]) == set(GIVEN) for record in trial.origin.requests)


@pytest.mark.row("attack/30-credentials-elsewhere")
def test_they_do_not_come_back_with_a_detour(trial: Trial, origin_factory: Callable[..., Origin]) -> None:
    """There and back again: the first server gets its own, the one on the way nothing."""
    detour = origin_factory()
    trial.origin.add("home.gguf", File(trial.content))
    detour.add("x", File(b"", redirect=trial.origin.url("home.gguf")))
    trial.origin.add("model.gguf", File(trial.content, redirect=detour.url("x")))
    trial.pull("-p", 0, *words())
    trial.assert_exact()
    assert detour.requests and secrets_in(detour.requests) == set()


@pytest.mark.row("network/proxy-auth")
def test_a_proxys_password_is_the_proxys_alone(try_file: Callable[..., Trial], tls: Certificates) -> None:
    """Through a tunnel, the server sees no Proxy-Authorization."""
    trial = try_file(MIB, tls=tls)
    with ConnectProxy({"localhost": trial.origin.port, "127.0.0.1": trial.origin.port}) as proxy:
        address = proxy.url.replace("http://", "http://user:secret@")
        result = trial.pull("-p", 0, "--proxy", address, "--verbose")
        assert proxy.asked
    trial.assert_exact()
    assert trial.origin.requests and secrets_in(trial.origin.requests) == set()
    assert "secret" not in result.stdout + result.stderr


TOKEN = "tok_S3cr3t0123"


def everything_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.row("attack/31-secrets-repeated")
def test_a_token_in_a_servers_headers_is_in_no_log_receipt_or_journal(
    try_file: Callable[..., Trial], tmp_path: Path
) -> None:
    """A server that was given a token may put it into a tag of the file, which is remembered, or into an address."""
    trial = try_file(etag=f'"{TOKEN}"')
    trial.options = ("--token", TOKEN, "--log-file", tmp_path / "log", "--verbose")
    told = trial.pull().stderr
    trial.assert_exact()
    trial.origin.add("moved", File(trial.content, redirect=f"http://127.0.0.1:1/{TOKEN}"))
    trial.url, trial.target = trial.origin.url("moved"), trial.target.with_name("moved")
    told += trial.pull("--retries", 0, code=5).stderr
    assert TOKEN not in told
    assert TOKEN.encode() not in everything_below(tmp_path)


@pytest.mark.parametrize("processes", [0, 1])
@pytest.mark.row("attack/31-secrets-repeated")
def test_a_signature_that_a_server_repeats_is_kept_nowhere(
    try_file: Callable[..., Trial], tmp_path: Path, processes: int
) -> None:
    """Of an address that was typed: not from a tag, nor from what the server says, whatever its capitals."""
    trial = try_file(etag=f'"{TOKEN}"')
    trial.url += f"?X-Amz-Signature={TOKEN}&response-content-type=plain"
    trial.options = ("--log-file", tmp_path / "log", "--verbose", "-p", processes)
    told = trial.pull().stderr
    trial.assert_exact()
    refusal = trial.origin.fault("status", code=403, headers={"X-Error-Message": f"{TOKEN.upper()} expired"})
    trial.target = trial.target.with_name("another")
    told += trial.pull("--retries", 0, code=4).stderr
    assert refusal.fired
    assert "*** expired" in told
    assert TOKEN.lower() not in told.lower()
    assert TOKEN.lower().encode() not in everything_below(tmp_path).lower()


@pytest.mark.row("attack/31-secrets-repeated")
def test_what_a_token_endpoint_repeats_is_not_shown(
    origin_factory: Callable[..., Origin], jarvis: Callable[..., Any], tmp_path: Path
) -> None:
    """A registry's realm is sent the password, and may say it when it refuses."""
    given = basic("user:s3cr3tpw").partition(" ")[2]
    origin = origin_factory()
    challenge = {"WWW-Authenticate": f'Bearer realm="{origin.url("token")}"'}
    origin.fault("status", when=lambda r: r.path.startswith("v2/"), code=401, headers=challenge)
    body = json.dumps({"errors": [{"code": "DENIED", "message": f"no: {given} s3cr3tpw"}]}).encode()
    refusal = origin.fault("status", path="token", code=403, body=body)
    host = origin.base.partition("://")[2]
    words = ("--token", "user:s3cr3tpw", "--log-file", tmp_path / "log", "--verbose")
    told = jarvis("pull", f"{host}/team/tiny:v1", "-d", tmp_path / "out", *words).check(4).stderr
    assert refusal.fired
    assert "no:" in told
    for word in (given, "s3cr3tpw"):
        assert word not in told
        assert word.encode() not in everything_below(tmp_path)
