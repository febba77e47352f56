"""Listings of the server's repositories, in pages."""

import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.integration.hub_view.client import WEIGHTS, Client


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
