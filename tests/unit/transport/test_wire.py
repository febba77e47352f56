"""The wire: whom a public server may lead it to, and that a body comes as it was sent."""

import socket
from collections.abc import Callable, Iterator

import pytest

from engine.settings import Settings
from engine.transport import addresses
from engine.transport.auth import Credentials
from engine.transport.retry import WireError
from engine.transport.wire import Wire
from tests.origin import File, Origin

PRIVATE = "127.0.0.2"
"""Of all addresses here the one that counts as private: 127.0.0.1 plays the public ones."""


@pytest.fixture
def wire(home: object) -> Iterator[Wire]:
    wire = Wire(Settings(), Credentials())
    yield wire
    wire.close()


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Addresses by name, to be filled. They are asked for anew by whoever has not asked yet."""
    names: dict[str, str] = {}
    system = socket.getaddrinfo
    monkeypatch.setattr(addresses, "is_public", lambda address: address != PRIVATE)
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *more, **how: system(names.get(host, host), *more, **how)
    )
    return names


class Service:
    """What listens in a private network, and should never hear of us."""

    def __init__(self) -> None:
        self._listener = socket.create_server((PRIVATE, 0))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]

    @property
    def was_asked(self) -> bool:
        try:
            self._listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


def refused(wire: Wire, url: str, **how: bool) -> str:
    with pytest.raises(WireError) as caught:
        wire.open("GET", url, {}, read_timeout_s=5, **how)
    assert caught.value.failure.kind == "redirect"
    assert caught.value.failure.is_final
    return caught.value.failure.message


def test_a_public_server_leads_into_no_private_network(
    wire: Wire, internet: dict[str, str], service: Service, origin_factory: Callable[..., Origin]
) -> None:
    """By address or by name: it is refused before anything is sent."""
    internet["intranet.example"] = PRIVATE
    for host in (PRIVATE, "intranet.example"):
        origin = origin_factory({"m": File(b"", redirect=f"http://{host}:{service.port}/admin")})
        assert PRIVATE in refused(wire, origin.url("m"))
    assert not service.was_asked


def test_who_types_a_private_address_gets_it(
    wire: Wire, internet: dict[str, str], service: Service, origin_factory: Callable[..., Origin]
) -> None:
    """A private server may be asked, and may lead to another one: only who comes from outside is kept out."""
    internet["nas.example"] = PRIVATE
    inner = origin_factory({"m": b"content"}, host=PRIVATE)
    outer = origin_factory({"m": File(b"", redirect=inner.url("m"))}, host=PRIVATE)
    answer = wire.open("GET", f"http://nas.example:{outer.port}/m", {})
    assert answer.response.read() == b"content"
    assert not answer.must_be_public


def test_an_address_that_was_led_to_stays_public(
    wire: Wire, internet: dict[str, str], service: Service, origin_factory: Callable[..., Origin]
) -> None:
    """DNS rebinding: the name was public when the server led there, and is private when other lanes go there
    directly."""
    internet["rebind.example"] = "127.0.0.1"
    edge = origin_factory({"m": b"content"})
    origin = origin_factory({"m": File(b"", redirect=f"http://rebind.example:{edge.port}/m")})
    answer = wire.open("GET", origin.url("m"), {})
    answer.close()
    assert answer.must_be_public

    internet["rebind.example"] = PRIVATE
    later = Wire(Settings(), Credentials())
    found = f"http://rebind.example:{service.port}/m"
    refused(later, found, must_be_public=answer.must_be_public)
    later.close()
    assert not service.was_asked


@pytest.mark.parametrize("host", ["169.254.169.254", "localhost", "2130706433", "metadata", "a.internal"])
def test_nor_does_it_through_a_proxy(home: object, origin_factory: Callable[..., Origin], host: str) -> None:
    """The proxy finds the address, so the name has to do; it may stand in a private network of its own."""
    proxy = origin_factory()
    proxy.fault("redirect_to", location=f"http://{host}/latest/meta-data")
    wire = Wire(Settings(proxy=proxy.base), Credentials())
    assert host in refused(wire, "http://public.example/m")
    wire.close()
    assert len(proxy.requests) == 1


def test_a_body_comes_as_it_was_sent(wire: Wire, origin_factory: Callable[..., Origin]) -> None:
    """Nothing is decoded behind our back: identity is asked for, and a body that is compressed all the same is not
    unpacked, which would be a bomb's chance."""
    origin = origin_factory({"m": b"content"})
    origin.fault("gzip", encoding="gzip", bomb_bytes=1 << 20)
    answer = wire.open("GET", origin.url("m"), {})
    assert origin.requests[0].headers.get("Accept-Encoding") == "identity"
    body = answer.response.read()
    assert body[:2] == b"\x1f\x8b" and len(body) < 1 << 14
