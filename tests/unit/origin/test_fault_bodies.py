"""Bodies and headers that are not what they seem."""

import gzip
import zlib
from collections.abc import Callable

import pytest

from tests.certificates import Certificates
from tests.origin import Origin
from tests.unit.origin.made import MODEL, SIZE, Fetch, Make, get, raw


def test_wrong_content_length(origin: Origin, curl: Fetch) -> None:
    """wrong_content_length: promises more than comes, or sends more than was promised."""
    origin.fault("wrong_content_length", by=10, times=1)
    got = curl(origin.url("m"))
    assert (got.code, len(got.body), got.headers["content-length"]) == (18, SIZE, str(SIZE + 10))
    origin.fault("wrong_content_length", by=-10, times=1)
    answer = raw(origin, get("m"))
    assert f"Content-Length: {SIZE - 10}\r\n".encode() in answer
    assert answer.endswith(b"\r\n\r\n" + MODEL.read())


def test_extra_bytes(origin: Origin) -> None:
    """extra_bytes: what the length does not tell of, on a connection that answers the next request too."""
    origin.fault("extra_bytes", data=b"and more", times=1)
    answers = raw(origin, get("m") + get("m", "Connection: close"))
    first, _, rest = answers.partition(MODEL.read() + b"and more")
    assert f"Content-Length: {SIZE}\r\n".encode() in first
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n") and rest.endswith(MODEL.read())


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
