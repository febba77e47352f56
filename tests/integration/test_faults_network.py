"""Between here and the server: dead addresses, proxies, private networks; and a clock that jumps."""

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.certificates import Certificates
from tests.connect_proxy import ConnectProxy
from tests.integration.trial import MIB, Trial
from tests.origin import File, Origin
from tests.tls_front import tls_front

HERE = "127.0.0.1"
USER = "ada:s3cret-word"


def changed(statements: str) -> list[str]:
    """The command, after these statements in its own process."""
    return [sys.executable, "-c", f"{statements}\nfrom engine.cli import main; main()"]


# Addresses


def two_addresses(first: str) -> list[str]:
    """The command, where models.test has two addresses, of which the second one is the origin's."""
    return changed(
        "import socket\n"
        "real = socket.getaddrinfo\n"
        "def found(host, port, *rest, **more):\n"
        f"    names = ({first!r}, {HERE!r}) if host == 'models.test' else (host,)\n"
        "    return [entry for name in names for entry in real(name, port, *rest, **more)]\n"
        "socket.getaddrinfo = found"
    )


@pytest.fixture
def silent(trial: Trial) -> Iterator[str]:
    """An address where connections to the origin's port hang: somebody listens there and takes no more of them."""
    with ExitStack() as stack:
        address = ("127.0.0.9", trial.origin.port)
        listener = stack.enter_context(socket.create_server(address, backlog=0))
        while True:
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.2)
            try:
                waiting.connect(listener.getsockname())
            except TimeoutError:
                break
        yield address[0]


@pytest.mark.row("network/ipv6-dead")
def test_an_address_that_refuses_is_passed_over(trial: Trial) -> None:
    """Nobody listens at the name's IPv6 address, if this machine has IPv6 at all: the next one is taken."""
    trial.url = trial.origin.url("model.gguf", host="models.test")
    trial.command.run(*trial.arguments("--retries", 0, "-p", 0), entry=two_addresses("::1")).check()
    trial.assert_exact()


@pytest.mark.row("network/ipv6-dead")
def test_an_address_that_is_silent_is_passed_over(trial: Trial, silent: str) -> None:
    """Three seconds are lost with it, once a connection, and no attempt."""
    trial.url = trial.origin.url("model.gguf", host="models.test")
    result = trial.command.run(
        *trial.arguments("--retries", 0, "-p", 0, "-c", 1), entry=two_addresses(silent)
    ).check()
    assert result.seconds > 2.5, "nobody waited, so nothing was silent"
    trial.assert_exact()


@pytest.mark.row("address/redirect-private", "attack/29-redirects")
def test_a_public_server_cannot_lead_into_a_private_network(
    trial: Trial, origin_factory: Callable[..., Any]
) -> None:
    """Whoever pulls from the world is not aimed at services of their own network: no connection is made there. Here
    127.0.0.2 stands for the world."""
    front: Origin = origin_factory({"model.gguf": File(b"", redirect=trial.url)}, host="127.0.0.2")
    trial.url = front.url("model.gguf")
    world = "from engine.transport import addresses; addresses.is_public = '127.0.0.2'.__eq__"
    result = trial.command.run(*trial.arguments("-p", 0), entry=changed(world)).check(5)
    trial.assert_failed(result, "public server redirects", "private address 127.0.0.1")
    assert len(front.requests) == 1
    assert trial.origin.connections == 0
    trial.pull("-p", 0)  # from a private network it is one's own business
    trial.assert_exact()


@pytest.mark.row("address/redirect-changes-host", "attack/30-credentials-elsewhere")
def test_addresses_that_change_their_host_are_followed(
    trial: Trial, origin_factory: Callable[..., Any]
) -> None:
    """Each renewal leads to the other one of two hosts; the token stays with the first."""
    stores: list[Origin] = [
        origin_factory({"blob": File(trial.content, signed=True)}, host=host) for host in (HERE, "127.0.0.2")
    ]
    asked: list[Origin] = []

    def elsewhere(_: object) -> str:
        asked.append(stores[len(asked) % 2])
        return asked[-1].sign("blob", uses=3)

    trial.origin.add("model.gguf", File(trial.content, redirect=elsewhere, bearer="hf_secret"))
    trial.pull("--token", "hf_secret", "-c", 1)
    assert len(asked) >= 3
    for store in stores:
        assert store.bytes_sent()
        assert {record.headers.get("Authorization") for record in store.requests} == {None}
    trial.assert_exact()


# Proxies


def through(proxy: ConnectProxy, **more: str) -> dict[str, str | None]:
    none = dict.fromkeys(("http_proxy", "https_proxy", "no_proxy", "NO_PROXY"))
    return {**none, "HTTP_PROXY": proxy.url, "HTTPS_PROXY": proxy.url, **more}


@pytest.mark.parametrize("processes", [0, 1])
@pytest.mark.row("network/proxy")
def test_plain_http_goes_through_its_proxy(trial: Trial, processes: int) -> None:
    """Every connection, of workers too: the name is known to the proxy alone."""
    trial.url = "http://models.test/model.gguf"
    with ConnectProxy({"models.test": trial.origin.port}) as proxy:
        trial.command.run(*trial.arguments("-p", processes), env=through(proxy)).check()
        assert set(proxy.asked) == {"models.test"}
        assert len(proxy.asked) == trial.origin.connections
    trial.assert_exact()


@pytest.mark.row("network/proxy-connect")
def test_tls_goes_through_a_tunnel(try_file: Callable[..., Trial], tls: Certificates) -> None:
    """The certificate is the server's, checked here, at the other end of the tunnel."""
    trial = try_file(tls=tls)
    with ConnectProxy({HERE: trial.origin.port}) as proxy:
        trial.command.run(*trial.arguments(), env=through(proxy)).check()
        assert len(proxy.asked) == trial.origin.connections >= 1
        trial.forget()
        trial.options = ()
        trial.assert_failed(trial.command.run(*trial.arguments(), env=through(proxy)).check(5), "certificate")
    trial.options = ("--cacert", tls.cacert)
    trial.pull()
    trial.assert_exact()


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.row("network/proxy-over-tls")
def test_a_proxy_may_speak_tls(try_file: Callable[..., Trial], tls: Certificates, secure: bool) -> None:
    """Within which a tunnel may carry TLS of its own."""
    trial = try_file(tls=tls if secure else None)
    trial.options = ("--cacert", tls.cacert)
    with (
        ConnectProxy({HERE: trial.origin.port}) as proxy,
        tls_front(int(proxy.url.rpartition(":")[2]), tls.server.context()) as port,
    ):
        trial.command.run(*trial.arguments("--proxy", f"https://{HERE}:{port}")).check()
        assert len(proxy.asked) >= 1
    trial.assert_exact()


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.row("network/proxy-auth", "network/proxy-auth-missing", "attack/31-secrets-shown")
def test_a_proxys_password_is_for_the_proxy(
    try_file: Callable[..., Trial], tls: Certificates, secure: bool
) -> None:
    """Without it: exit 5 and where it goes. With it: it arrives there, not at the server, and is never shown."""
    trial = try_file(tls=tls if secure else None)
    with ConnectProxy({HERE: trial.origin.port}, user=USER) as proxy:
        refused = trial.command.run(*trial.arguments("--retries", 0), env=through(proxy)).check(5)
        trial.assert_failed(refused, "407", "proxy")
        assert trial.origin.connections == 0
        known = proxy.url.replace("//", f"//{USER}@")
        env = through(proxy, HTTP_PROXY=known, HTTPS_PROXY=known)
        result = trial.command.run(*trial.arguments("--verbose"), env=env).check()
    assert "s3cret-word" not in result.stdout + result.stderr
    for record in trial.origin.requests:
        assert record.headers.get("Proxy-Authorization") is record.headers.get("Authorization") is None
    trial.assert_exact()


@pytest.mark.row("network/no-proxy")
def test_what_is_excepted_from_the_proxy_is_asked_directly(trial: Trial) -> None:
    """NO_PROXY names the server: the proxy hears nothing."""
    with ConnectProxy({}) as proxy:
        trial.command.run(*trial.arguments(), env=through(proxy, NO_PROXY=HERE)).check()
        assert proxy.asked == []
    trial.assert_exact()


# The clock

JUMPS = """
import itertools, time
real, years = time.time, itertools.cycle([0, 1e9, -1e9, 5])
time.time = lambda: real() + next(years)
time.time_ns = lambda: int(time.time() * 1e9)
"""


@pytest.mark.row("network/clock-jumps", "attack/55-clock")
def test_a_clock_that_jumps_changes_nothing(trial: Trial) -> None:
    """By thirty years, back and forth, with every look: a pull under a limit breaks off where it must, is resumed,
    and is exact; nothing stalls, and nothing is waited for."""
    trial.origin.fault("reset", when=lambda r: r.range is not None and r.range[1] > 2 * MIB)
    words = ("-p", 0, "--limit-rate", "8MiB")
    broken = trial.command.run(*trial.arguments("--retries", 0, *words), entry=changed(JUMPS)).check(5)
    trial.assert_failed(broken, "early")
    assert trial.origin.fired("reset") >= 1
    assert trial.segments_on_disk() >= 1
    trial.origin.behave()
    trial.origin.wait_idle()
    result = trial.command.run(*trial.arguments(*words, "--json"), entry=changed(JUMPS)).check()
    assert "stalled" not in {event["kind"] for event in result.events_named("retry")}
    assert result.events_named("file")[0]["held_bytes"] > 0
    assert result.seconds < 15
    trial.assert_exact()


@pytest.mark.row("disk/no-locks")
def test_a_file_system_without_locks_is_refused(trial: Trial) -> None:
    """Nobody could tell whether another pull writes there: exit 8 before anything is written, and what to do."""
    without = (
        "import fcntl, errno\n"
        "def none(*_): raise OSError(errno.ENOLCK, 'No locks available')\n"
        "fcntl.flock = none"
    )
    result = trial.command.run(*trial.arguments("-p", 0), entry=changed(without)).check(8)
    trial.assert_failed(result, "no locks", "local folder")
    assert trial.origin.bytes_sent() == 0
