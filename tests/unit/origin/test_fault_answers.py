"""Faults before an answer, and other answers than the right one."""

import socket
import time

import pytest

from tests.certificates import Certificates
from tests.origin import Origin
from tests.unit.origin.made import MODEL, Fetch, Make, get, raw


def test_informational(origin: Origin) -> None:
    """informational: responses that are none yet, then the good answer."""
    origin.fault("informational", code=103, count=2, times=1)
    said = raw(origin, get("m", "Connection: close"))
    assert said.count(b"HTTP/1.1 103 ") == 2
    assert said.rindex(b"HTTP/1.1 103 ") < said.index(b"HTTP/1.1 200 ")


def test_drip_headers(origin: Origin) -> None:
    """drip_headers: a status line, then header after header, without an end."""
    origin.fault("drip_headers", every_s=0.01)
    with socket.create_connection(("127.0.0.1", origin.port)) as client:
        client.sendall(b"GET /f HTTP/1.1\r\nHost: x\r\n\r\n")
        came = b""
        while came.count(b"X-More") < 3:
            came += client.recv(4096)
    assert came.startswith(b"HTTP/1.1 200 OK\r\n") and b"\r\n\r\n" not in came
    assert origin.fired("drip_headers") == 1


def test_hang_before_headers(origin: Origin) -> None:
    """hang_before_headers: nothing for so long, then a good answer."""
    origin.fault("hang_before_headers", seconds=0.4)
    started = time.monotonic()
    assert raw(origin, get("m", "Connection: close")).endswith(MODEL.read())
    assert time.monotonic() - started >= 0.4
    assert origin.fired("hang_before_headers") == 1


def test_a_client_that_leaves_ends_the_hang(origin: Origin) -> None:
    """The thread of a hanging connection ends with its client, and the record says so."""
    origin.fault("hang_before_headers")
    with socket.create_connection((origin.host, origin.port), 10) as sock:
        sock.sendall(get("m").encode())
        origin.wait_fired("hang_before_headers")
    origin.wait_idle()
    assert origin.requests[0].ended is not None
    assert origin.requests[0].status is None


@pytest.mark.parametrize(("reset", "code"), [(False, 52), (True, 56)])
def test_close_without_answer(origin: Origin, curl: Fetch, reset: bool, code: int) -> None:
    """close_without_answer: FIN (curl 52) or RST (curl 56) in place of an answer."""
    origin.fault("close_without_answer", reset=reset)
    assert curl(origin.url("m")).code == code
    assert origin.requests[0].status is None


def test_garbage(origin: Origin) -> None:
    """garbage: bytes that are not HTTP."""
    origin.fault("garbage", data=b"SSH-2.0-x\r\n")
    assert raw(origin, get("m")) == b"SSH-2.0-x\r\n"


def test_refuse_and_listen_again(origin: Origin, curl: Fetch) -> None:
    """refuse: connections are refused (curl 7) until the time is over; the port stays ours."""
    origin.fault("refuse", times=1)
    assert curl(origin.url("m")).code == 56
    assert curl(origin.url("m")).code == 7
    origin.listen()
    assert curl(origin.url("m")).body == MODEL.read()
    origin.refuse(seconds=0.3)
    assert curl(origin.url("m")).code == 7
    assert curl(origin.url("m"), "--retry", "5", "--retry-connrefused").body == MODEL.read()


def test_limit_connections(origin: Origin, curl: Fetch) -> None:
    """limit_connections: above n open connections a further one gets 503, and is counted."""
    origin.fault("limit_connections", n=1)
    with socket.create_connection((origin.host, origin.port), 10) as first:
        first.sendall(get("m", "Range: bytes=0-0").encode())
        first.recv(65536)
        assert curl(origin.url("m")).status == 503
    origin.wait_idle()
    assert curl(origin.url("m")).status == 200
    assert origin.fired("limit_connections") == 1


def test_hang_on_connect(origin_factory: Make, curl: Fetch, tls: Certificates) -> None:
    """hang_on_connect: not even a TLS handshake, on the nth connection."""
    origin = origin_factory({"m": MODEL}, tls=tls)
    origin.fault("hang_on_connect", nth=1)
    assert curl(origin.url("m"), "--cacert", str(tls.cacert), time_s=0.5).code == 28
    assert curl(origin.url("m"), "--cacert", str(tls.cacert)).status == 200
    assert origin.fired("hang_on_connect") == 1


# Another answer


def test_status_with_headers_and_body(origin: Origin, curl: Fetch) -> None:
    """status: any code with any headers and body, so many times."""
    origin.fault("status", code=503, headers={"Retry-After": "1"}, body="later", times=1)
    got = curl(origin.url("m"))
    assert (got.status, got.headers["retry-after"], got.body) == (503, "1", b"later")
    assert curl(origin.url("m")).status == 200


def test_redirects(origin: Origin, curl: Fetch) -> None:
    """redirect_loop never ends; redirect_to leads anywhere, and may hold line ends."""
    loop = origin.fault("redirect_loop", times=30, distinct=True)
    assert curl(origin.url("m"), "-L", "--max-redirs", "20").code == 47
    assert loop.fired == 21
    assert len({record.target for record in origin.requests}) == 21
    origin.behave()
    origin.fault("redirect_to", location="file:///etc/passwd", times=1)
    assert curl(origin.url("m"), "-L").code == 1
    origin.fault("redirect_to", location="/x\r\nSet-Cookie: a=b")
    assert b"Location: /x\r\nSet-Cookie: a=b\r\n" in raw(origin, get("m", "Connection: close"))
