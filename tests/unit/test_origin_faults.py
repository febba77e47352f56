"""Every fault of the origin does what it says, is counted when it happened, and only then."""

import gzip
import re
import socket
import ssl
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Certificates, Identity
from tests.curl import Curl
from tests.origin import File, Origin, Pattern
from tests.origin.faults import KINDS
from tests.unit.test_origin import get, raw

Make = Callable[..., Origin]
Fetch = Callable[..., Curl]
SIZE = 100_000
MODEL = Pattern(SIZE, seed=3)


@pytest.fixture
def origin(origin_factory: Make) -> Origin:
    return origin_factory({"m": MODEL})


# Which requests a fault strikes


def test_filters_choose_requests(origin: Origin, curl: Fetch) -> None:
    """nth, times, range_start, method, path and when choose; a fault that strikes nothing has not fired."""
    origin.add("other", b"x")
    faults = {
        "nth": origin.fault("header", name="X-Nth", value="1", nth=2, path="m"),
        "times": origin.fault("header", name="X-Times", value="1", times=1),
        "start": origin.fault("header", name="X-Start", value="1", range_start=500),
        "method": origin.fault("header", name="X-Method", value="1", method="HEAD"),
        "when": origin.fault("header", name="X-When", value="1", when=lambda r: r.headers.has("X-Ask")),
    }
    first = curl(origin.url("other"))
    second = curl(origin.url("m"), "-r", "500-")
    third = curl(origin.url("m"), "-H", "X-Ask: yes")
    shown = [{k for k in got.headers if k in {f"x-{n}" for n in faults}} for got in (first, second, third)]
    assert shown == [{"x-times"}, {"x-start"}, {"x-nth", "x-when"}]
    assert {name: fault.fired for name, fault in faults.items()} == {
        "nth": 1, "times": 1, "start": 1, "method": 0, "when": 1,
    }  # fmt: skip


def test_chance_is_decided_by_the_seed(origin_factory: Make, curl: Fetch) -> None:
    """With a probability, the same seed strikes the same requests again."""

    def struck(seed: int) -> list[bool]:
        origin = origin_factory({"m": b"x"})
        origin.fault("header", name="X-Hit", value="1", probability=0.5, seed=seed)
        raw(origin, get("m") * 15 + get("m", "Connection: close"))
        return [bool(record.faults) for record in origin.requests]

    assert struck(1) == struck(1)
    assert struck(1) != struck(2)
    assert 0 < sum(struck(1)) < 16


def test_a_body_fault_beyond_the_end_has_not_fired(origin: Origin, curl: Fetch) -> None:
    """What never happened is not counted, nor is one of its times used up."""
    origin.fault("cut", after_bytes=SIZE, times=1)
    fault = origin.fault("cut", offset=60_000, times=1)
    assert curl(origin.url("m"), "-r", "0-59999").code == 0
    assert origin.fired("cut") == 0
    got = curl(origin.url("m"), "-r", "50000-")
    assert (got.code, len(got.body), fault.fired) == (18, 10_000, 1)
    assert curl(origin.url("m")).body == MODEL.read()


def test_misspelt_faults_and_options_are_refused(origin: Origin) -> None:
    """A fault or option that does not exist would be a test that tests nothing."""
    for name, options in [("stal", {}), ("stall", {"second": 1}), ("status", {}), ("limit_connections", {})]:
        with pytest.raises(TypeError):
            origin.fault(name, **options)
    with pytest.raises(TypeError):
        origin.fired("stal")


def test_behave_ends_faults(origin: Origin, curl: Fetch) -> None:
    """After behave() nothing fires, and what fired stays counted."""
    origin.fault("status", code=500)
    assert curl(origin.url("m")).status == 500
    origin.behave()
    assert curl(origin.url("m")).status == 200
    assert origin.fired("status") == 1


# Before an answer


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


# Ranges answered wrongly


@pytest.mark.parametrize(
    ("name", "options", "status", "content_range", "body"),
    [
        ("ok_to_range", {}, 200, None, MODEL.read()),
        ("shifted_range", {}, 206, "bytes 101-200/100000", MODEL.read(101, 201)),
        ("shifted_range", {"by": -7}, 206, "bytes 93-192/100000", MODEL.read(93, 193)),
        ("shifted_range", {"lie": True}, 206, "bytes 101-200/100000", MODEL.read(100, 200)),
        ("wrong_total", {}, 206, "bytes 100-199/100001", MODEL.read(100, 200)),
        ("wrong_total", {"by": -1}, 206, "bytes 100-199/99999", MODEL.read(100, 200)),
        ("star_total", {}, 206, "bytes 100-199/*", MODEL.read(100, 200)),
        ("short_range", {}, 206, "bytes 100-149/100000", MODEL.read(100, 150)),
        ("short_range", {"by": 1}, 206, "bytes 100-198/100000", MODEL.read(100, 199)),
        ("long_range", {}, 206, "bytes 100-200/100000", MODEL.read(100, 201)),
        ("long_range", {"by": 10**9}, 206, "bytes 100-99999/100000", MODEL.read(100)),
        ("no_content_range", {}, 206, None, MODEL.read(100, 200)),
        ("416_no_range", {}, 416, None, b""),
        ("416_no_range", {"content_range": "bytes */5"}, 416, "bytes */5", b""),
    ],
)
def test_range_faults(
    origin: Origin,
    curl: Fetch,
    name: str,
    options: dict[str, Any],
    status: int,
    content_range: str,
    body: bytes,
) -> None:
    """Each wrong answer to a range is that, and well-formed HTTP otherwise; a plain GET is untouched."""
    origin.fault(name, **options)
    assert curl(origin.url("m")).body == MODEL.read()
    assert origin.fired(name) == 0
    got = curl(origin.url("m"), "-r", "100-199")
    assert (got.code, got.status, got.headers.get("content-range")) == (0, status, content_range)
    assert got.body == body
    assert got.headers["content-length"] == str(len(body))
    assert origin.fired(name) == 1
    assert origin.requests[1].faults == [name]


def test_multipart(origin: Origin, curl: Fetch) -> None:
    """multipart: the range as the one part of a multipart/byteranges body."""
    origin.fault("multipart")
    got = curl(origin.url("m"), "-r", "100-199")
    assert got.status == 206
    assert "content-range" not in got.headers
    boundary = got.headers["content-type"].partition("boundary=")[2].encode()
    parts = got.body.split(b"\r\n--" + boundary)
    assert len(parts) == 3
    assert parts[2] == b"--\r\n"
    assert parts[1].partition(b"\r\n\r\n")[2] == MODEL.read(100, 200)
    assert b"Content-Range: bytes 100-199/100000" in parts[1]


# Bodies and headers that are not what they seem


def test_wrong_content_length(origin: Origin, curl: Fetch) -> None:
    """wrong_content_length: promises more than comes, or sends more than was promised."""
    origin.fault("wrong_content_length", by=10, times=1)
    got = curl(origin.url("m"))
    assert (got.code, len(got.body), got.headers["content-length"]) == (18, SIZE, str(SIZE + 10))
    origin.fault("wrong_content_length", by=-10, times=1)
    answer = raw(origin, get("m"))
    assert f"Content-Length: {SIZE - 10}\r\n".encode() in answer
    assert answer.endswith(b"\r\n\r\n" + MODEL.read())


@pytest.mark.parametrize(
    ("encoding", "decode"), [("gzip", gzip.decompress), ("deflate", zlib.decompress), ("br", bytes)]
)
def test_content_encoding(origin: Origin, curl: Fetch, encoding: str, decode: Callable) -> None:
    """gzip: an encoding nobody asked for."""
    origin.fault("gzip", encoding=encoding)
    got = curl(origin.url("m"), "-r", "100-199")
    assert got.headers["content-encoding"] == encoding
    assert decode(got.body) == MODEL.read(100, 200)


def test_compression_bomb(origin: Origin, curl: Fetch) -> None:
    """gzip with bomb_bytes: a small body that unpacks to a large one."""
    origin.fault("gzip", bomb_bytes=10_000_000)
    got = curl(origin.url("m"))
    assert len(got.body) < 20_000
    assert gzip.decompress(got.body) == bytes(10_000_000)


def test_huge_headers(origin: Origin) -> None:
    """huge_headers: one line of a mebibyte, or a thousand lines."""
    origin.fault("huge_headers", times=1)
    assert len(raw(origin, get("m", "Connection: close"))) > SIZE + (1 << 20)
    origin.fault("huge_headers", lines=1000, length=100, times=1)
    assert raw(origin, get("m", "Connection: close")).count(b"X-Filler-") == 1000


def test_etag_change_for_good(origin: Origin, curl: Fetch) -> None:
    """etag_change: from the nth request on another version, of the same size, and If-Match of the first fails."""
    origin.fault("etag_change", nth=2, times=1)
    first, second, third = (curl(origin.url("m")) for _ in range(3))
    assert first.headers["etag"] != second.headers["etag"] == third.headers["etag"]
    assert first.body == MODEL.read()
    assert first.body != second.body == third.body
    assert len(second.body) == SIZE
    assert origin.fired("etag_change") == 1
    assert curl(origin.url("m"), "-H", f"If-Match: {first.headers['etag']}").status == 412


def test_etag_change_for_one_request(origin: Origin, curl: Fetch) -> None:
    """etag_change that is not permanent: one edge of several has its own ETag, with the same content."""
    origin.fault("etag_change", nth=2, permanent=False, same_content=True, etag='"edge"')
    got = [curl(origin.url("m")) for _ in range(3)]
    assert got[0].headers["etag"] == got[2].headers["etag"] != got[1].headers["etag"] == '"edge"'
    assert got[1].body == MODEL.read()


def test_one_byte_a_second(origin: Origin, curl: Fetch) -> None:
    """one_byte_a_second: as it says, from after_bytes on."""
    origin.fault("one_byte_a_second", after_bytes=SIZE - 1000)
    got = curl(origin.url("m"), time_s=2.5)
    assert got.code == 28
    assert SIZE - 1000 < len(got.body) <= SIZE - 997


def test_body_faults_over_tls(origin_factory: Make, curl: Fetch, tls: Certificates) -> None:
    """cut and reset strike over TLS too; an orderly cut says goodbye first."""
    origin = origin_factory({"m": MODEL}, tls=tls)
    trust = ("--cacert", str(tls.cacert))
    for name, options in [("cut", {}), ("cut", {"orderly": True}), ("reset", {})]:
        origin.fault(name, after_bytes=777, times=1, **options)
        got = curl(origin.url("m"), *trust)
        assert got.code in (18, 56), got.stderr
        assert len(got.body) == 777
    assert curl(origin.url("m"), *trust).body == MODEL.read()


# Other manners


@pytest.mark.parametrize("secure", [False, True])
def test_framings(origin_factory: Make, curl: Fetch, tls: Certificates, secure: bool) -> None:
    """No ranges, chunked without length, HTTP/1.0 without length, no validators: each is what it says."""
    origin = origin_factory(tls=tls if secure else None)
    origin.add("plain", File(MODEL, ranges=False))
    origin.add("chunked", File(MODEL, framing="chunked"))
    origin.add("old", File(MODEL, framing="close", ranges=False))
    origin.add("bare", File(MODEL, validators=False))
    got = {name: curl(origin.url(name), "-r", "5-", "--cacert", str(tls.cacert)) for name in origin.files}
    assert [(g.code, g.status) for g in got.values()] == [(0, 200), (0, 206), (0, 200), (0, 206)]
    assert got["plain"].body == got["old"].body == MODEL.read()
    assert got["chunked"].body == got["bare"].body == MODEL.read(5)
    assert "accept-ranges" not in got["plain"].headers
    assert "content-length" not in got["chunked"].headers | got["old"].headers
    assert not {"etag", "last-modified"} & set(got["bare"].headers)


@pytest.mark.alone
def test_pace(origin_factory: Make, curl: Fetch) -> None:
    """pace: so many bytes a second on each connection."""
    origin = origin_factory({"m": File(MODEL, pace=200_000)})
    started = time.monotonic()
    assert curl(origin.url("m")).body == MODEL.read()
    assert 0.45 < time.monotonic() - started < 2


def test_bearer(origin_factory: Make, curl: Fetch) -> None:
    """bearer: 401 without a token, 403 with another, both with X-Error-Code."""
    origin = origin_factory({"m": File(MODEL, bearer="hf_right")})
    answers = [curl(origin.url("m"), *h) for h in ((), ("-H", "Authorization: Bearer hf_wrong"))]
    assert [(a.status, a.headers["x-error-code"]) for a in answers] == [
        (401, "GatedRepo"),
        (403, "GatedRepo"),
    ]
    assert curl(origin.url("m"), "-H", "Authorization: Bearer hf_right").status == 200


def test_signed_addresses_expire(origin_factory: Make, curl: Fetch) -> None:
    """A redirect signs an address at a second origin: 403 without token, after its uses, and once expired."""
    cdn = origin_factory({"blobs/m": File(MODEL, signed=True)})
    hub = origin_factory({"m": File(b"", redirect=(cdn, "blobs/m"), token_uses=2)})
    assert curl(cdn.url("blobs/m")).status == 403
    signed = curl(hub.url("m")).headers["location"]
    assert re.match(rf"{cdn.base}/blobs/m\?X-Signature=\w+", signed)
    assert [curl(signed, "-r", "0-9").status for _ in range(3)] == [206, 206, 403]
    assert curl(hub.url("m"), "-L").body == MODEL.read()
    signed = curl(hub.url("m")).headers["location"]
    cdn.expire()
    assert curl(signed).status == 403
    assert curl(hub.url("m"), "-L").status == 200


@pytest.mark.parametrize("which", ["expired", "wrong_host", "self_signed"])
def test_bad_certificates_are_refused(origin_factory: Make, tls: Certificates, which: str) -> None:
    """Each bad certificate fails for its own reason in a client that trusts the authority; it is recorded."""
    identity: Identity = getattr(tls, which)
    origin = origin_factory({"m": MODEL}, tls=identity)
    reason = {"expired": "expired", "wrong_host": "mismatch", "self_signed": "self.signed"}[which]
    context = ssl.create_default_context(cafile=str(tls.cacert))
    with (
        socket.create_connection((origin.host, origin.port), 10) as sock,
        pytest.raises(ssl.SSLCertVerificationError, match=reason),
    ):
        context.wrap_socket(sock, server_hostname="127.0.0.1")
    origin.wait_handshake_failures()
    assert not origin.requests


def test_ipv6_and_host_names(origin_factory: Make, curl: Fetch, tls: Certificates) -> None:
    """The good certificate holds for ::1 and localhost too."""
    if not Path("/proc/net/if_inet6").exists():
        pytest.skip("no IPv6 here")
    origin = origin_factory({"m": MODEL}, tls=tls, host="::1")
    trust = ("--cacert", str(tls.cacert))
    assert curl(origin.url("m"), *trust).status == 200
    assert curl(origin.url("m", host="localhost"), *trust).status == 200


def test_every_fault_is_in_the_readme() -> None:
    """The list of faults that people read is the list that there is."""
    text = (Path(__file__).parent.parent / "origin" / "README.md").read_text("utf-8")
    assert set(KINDS) <= set(re.findall(r"`([a-z0-9_]+)`", text))
