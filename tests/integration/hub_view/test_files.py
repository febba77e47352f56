"""Files of the server: whole, by ranges, under conditions."""

import hashlib
import http.client
from pathlib import Path

import pytest

from tests.integration.hub_view.client import WEIGHTS, Answer, Client


def test_get_whole_file(client: Client) -> None:
    """A file comes with its SHA-256 as ETag, its length, the commit, and no more than the Hub would tell."""
    answer = client.get("/acme/tiny/resolve/main/weights.gguf")
    assert (answer.status, answer.body) == (200, WEIGHTS)
    assert answer.headers["ETag"] == f'"{hashlib.sha256(WEIGHTS).hexdigest()}"'
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert len(answer.headers["X-Repo-Commit"]) == 40
    assert "X-Xet-Hash" not in answer.headers
    assert "Content-Encoding" not in answer.headers


def test_head_tells_what_get_would(client: Client) -> None:
    """HEAD has GET's headers and no body, also with a Range."""
    get = client.get("/acme/tiny/resolve/main/weights.gguf")
    for headers in ({}, {"Range": "bytes=0-1"}):
        head = client.ask("HEAD", "/acme/tiny/resolve/main/weights.gguf", headers)
        assert (head.status, head.body) == (200, b"")
        for name in ("ETag", "Content-Length", "X-Repo-Commit", "Accept-Ranges", "Content-Type"):
            assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize(
    ("text", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1000-1999", 1000, 2000),
        ("bytes=10239990-", 10_239_990, 10_240_000),
        ("bytes=10239990-99999999", 10_239_990, 10_240_000),
        ("bytes=-7", 10_239_993, 10_240_000),
        ("bytes=0-", 0, 10_240_000),
    ],
)
def test_range(client: Client, text: str, start: int, stop: int) -> None:
    """A range answers 206 with exactly its bytes, cut at the end of the file."""
    answer = client.get("/acme/tiny/resolve/main/weights.gguf", Range=text)
    assert (answer.status, answer.body) == (206, WEIGHTS[start:stop])
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(WEIGHTS)}"
    assert answer.headers["Content-Length"] == str(stop - start)


@pytest.mark.parametrize(
    ("name", "text", "total"),
    [
        ("weights.gguf", "bytes=10240000-", 10_240_000),
        ("empty.txt", "bytes=0-0", 0),
        ("config.json", "bytes=x", 9),
    ],
)
def test_range_outside_of_the_file(client: Client, name: str, text: str, total: int) -> None:
    """What selects nothing gets 416 and the size, with an empty body, and the connection goes on."""
    connection = http.client.HTTPConnection(client.host, client.port, timeout=20)
    connection.request("GET", f"/acme/tiny/resolve/main/{name}", headers={"Range": text})
    answer = Answer(connection.getresponse())
    assert (answer.status, answer.body) == (416, b"")
    assert answer.headers["Content-Range"] == f"bytes */{total}"
    connection.request("GET", "/solo/resolve/main/README.md")
    assert Answer(connection.getresponse()).body == b"# solo\n"
    connection.close()


def test_several_ranges_get_the_whole_file(client: Client) -> None:
    """One range is answered; several, in one header or in two, get all of it."""
    target = "/acme/tiny/resolve/main/config.json"
    assert client.get(target, Range="bytes=0-1,3-4").status == 200
    fields = "Host: localhost\r\nRange: bytes=0-1\r\nRange: bytes=3-4\r\nConnection: close"
    assert client.raw(f"GET {target} HTTP/1.1\r\n{fields}\r\n\r\n".encode()).startswith(b"HTTP/1.1 200 ")


def test_a_header_of_ten_thousand_ranges_is_refused(client: Client) -> None:
    """It is not taken apart (CVE-2025-62727, CVE-2011-3192): a line that long is refused as a whole, a shorter one
    gets the whole file once."""
    target = "/acme/tiny/resolve/main/config.json"
    many = "bytes=" + ",".join(f"{n}-{n}" for n in range(10_000))
    assert client.raw(_asking(target, many)).split()[1] == b"400"
    answer = client.get(target, Range=many[:8000].rpartition(",")[0])
    assert (answer.status, answer.body) == (200, b'{"a": 1}\n')
    assert client.get(target, Range=f"bytes=0-{'9' * 7000}").status == 416


def _asking(target: str, ranges: str) -> bytes:
    return (
        f"GET {target} HTTP/1.1\r\nHost: localhost\r\nRange: {ranges}\r\nConnection: close\r\n\r\n".encode()
    )


def test_conditions(client: Client) -> None:
    """If-Match, If-None-Match and If-Range are weighed against the ETag that was handed out."""
    target = "/acme/tiny/resolve/main/weights.gguf"
    etag = client.ask("HEAD", target).headers["ETag"]
    assert client.get(target, If_Match=etag, Range="bytes=0-3").status == 206
    assert client.get(target, If_Match='"other"', Range="bytes=0-3").status == 412
    unchanged = client.get(target, If_None_Match=etag)
    assert (unchanged.status, unchanged.body, unchanged.headers["ETag"]) == (304, b"", etag)
    assert client.get(target, If_Range=etag, Range="bytes=0-3").body == WEIGHTS[:4]
    assert client.get(target, If_Range='"other"', Range="bytes=0-3").body == WEIGHTS


def test_etag_and_commit_change_with_content(client: Client, root: Path) -> None:
    """New content has a new ETag and a new commit at once; the old commit does not serve it."""
    target = "/acme/tiny/resolve/{}/config.json"
    before = client.get(target.format("main"))
    (root / "acme/tiny/config.json").write_bytes(b'{"a": 2}\n')
    after = client.get(target.format("main"))
    assert after.body == b'{"a": 2}\n'
    assert after.headers["ETag"] != before.headers["ETag"]
    old, new = before.headers["X-Repo-Commit"], after.headers["X-Repo-Commit"]
    assert old != new
    gone = client.get(target.format(old))
    assert (gone.status, gone.headers["X-Error-Code"]) == (404, "RevisionNotFound")
    assert client.get(target.format(new)).body == b'{"a": 2}\n'


@pytest.mark.row("attack/43-stored-script")
def test_html_is_no_page_of_this_server(client: Client) -> None:
    """A model's HTML file arrives as bytes that a browser neither sniffs nor runs."""
    answer = client.get("/acme/tiny/resolve/main/page.html")
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "target",
    [
        "/acme/tiny/resolve/main/page.html",
        "/acme/tiny/resolve/main/nope",
        "/api/models",
        "/api/models/acme/tiny/tree/main",
        "/v2/",
        "/v2/acme/tiny/manifests/nope",
        "/%ff",
    ],
)
def test_every_answer_is_closed_to_browsers(client: Client, target: str) -> None:
    """Files, listings and errors: not sniffed, not run, not framed, not loaded by another site's page, and readable to
    none of its scripts."""
    for method in ("GET", "HEAD", "POST"):
        headers = client.ask(method, target, {"Origin": "https://evil.example"}).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        policy = {rule.strip() for rule in headers["Content-Security-Policy"].split(";")}
        assert policy == {"default-src 'none'", "frame-ancestors 'none'", "sandbox"}
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Access-Control-Allow-Origin"] is None
        assert headers["Set-Cookie"] is None
