"""The server as bytes on a socket: ranges, trees, errors, and what strangers may send."""

import hashlib
import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("aiohttp")

from engine.server.run import BackgroundServer

WEIGHTS = bytes(range(256)) * 40_000  # 10,240,000 bytes


class Answer:
    """An answer that has been read to its end."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Requests whose target goes out exactly as given, over one connection each."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 0

    def ask(self, method: str, target: str, headers: dict[str, str] | None = None, body: str = "") -> Answer:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        try:
            connection.request(method, target, body=body or None, headers=headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, target: str, **headers: str) -> Answer:
        return self.ask("GET", target, {key.replace("_", "-"): value for key, value in headers.items()})

    def raw(self, data: bytes) -> bytes:
        """Everything that comes back for these bytes until the server closes."""
        with socket.create_connection((self.host, self.port), timeout=20) as plain:
            plain.sendall(data)
            return b"".join(iter(lambda: plain.recv(65536), b""))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "acme/tiny/config.json": b'{"a": 1}\n',
        "acme/tiny/weights.gguf": WEIGHTS,
        "acme/tiny/empty.txt": b"",
        "acme/tiny/subfolder/to?/ca%2Fche": b"awful",
        "acme/tiny/page.html": b"<script>alert(1)</script>",
        "solo/README.md": b"# solo\n",
    }
    for name, data in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "root"


@pytest.fixture
def client(root: Path) -> Iterator[Client]:
    with BackgroundServer(root) as server:
        yield Client(server.url)


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


def test_tree_agrees_with_what_is_served(client: Client) -> None:
    """Sizes and digests in the tree are those of the files; LFS files have their pointer's oid besides."""
    tree = client.get("/api/models/acme/tiny/tree/main?recursive=true&expand=false")
    files = {entry["path"]: entry for entry in tree.json if entry["type"] == "file"}
    assert sorted(files) == [
        "config.json", "empty.txt", "page.html", "subfolder/to?/ca%2Fche", "weights.gguf",
    ]  # fmt: skip
    assert {e["path"] for e in tree.json if e["type"] == "directory"} == {"subfolder", "subfolder/to?"}
    weights = files["weights.gguf"]
    assert weights["lfs"] == {
        "oid": hashlib.sha256(WEIGHTS).hexdigest(),
        "size": len(WEIGHTS),
        "pointerSize": 133,
    }
    head = client.ask("HEAD", "/acme/tiny/resolve/main/config.json")
    assert head.headers["ETag"] == f'"{files["config.json"]["oid"]}"'
    assert head.headers["Content-Length"] == str(files["config.json"]["size"])
    assert "xetHash" not in weights


def test_tree_of_a_folder(client: Client) -> None:
    """A sub-path may come with its slashes encoded or not, and shows only what is below it."""
    for path in ("subfolder%2Fto%3F", "subfolder/to%3F", "subfolder/to%3F/"):
        tree = client.get(f"/api/models/acme/tiny/tree/main/{path}").json
        assert [entry["path"] for entry in tree] == ["subfolder/to?/ca%2Fche"]
    top = client.get("/api/models/acme/tiny/tree/main").json
    assert [e["path"] for e in top if e["type"] == "directory"] == ["subfolder"]
    missing = client.get("/api/models/acme/tiny/tree/main/nope")
    assert (missing.status, missing.headers["X-Error-Code"]) == (404, "EntryNotFound")


def pages_of(client: Client, target: str) -> list[list[dict[str, Any]]]:
    """All pages, by following rel="next" as it stands."""
    pages = []
    while target:
        answer = client.get(target)
        assert answer.status == 200
        pages.append(answer.json)
        link = answer.headers.get("Link")
        if link is None:
            return pages
        url = urlsplit(link.removeprefix("<").removesuffix('>; rel="next"'))
        assert (url.scheme, url.netloc) == ("http", f"{client.host}:{client.port}")
        target = f"{url.path}?{url.query}"
    return pages


def test_tree_is_paged(client: Client, root: Path) -> None:
    """1000 entries a page, 50 when expanded, linked by an absolute URL, every entry once."""
    many = root / "acme/many/dir with space"
    many.mkdir(parents=True)
    for index in range(1234):
        (many / f"ü&{index:05}.txt").write_text(str(index))
    target = "/api/models/acme/many/tree/main?recursive=true&expand={}"
    pages = pages_of(client, target.format("false"))
    assert [len(page) for page in pages] == [1000, 235]
    paths = [entry["path"] for page in pages for entry in page]
    assert paths == ["dir with space"] + [f"dir with space/ü&{index:05}.txt" for index in range(1234)]
    expanded = pages_of(client, target.format("true"))
    assert [len(page) for page in expanded] == [50] * 24 + [35]
    assert [entry["path"] for page in expanded for entry in page] == paths
    assert {entry["lastCommit"]["id"] for page in expanded for entry in page} == {
        client.get("/api/models/acme/many").json["sha"]
    }
    assert len(pages_of(client, target.format("false") + "&limit=500")) == 3


def test_pages_are_of_one_listing(client: Client, root: Path) -> None:
    """A file that comes between two pages is not in the second: pages belong to the commit of the first."""
    first = client.get("/api/models/acme/tiny/tree/main?limit=2")
    (root / "acme/tiny/zzz.txt").write_bytes(b"new")
    target = urlsplit(first.headers["Link"].partition(">")[0].removeprefix("<"))
    rest = pages_of(client, f"{target.path}?{target.query}")
    assert "zzz.txt" not in [entry["path"] for page in rest for entry in page]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=-1", "limit=x", "limit=9999999999999", "cursor=%C3%A9", "cursor=a"]
)
def test_bad_page_is_refused(client: Client, query: str) -> None:
    """A limit or cursor that cannot be one is a bad request."""
    assert client.get(f"/api/models/acme/tiny/tree/main?{query}").status == 400


def test_model_info(client: Client) -> None:
    """A model's info names its commit and files; sizes and digests, or single fields, when asked."""
    info = client.get("/api/models/acme/tiny").json
    assert (info["id"], len(info["sha"]), info["private"], info["gated"]) == ("acme/tiny", 40, False, False)
    assert {"rfilename": "weights.gguf"} in info["siblings"]
    assert client.get("/api/models/acme/tiny/revision/main").json == info
    assert client.get(f"/api/models/acme/tiny/revision/{info['sha']}").json == info
    assert client.get("/api/models/acme/tiny/revision/refs%2Fheads%2Fmain").json == info
    blobs = {s["rfilename"]: s for s in client.get("/api/models/acme/tiny?blobs=true").json["siblings"]}
    assert blobs["weights.gguf"]["lfs"]["sha256"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert blobs["config.json"]["size"] == 9
    assert set(client.get("/api/models/acme/tiny?expand=sha&expand=x").json) == {"_id", "id", "sha"}
    assert [model["id"] for model in client.get("/api/models").json] == ["acme/tiny", "solo"]


def test_repository_without_namespace(client: Client) -> None:
    """A model whose files lie in a first-level folder goes by that folder's name alone."""
    assert client.get("/solo/resolve/main/README.md").body == b"# solo\n"
    sha = client.get("/api/models/solo").json["sha"]
    assert client.get("/api/models/solo/revision/main").json["sha"] == sha
    assert [e["path"] for e in client.get(f"/api/models/solo/tree/{sha}").json] == ["README.md"]


def test_refs(client: Client) -> None:
    """There is one branch, main, at the model's commit."""
    refs = client.get("/api/models/acme/tiny/refs").json
    sha = client.get("/api/models/acme/tiny").json["sha"]
    assert refs["branches"] == [{"name": "main", "ref": "refs/heads/main", "targetCommit": sha}]
    assert (refs["tags"], refs["converts"]) == ([], [])


def test_paths_info(client: Client) -> None:
    """Named files and folders are described from a form or JSON; unknown ones are left out."""
    target = "/api/models/acme/tiny/paths-info/main"
    form = client.ask(
        "POST", target, {"Content-Type": "application/x-www-form-urlencoded"},
        "paths=config.json&paths=nope&paths=subfolder%2Fto%3F&expand=false",
    )  # fmt: skip
    assert [(e["type"], e["path"]) for e in form.json] == [
        ("file", "config.json"),
        ("directory", "subfolder/to?"),
    ]
    body = json.dumps({"paths": ["weights.gguf"], "expand": True})
    [entry] = client.ask("POST", target, {"Content-Type": "application/json"}, body).json
    assert entry["lfs"]["size"] == len(WEIGHTS)
    assert len(entry["lastCommit"]["id"]) == 40


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", "{", 400),
        ("application/json", '{"paths": 3}', 400),
        ("application/json", "[]", 400),
        ("application/json; charset=nonsense", "{}", 400),
        ("application/x-www-form-urlencoded", "paths=%zz", 400),
        ("application/x-www-form-urlencoded", "paths=a&" * 1001, 400),
        ("application/x-www-form-urlencoded", "paths=" + "a" * (2 << 20), 413),
    ],
)
def test_bad_paths_info_is_refused(client: Client, content_type: str, body: str, status: int) -> None:
    """A body that is no list of paths, or has no end, is refused and named a bad request."""
    answer = client.ask("POST", "/api/models/acme/tiny/paths-info/main", {"Content-Type": content_type}, body)
    assert answer.status == status


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/acme/nope/resolve/main/config.json", 404, "RepoNotFound"),
        ("/api/models/acme/nope", 404, "RepoNotFound"),
        ("/api/models/acme/nope/revision/v9", 404, "RepoNotFound"),
        ("/api/models/nope/refs", 404, "RepoNotFound"),
        ("/api/datasets/acme/tiny", 404, "RepoNotFound"),
        ("/datasets/acme/tiny/resolve/main/x", 404, "RepoNotFound"),
        ("/acme/tiny/resolve/v9/config.json", 404, "RevisionNotFound"),
        ("/acme/tiny/resolve/" + "0" * 40 + "/config.json", 404, "RevisionNotFound"),
        ("/api/models/acme/tiny/revision/refs%2Fpr%2F1", 404, "RevisionNotFound"),
        ("/api/models/acme/tiny/tree/v9", 404, "RevisionNotFound"),
        ("/acme/tiny/resolve/main/nope.gguf", 404, "EntryNotFound"),
        ("/acme/tiny/resolve/main/subfolder", 404, "EntryNotFound"),
        ("/acme/tiny/resolve/main/Config.JSON", 404, "EntryNotFound"),
        ("/api/models/acme/tiny/nonsense/main", 404, None),
        ("/api/whoami-v2", 404, None),
        ("/", 404, None),
    ],
)
def test_errors_carry_the_hubs_codes(client: Client, target: str, status: int, code: str | None) -> None:
    """What is missing is told by X-Error-Code, in words by X-Error-Message and in JSON."""
    answer = client.get(target)
    assert (answer.status, answer.headers["X-Error-Code"]) == (status, code)
    assert answer.json["error"]
    assert answer.headers["X-Error-Message"].isascii()
    head = client.ask("HEAD", target)
    assert (head.status, head.headers["X-Error-Code"], head.body) == (status, code, b"")


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("PUT", "/acme/tiny/resolve/main/config.json", "GET, HEAD"),
        ("DELETE", "/api/models/acme/tiny", "GET, HEAD"),
        ("POST", "/api/models", "GET, HEAD"),
        ("GET", "/api/models/acme/tiny/paths-info/main", "POST"),
    ],
)
def test_other_methods_are_refused(client: Client, method: str, target: str, allowed: str) -> None:
    """Nothing can be changed through this server; 405 says what is possible."""
    answer = client.ask(method, target)
    assert (answer.status, answer.headers["Allow"]) == (405, allowed)


SECRET = b"top secret outside"


@pytest.mark.parametrize(
    "path",
    [
        "../../../secret.txt",
        "..%2f..%2f..%2fsecret.txt",
        "%2e%2e/%2e%2e/%2e%2e/secret.txt",
        "%2e%2e%2f%2e%2e%2f%2e%2e%2fsecret.txt",
        "..%5c..%5c..%5csecret.txt",
        "%252e%252e/%252e%252e/%252e%252e/secret.txt",
        "..%c0%af..%c0%afsecret.txt",
        "subfolder/../../../../secret.txt",
        "./config.json",
        "//config.json",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "C:%5csecret.txt",
        "config.json%00.gguf",
        "config.json/",
        "config.json%0d%0aX-Injected:%20yes",
        "out.txt",
        "folder/secret.txt",
        "hidden.gguf.jarvis-part",
        ".env",
    ],
)
def test_nothing_outside_of_root_is_ever_served(client: Client, root: Path, path: str) -> None:
    """However a path is written, what comes back is a refusal, without a byte from outside or hidden."""
    (root.parent / "secret.txt").write_bytes(SECRET)
    tiny = root / "acme/tiny"
    (tiny / "out.txt").symlink_to(root.parent / "secret.txt")
    (tiny / "folder").symlink_to(root.parent)
    (tiny / "hidden.gguf.jarvis-part").write_bytes(SECRET)
    (tiny / ".env").write_bytes(SECRET)
    for prefix in ("/acme/tiny/resolve/main/", "/api/models/acme/tiny/tree/main/"):
        request = f"GET {prefix}{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        answer = client.raw(request.encode())
        status = int(answer.split()[1])
        assert status in (400, 404), answer
        assert SECRET not in answer
        assert b"root:" not in answer
        assert b"\nX-Injected" not in answer
        assert b"Traceback" not in answer


@pytest.mark.parametrize(
    "repository", ["..", "acme/..", "..%2f..", "acme%2ftiny", "%2e%2e/tiny", ".", "%00", "acme%5ctiny"]
)
def test_repository_names_cannot_leave_root(client: Client, repository: str) -> None:
    """A model's name is one or two plain folder names, nothing that leads anywhere else."""
    for target in (f"/{repository}/resolve/main/config.json", f"/api/models/{repository}"):
        request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert int(client.raw(request.encode()).split()[1]) in (400, 404)


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
def test_host_header_must_be_loopbacks(client: Client, host: str, status: int) -> None:
    """A name that somebody makes to lead here (DNS rebinding) is answered 403, what is no host 400."""
    request = f"GET /api/models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    assert int(client.raw(request.encode()).split()[1]) == status


def test_host_header_missing_or_doubled(client: Client) -> None:
    """Exactly one Host header is required; a target with a host of its own does not stand in for it."""
    for request in (
        "GET /api/models HTTP/1.1",
        "GET /api/models HTTP/1.1\r\nHost: localhost\r\nHost: evil.example",
        "GET http://evil.example/api/models HTTP/1.1\r\nHost: localhost",
        "GET http://localhost/api/models HTTP/1.1\r\nHost: localhost",
    ):
        answer = client.raw(f"{request}\r\nConnection: close\r\n\r\n".encode())
        assert int(answer.split()[1]) == 400


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


def test_html_is_no_page_of_this_server(client: Client) -> None:
    """A model's HTML file arrives as bytes that a browser neither sniffs nor runs."""
    answer = client.get("/acme/tiny/resolve/main/page.html")
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_clients_that_leave_do_no_harm(client: Client, capfd: pytest.CaptureFixture[str]) -> None:
    """Connections that are reset in the middle of a body leave the server well and silent."""
    request = b"GET /acme/tiny/resolve/main/weights.gguf HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for _ in range(20):
        with socket.create_connection((client.host, client.port), timeout=20) as plain:
            plain.sendall(request)
            plain.recv(1000)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert client.get("/acme/tiny/resolve/main/weights.gguf").body == WEIGHTS
    assert capfd.readouterr().err == ""


def test_slow_hash_does_not_hold_up_others(client: Client, root: Path) -> None:
    """While somebody waits for the digest of a huge file, other files are answered at once."""
    with (root / "acme/tiny/huge.gguf").open("wb") as file:
        file.truncate(1 << 40)
    with socket.create_connection((client.host, client.port), timeout=20) as waiting:
        waiting.sendall(b"HEAD /acme/tiny/resolve/main/huge.gguf HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for _ in range(20):
            began = time.monotonic()
            assert client.get("/acme/tiny/resolve/main/config.json").status == 200
            assert time.monotonic() - began < 2
        waiting.setblocking(False)
        with pytest.raises(BlockingIOError):
            waiting.recv(1)


def test_file_cut_while_it_is_sent_ends_the_connection(client: Client, root: Path) -> None:
    """A file that gets shorter under a download is a cut body to the client, never a whole one."""
    path = root / "acme/tiny/shrinks.gguf"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    connection = http.client.HTTPConnection(client.host, client.port, timeout=20)
    connection.request("GET", "/acme/tiny/resolve/main/shrinks.gguf")
    response = connection.getresponse()
    response.read(1000)
    os.truncate(path, 1 << 20)
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        response.read()
    connection.close()


def test_many_downloads_at_once(client: Client) -> None:
    """Sixteen connections get sixteen different ranges of one file, each its own bytes."""
    step = len(WEIGHTS) // 16
    parts: dict[int, bytes] = {}

    def fetch(start: int) -> None:
        span = f"bytes={start}-{start + step - 1}"
        parts[start] = client.get("/acme/tiny/resolve/main/weights.gguf", Range=span).body

    threads = [threading.Thread(target=fetch, args=(index * step,)) for index in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert b"".join(parts[start] for start in sorted(parts)) == WEIGHTS
