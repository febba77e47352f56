"""Who gets which credentials: a second server writes down what it was sent, on every way that leads to one."""

from collections.abc import Callable

import pytest

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
