"""What strangers may send: foreign hosts, and what is no HTTP."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("aiohttp")

from engine.server.run import BackgroundServer
from tests.integration.hub_view.client import Client


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:99", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("evil.example:80", 403),
        ("192.168.0.1", 403),
        ("", 400),
        ("local host", 400),
        ("localhost:x", 400),
        ("user@localhost", 400),
        ("localhost/", 400),
        ("[::1", 400),
    ],
)
@pytest.mark.row("attack/40-host-header")
def test_host_header_must_be_loopbacks(client: Client, host: str, status: int) -> None:
    """A name that somebody makes to lead here (DNS rebinding) is answered 403, what is no host 400."""
    request = f"GET /api/models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    assert int(client.raw(request.encode()).split()[1]) == status


@pytest.mark.row("attack/40-host-header")
def test_host_header_missing_or_doubled(client: Client) -> None:
    """Exactly one Host header is required; a target with a host of its own does not stand in for it."""
    for request in (
        "GET /api/models HTTP/1.1",
        "GET /api/models HTTP/1.0",
        "GET /api/models HTTP/1.1\r\nHost: localhost\r\nHost: evil.example",
        "GET http://evil.example/api/models HTTP/1.1\r\nHost: localhost",
        "GET http://localhost/api/models HTTP/1.1\r\nHost: localhost",
    ):
        answer = client.raw(f"{request}\r\nConnection: close\r\n\r\n".encode())
        assert int(answer.split()[1]) == 400


@pytest.mark.parametrize(
    ("site", "mode", "destination", "status"),
    [
        ("cross-site", "no-cors", "image", 403),
        ("cross-site", "cors", "empty", 403),
        ("same-site", "no-cors", "script", 403),
        ("cross-site", "navigate", "iframe", 403),
        ("cross-site", "navigate", "document", 200),
        ("same-origin", "cors", "empty", 200),
        ("none", "navigate", "document", 200),
        ("", "", "", 200),
    ],
)
@pytest.mark.row("attack/42-cors")
def test_pages_of_other_sites_get_nothing(
    client: Client, site: str, mode: str, destination: str, status: int
) -> None:
    """A page that the user happens to visit can have a browser ask here; browsers say so. A link may be followed."""
    fetch = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": destination}
    headers = {name: value for name, value in fetch.items() if value}
    answer = client.ask("GET", "/api/models/acme/tiny", headers)
    assert answer.status == status
    assert answer.headers["Content-Security-Policy"]


def test_allowed_hosts_can_be_named(root: Path) -> None:
    """Other names are answered when they are allowed, and then only they."""
    with BackgroundServer(root, allow_hosts=frozenset({"Models.Example"})) as server:
        client = Client(server.url)
        assert client.get("/api/models", Host="models.example:80").status == 200
        assert client.get("/api/models", Host="localhost").status == 403


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_what_is_no_http_gets_400(client: Client, data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """Malformed requests are answered 400, without a traceback in the answer or on the terminal."""
    answer = client.raw(data)
    assert answer.split()[1] == b"400"
    assert b"Traceback" not in answer
    assert b".py" not in answer
    assert client.get("/api/models").status == 200
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("ranges", "status"), [(1500, 200), (10_000, 400)])
@pytest.mark.row("attack/46-many-ranges")
def test_thousands_of_ranges_cost_nothing(client: Client, ranges: int, status: int) -> None:
    """As many as a header holds get the whole file, once; more are no request. Neither makes a body of parts."""
    target = "/acme/tiny/resolve/main/config.json"
    whole = client.get(target).body
    answer = client.get(target, Range="bytes=" + ",".join(["0-0"] * ranges))
    assert answer.status == status
    assert "multipart" not in answer.headers.get("Content-Type", "")
    assert answer.body == whole or status == 400
    assert client.get(target).body == whole


PIECES = st.sampled_from(
    [*"/.%?&=#:\\\"<>{}+~ ", "/resolve/", "/main/", "api/models", "acme/tiny", "tree", "revision", "refs", "solo",
     "paths-info", "config.json", "%2f", "%00", "%0a", "%e2%80%ae", "%F0%9F", "..", "cursor=", "limit=", "expand=true",
     "recursive=1", "blobs=true", "a" * 300],
)  # fmt: skip


def test_no_target_brings_the_server_down(root: Path) -> None:
    """Whatever a client asks for, it is answered, and never with a server's error."""
    with BackgroundServer(root) as server:
        client = Client(server.url)

        @settings(max_examples=300, deadline=None)
        @given(st.lists(PIECES, max_size=12), st.sampled_from(["GET", "HEAD", "POST", "OPTIONS"]))
        def ask(pieces: list[str], method: str) -> None:
            request = f"{method} /{''.join(pieces)} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            assert client.raw(request.encode()).split()[1] in (b"200", b"400", b"404", b"405")

        ask()
