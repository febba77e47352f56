"""Who may read what at a Hub, and at which revision: whole pulls against one that behaves as huggingface.co does."""

import json
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.hub import Hub
from tests.integration.trial import one_error
from tests.origin import File, Origin

TOKEN = "hf_TheRightOne"
REPO, NAME = "acme/model-GGUF", "model-Q4_K_M.gguf"


def gguf(text: str) -> bytes:
    return b"GGUF" + text.encode() * 20_000


@pytest.fixture
def hub(origin_factory: Callable[..., Origin], home: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """An empty one, with HF_ENDPOINT pointing at it."""
    hub = Hub(origin_factory(), origin_factory())
    monkeypatch.setenv("HF_ENDPOINT", hub.site.base)
    return hub


# Revisions


REVISIONS = ["main", "v1.0", "feature/longer", "refs/pr/3", "refs/convert/gguf"]


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_revision_is_pulled_as_it_is(
    hub: Hub, jarvis: Callable[..., Any], tmp_path: Path, revision: str
) -> None:
    """Branch, tag and pull request: their own content comes, and from the commit that they are."""
    commits = {other: hub.add(REPO, {NAME: gguf(other)}, revisions=[other]) for other in REVISIONS}
    jarvis("pull", f"hf.co/{REPO}@{revision}", "-d", tmp_path / "out", "--quiet").check()
    assert (tmp_path / "out" / NAME).read_bytes() == gguf(revision)
    assert ("GET", f"{REPO}/resolve/{commits[revision]}/{NAME}") in hub.asked()
    (asked, *_) = hub.site.requests
    encoded = revision.replace("/", "%2F")
    assert asked.target == f"/api/models/{REPO}/revision/{encoded}"


@pytest.mark.parametrize(
    "words",
    [
        [f"{REPO}:refs/pr/3"],
        [REPO, "--revision", "refs/pr/3"],
        ["https://huggingface.co/acme/model-GGUF/tree/refs/pr/3"],
        ["https://huggingface.co/acme/model-GGUF/blob/refs/pr/3/model-Q4_K_M.gguf"],
        ["https://huggingface.co/acme/model-GGUF/resolve/refs%2Fpr%2F3/model-Q4_K_M.gguf"],
        ["{endpoint}/acme/model-GGUF/blob/refs/pr/3/model-Q4_K_M.gguf"],
    ],
    ids=["tag", "option", "tree", "blob", "resolve", "endpoint"],
)
def test_a_pull_request_in_any_spelling(
    hub: Hub, jarvis: Callable[..., Any], tmp_path: Path, words: list[str]
) -> None:
    """As tag, as option, and as the addresses that its pages and files have."""
    hub.add(REPO, {NAME: gguf("main")})
    hub.add(REPO, {NAME: gguf("proposed")}, revisions=["refs/pr/3"])
    words = [word.format(endpoint=hub.site.base) for word in words]
    jarvis("pull", *words, "-d", tmp_path / "out", "--quiet").check()
    assert (tmp_path / "out" / NAME).read_bytes() == gguf("proposed")


def test_a_commit_is_pulled_after_its_branch_has_moved(
    hub: Hub, jarvis: Callable[..., Any], tmp_path: Path
) -> None:
    """What was pinned comes, not what the branch is now; the branch is not asked for."""
    pinned = hub.add(REPO, {NAME: gguf("old")})
    hub.add(REPO, {NAME: gguf("new")})
    jarvis("pull", f"{REPO}@{pinned}", "-d", tmp_path / "out", "--quiet").check()
    assert (tmp_path / "out" / NAME).read_bytes() == gguf("old")
    assert not any("/revision/" in path for _, path in hub.asked())


def test_a_revision_that_is_not_there(hub: Hub, jarvis: Callable[..., Any]) -> None:
    """Exit 3, and nothing else is tried in its place."""
    hub.add(REPO, {NAME: gguf("main")})
    result = jarvis("pull", f"{REPO}@refs/pr/9", "--quiet").check(3)
    assert "404" in result.stderr
    assert len(hub.asked()) == 1


# Tokens


def user_file(home: Path, *parts: str) -> Path:
    path = home.parent.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize("kind", ["pipe", "no text"])
@pytest.mark.row("attack/31-token-file")
def test_a_token_file_that_cannot_be_read_is_told(
    hub: Hub, jarvis: Callable[..., Any], tmp_path: Path, kind: str
) -> None:
    """In one line before the error that a private repository ends in; a public one comes all the same, and where a
    token is typed nobody is told of the file."""
    hub.add(REPO, {NAME: gguf("private")}, bearer=TOKEN)
    hub.add("acme/public-GGUF", {NAME: gguf("public")})
    file = tmp_path / "token"
    os.mkfifo(file) if kind == "pipe" else file.write_bytes(TOKEN.encode("utf-16"))
    words, env = ("-d", tmp_path / "out", "--quiet"), {"HF_TOKEN_PATH": str(file)}
    refused = jarvis("pull", REPO, *words, env=env)
    assert refused.code in (3, 4)
    warning, error = refused.stderr.splitlines()
    assert warning.startswith(f"warning: The Hub's token file {str(file)!r} cannot be read: ")
    assert error.startswith("error: ")
    assert "warning: The Hub's" in jarvis("pull", "acme/public-GGUF", *words, env=env).check().stderr
    assert "warning" not in jarvis("pull", REPO, *words, "--token", TOKEN, env=env).check().stderr
    assert "cannot be read" in jarvis("doctor", env=env).check().stdout


WAYS = [
    "argument",
    "HF_TOKEN",
    "HUGGINGFACE_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_TOKEN_PATH",
    "HF_HOME",
    "file",
]


@pytest.mark.parametrize("way", WAYS)
def test_a_private_repository_opens_to_a_token(
    hub: Hub, jarvis: Callable[..., Any], home: Path, tmp_path: Path, way: str
) -> None:
    """From the argument, each variable, and the file that the Hub's own tools write; it reaches the site alone."""
    hub.add(REPO, {NAME: gguf("private"), "config.json": b"{}"}, bearer=TOKEN)
    words, env = [], {}
    if way == "argument":
        words, env = ["--token", TOKEN], {"HF_TOKEN": "hf_Another"}
    elif way in ("HF_TOKEN_PATH", "HF_HOME"):
        file = user_file(home, "hub", "token")
        file.write_text(f"{TOKEN}\n")
        env = {way: str(file if way == "HF_TOKEN_PATH" else file.parent)}
    elif way == "file":
        user_file(home, "user", ".cache", "huggingface", "token").write_text(TOKEN)
    else:
        env = {way: TOKEN}
    jarvis("pull", REPO, "-d", tmp_path / "out", "--include", "*", "--quiet", *words, env=env).check()
    assert (tmp_path / "out" / NAME).read_bytes() == gguf("private")
    assert (tmp_path / "out" / "config.json").read_bytes() == b"{}"
    assert hub.tokens() == {f"Bearer {TOKEN}"}
    assert all("Authorization" not in record.headers for record in hub.content.requests)
    assert hub.content.requests


def test_a_gated_repository_says_where_to_ask(hub: Hub, jarvis: Callable[..., Any], tmp_path: Path) -> None:
    """Exit 4, with the address of the model's own page at the endpoint that was asked; no file appears."""
    hub.add(REPO, {NAME: gguf("gated")}, bearer=TOKEN, denied_code="GatedRepo")
    for words in ([], ["--token", "hf_Another"]):
        result = jarvis("pull", REPO, "-d", tmp_path / "out", *words).check(4)
        assert f"Visit {hub.site.base}/{REPO}," in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_server_of_ones_own_gets_no_advice_for_the_hub(
    hub: Hub, jarvis: Callable[..., Any], origin_factory: Callable[..., Origin]
) -> None:
    """A token of the environment is not sent there, so nobody is told to set it; the one that is typed is."""
    hub.add(REPO, {NAME: gguf("gated")}, bearer=TOKEN, denied_code="GatedRepo")
    path = f"{hub.site.host}:{hub.site.port}/{REPO}"
    env = {"HF_ENDPOINT": origin_factory().base, "HF_TOKEN": TOKEN}
    result = jarvis("pull", path, env=env).check(4)
    assert "set a token with --token and run" in result.stderr and "HF_TOKEN" not in result.stderr
    assert hub.tokens() == {None}
    jarvis("pull", path, "--token", TOKEN, env=env).check(0)


def test_a_private_repository_is_not_found_without_a_token(hub: Hub, jarvis: Callable[..., Any]) -> None:
    """The Hub hides that it exists: exit 3, and the message speaks of the token."""
    hub.add(REPO, {NAME: gguf("private")}, bearer=TOKEN)
    result = jarvis("pull", REPO).check(3)
    assert "is private" in result.stderr
    assert "--token or in HF_TOKEN" in result.stderr


# Listings that lie

LISTED = [
    ({"size": 80_005}, 5, r"has 80004 bytes; its listing or an earlier answer said 80005\. Ask"),
    (
        {"oid": "0" * 64},
        6,
        r"m\.gguf publishes SHA256 [1-9a-f].* for m\.gguf, and its server's own listing 0{64}\.",
    ),
]


@pytest.mark.parametrize(("lie", "code", "words"), LISTED, ids=["size", "digest"])
def test_a_listing_that_the_file_contradicts(
    hub: Hub, jarvis: Callable[..., Any], tmp_path: Path, lie: dict[str, Any], code: int, words: str
) -> None:
    """Both are the server's words: nobody typed a digest, and the file never had another size."""
    content = gguf("word")
    commit = hub.add(REPO, {"m.gguf": content})
    lfs = {"oid": sha256(content).hexdigest(), "size": len(content), **lie}
    listing = [{"type": "file", "path": "m.gguf", "size": lfs["size"], "oid": "1" * 40, "lfs": lfs}]
    hub.site.add(f"api/models/{REPO}/tree/{commit}", File(json.dumps(listing).encode()))
    result = jarvis("pull", REPO, "-d", tmp_path / "out", "--retries", 0).check(code)
    one_error(result, words)
    assert list((tmp_path / "out").iterdir()) == []


def test_of_several_models_the_one_that_fails_is_named(hub: Hub, jarvis: Callable[..., Any]) -> None:
    """In a pull of several, and where all that are here are asked about: what a listing lacks is said of it."""
    hub.add(REPO, {NAME: gguf("one")})
    hub.add("acme/other", {NAME: gguf("two")})
    jarvis("pull", REPO, "acme/other").check(0)
    hub.add("acme/other", {"README.md": b"gone"})
    error = r"error: huggingface\.co/acme/other: There is neither a GGUF nor"
    one_error(jarvis("outdated").check(3), error)
    one_error(jarvis("update").check(3), error)
    one_error(jarvis("pull", REPO, "acme/other", "--force").check(3), error)
    assert "acme/other" not in one_error(jarvis("pull", "acme/other", "--force").check(3))


# Every file is verified


SAFETENSORS = {
    "config.json": b'{"model_type": "llama"}',
    "model-00001-of-00002.safetensors": b"one" * 50_000,
    "model-00002-of-00002.safetensors": b"two" * 50_000,
    "model.safetensors.index.json": (
        b'{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}'
    ),
    "notes.txt": b"not asked for",
    "spare.safetensors": b"not in the index" * 9,
}


def test_a_safetensors_set_is_verified_file_by_file(
    hub: Hub, jarvis: Callable[..., Any], tmp_path: Path
) -> None:
    """The index, its shards and the configuration come; large files against SHA-256, small ones against Git's SHA-1."""
    hub.add(REPO, SAFETENSORS)
    result = jarvis("pull", REPO, "-d", tmp_path / "out", "--json").check()
    wanted = {name for name in SAFETENSORS if name not in ("notes.txt", "spare.safetensors")}
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        name: SAFETENSORS[name] for name in wanted
    }
    assert [event["verified"] for event in result.events_named("file")] == [True] * len(wanted)


@pytest.mark.parametrize("name", ["config.json", "model-00002-of-00002.safetensors"])
@pytest.mark.row("attack/18-content-of-another-digest")
def test_a_file_with_other_content_is_refused(
    hub: Hub, jarvis: Callable[..., Any], tmp_path: Path, name: str
) -> None:
    """Same size, other bytes: exit 6, the name stays free, and the other files are there."""
    commit = hub.add(REPO, SAFETENSORS)
    large = name.endswith(".safetensors")
    origin = hub.content if large else hub.site
    path = (
        sha256(SAFETENSORS[name]).hexdigest() if large else f"api/resolve-cache/models/{REPO}/{commit}/{name}"
    )
    origin.fault("same_size_corruption", path=path, offset=5)
    result = jarvis("pull", REPO, "-d", tmp_path / "out").check(6)
    assert origin.fired("same_size_corruption")
    assert name in result.stderr
    assert not (tmp_path / "out" / name).exists()
    assert (tmp_path / "out" / "model-00001-of-00002.safetensors").exists()
