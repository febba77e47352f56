"""Framings, pace, tokens, signed addresses, certificates: what an origin may be like."""

import re
import socket
import ssl
import time
from pathlib import Path

import pytest

from tests.certificates import Certificates, Identity
from tests.origin import File
from tests.unit.origin.made import MODEL, Fetch, Make


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
