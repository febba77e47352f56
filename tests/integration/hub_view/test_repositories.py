"""What the server tells of its repositories, and of paths in them."""

import hashlib
import json

import pytest

from tests.integration.hub_view.client import WEIGHTS, Client


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
        ("application/json", '{"x": ' + "[" * 900_000, 400),
        ("application/x-www-form-urlencoded", "paths=%zz", 400),
        ("application/x-www-form-urlencoded", "paths=a&" * 1001, 400),
        ("application/x-www-form-urlencoded", "paths=" + "a" * (2 << 20), 413),
    ],
)
def test_bad_paths_info_is_refused(client: Client, content_type: str, body: str, status: int) -> None:
    """A body that is no list of paths, or has no end, is refused and named a bad request."""
    answer = client.ask("POST", "/api/models/acme/tiny/paths-info/main", {"Content-Type": content_type}, body)
    assert answer.status == status


def test_paths_info_is_utf8_whatever_charset_is_named(client: Client) -> None:
    """A charset that a request names is not looked at: some are slow to decode, by the square of a body's length."""
    target, body = "/api/models/acme/tiny/paths-info/main", json.dumps({"paths": ["config.json"]})
    for charset in ("punycode", "idna", "utf-16", "nonsense"):
        answer = client.ask("POST", target, {"Content-Type": f"application/json; charset={charset}"}, body)
        assert [entry["path"] for entry in answer.json] == ["config.json"]
