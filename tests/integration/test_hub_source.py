"""The Hugging Face source against the project's own server, and against Hubs that lie."""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from engine.digest import Digest
from engine.errors import (
    AccessDenied,
    DigestMismatch,
    EngineError,
    NetworkError,
    NotFound,
    PathError,
    ProtocolViolation,
)
from engine.model_registry import ModelRegistry
from engine.remote_file import RemoteFile
from engine.server.run import BackgroundServer
from engine.settings import Settings
from engine.sources import Choice, find_source
from engine.transport.auth import hub_credentials
from engine.transport.client import Client
from tests.origin import File, Origin

COMMIT, OTHER = "1" * 40, "2" * 40
SHA256 = "ab" * 32
PATH = ModelRegistry.parse("hf.co/ns/repo")
QUICK = Settings(retries=0, retry_delay_s=0.01)


def listed(text: str, **choice) -> list[RemoteFile]:
    """What the source makes of a path, with a token that HF_TOKEN may hold."""
    path = ModelRegistry.parse(text)
    with Client(QUICK, hub_credentials(None)) as client:
        return find_source(path).list_files(client, path, Choice(**choice))


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.fixture
def hub(tmp_path, home, monkeypatch):
    """The real server over tmp_path/models, with HF_ENDPOINT pointing at it; yields that folder."""
    root = tmp_path / "models"
    write(
        root / "ns" / "gguf", {"M-Q4_K_M.gguf": b"GGUF4", "sub/M-Q8_0.gguf": b"GGUF8", "README.md": b"# M\n"}
    )
    index = json.dumps(
        {
            "metadata": {},
            "weight_map": {"a": "w-1.safetensors", "b": "w-2.safetensors", "c": "w-1.safetensors"},
        }
    )
    shards = {"w-1.safetensors": b"one", "w-2.safetensors": b"two", "other.safetensors": b"no"}
    write(
        root / "ns" / "st",
        {**shards, "model.safetensors.index.json": index.encode(), "config.json": b"{}", "x.bin": b"no"},
    )
    with BackgroundServer(root) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield root


def test_list_gguf_from_real_server(hub):
    """A quantization is found in the tree of one commit, with size, digest and an address that names the commit."""
    (file,) = listed("hf.co/ns/gguf:q8_0")
    assert (file.name, file.size, file.model) == ("sub/M-Q8_0.gguf", 5, "huggingface.co/ns/gguf:Q8_0")
    assert file.revision is not None
    assert f"/ns/gguf/resolve/{file.revision}/sub/M-Q8_0.gguf" in file.url
    assert file.digest in (
        Digest("sha256", hashlib.sha256(b"GGUF8").hexdigest()),
        Digest("git-sha1", hashlib.sha1(b"blob 5\0GGUF8").hexdigest()),
    )
    assert [f.name for f in listed("hf.co/ns/gguf")] == ["M-Q4_K_M.gguf"]
    assert [f.name for f in listed(f"ns/gguf@{file.revision}", file="README.md")] == ["README.md"]


def test_list_safetensors_from_real_server(hub):
    """The shards are those of the index, which is read at the same commit."""
    names = [file.name for file in listed("hf.co/ns/st")]
    assert names == ["w-1.safetensors", "w-2.safetensors", "config.json", "model.safetensors.index.json"]


def test_list_custom_registry(hub, monkeypatch):
    """A custom registry that speaks the Hub's API is asked at its own host, not at HF_ENDPOINT."""
    with BackgroundServer(hub) as server:
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
        (file,) = listed(f"{server.url.removeprefix('http://')}/ns/gguf:Q8_0")
        assert file.url.startswith(f"{server.url}/ns/gguf/resolve/")


def test_list_more_than_one_page(hub):
    """A repository of more than a thousand files is listed to its last page."""
    write(hub / "ns" / "many", {f"d{n % 7}/f{n:04}.txt": b"%d" % n for n in range(2050)})
    write(hub / "ns" / "many", {"zz-Q4_K_M.gguf": b"GGUF"})
    files = listed("ns/many", include=("*",))
    assert len({file.name for file in files}) == 2051
    assert [file.name for file in listed("ns/many")] == ["zz-Q4_K_M.gguf"]


def test_refresh_asks_again(hub):
    """Size and digest come from the server once more; a file that is gone is NotFound."""
    (file,) = listed("hf.co/ns/gguf:q8_0")
    source = find_source(ModelRegistry.parse("hf.co/ns/gguf"))
    stale = RemoteFile(
        name=file.name, url=file.url, size=1, digest=None, revision=file.revision, model=file.model
    )
    gone = RemoteFile(name=file.name, url=file.url.replace("ns/gguf", "ns/none"), revision=file.revision)
    with Client(QUICK, hub_credentials(None)) as client:
        assert source.refresh(client, stale) == file
        with pytest.raises(NotFound):
            source.refresh(client, gone)


@pytest.mark.parametrize(
    "text", ["hf.co/ns/none", "hf.co/ns/gguf@nothere", "hf.co/ns/gguf:Q2_K", "hf.co/ns/gguf:none.gguf"]
)
def test_absent_is_not_found(hub, text):
    """Model, revision, quantization and file that are not there are NotFound, and say "404"."""
    with pytest.raises(NotFound, match="404"):
        listed(text)


# From here on the Hub is an origin that says what a test wants.

TREE = f"api/models/ns/repo/tree/{COMMIT}"
FIRST = f"{TREE}?recursive=true&expand=false"
REVISION = "api/models/ns/repo/revision/main"


def node(path: str, **fields) -> dict:
    return {"type": "file", "path": path, "size": 4, "oid": OTHER, **fields}


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest()


def lfs(path: str, **fields) -> dict:
    return node(path, lfs={"oid": SHA256, "size": 4, "pointerSize": 134, **fields}, xetHash="cd" * 32)


@pytest.fixture
def lying_hub(origin_factory: Callable[..., Origin], home, monkeypatch) -> Callable[..., Origin]:
    """Make an origin with a repository ns/repo whose tree (and other files) are as given; HF_ENDPOINT points at it."""

    def make(tree: object = None, more: dict | None = None, sha: object = COMMIT) -> Origin:
        origin = origin_factory(
            {REVISION: json.dumps({"id": "ns/repo", "sha": sha, "unknown": [1]}).encode()}
        )
        body = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
        origin.files[FIRST] = File(body)
        for name, file in (more or {}).items():
            origin.files[name] = file if isinstance(file, File) else File(file)
        monkeypatch.setenv("HF_ENDPOINT", origin.url("").rstrip("/"))
        return origin

    return make


def test_two_requests_and_no_more(lying_hub, monkeypatch):
    """A model is found with two requests, with one where the commit is named; both carry the token."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    origin = lying_hub(
        [lfs("M-Q4_K_M.gguf"), node("README.md"), {"type": "directory", "path": "d", "oid": OTHER, "size": 0}]
    )
    (file,) = listed("hf.co/ns/repo")
    assert file.digest == Digest("sha256", SHA256)
    assert [record.target for record in origin.requests] == [f"/{REVISION}", f"/{FIRST}"]
    assert {record.headers.get("Authorization") for record in origin.requests} == {"Bearer hf_secret"}
    (readme,) = listed(f"hf.co/ns/repo@{COMMIT}", file="README.md")
    assert readme.digest == Digest("git-sha1", OTHER)
    assert len(origin.requests) == 3


def test_revision_stands_in_one_segment(lying_hub):
    """A revision with slashes is percent-encoded, as the Hub asks."""
    origin = lying_hub(
        [lfs("M-Q4_K_M.gguf")],
        {"api/models/ns/repo/revision/refs/pr/1": json.dumps({"sha": COMMIT}).encode()},
    )
    listed("hf.co/ns/repo@refs/pr/1")
    assert origin.requests[0].target == "/api/models/ns/repo/revision/refs%2Fpr%2F1"


def test_pages_are_followed_in_any_form(lying_hub):
    """The next page may be linked absolutely or relatively, beside other links, and each is asked once."""
    origin = lying_hub([node("a.txt")])
    second = f'<{origin.url("")}{TREE}?page=2>; rel="next"'
    origin.files[FIRST] = File(
        b"[" + json.dumps(node("a.txt")).encode() + b"]", headers={"Link": f'</>; rel="first", {second}'}
    )
    origin.files[f"{TREE}?page=2"] = File(b"[]", headers={"Link": f"</{TREE}?page=3>; rel=next"})
    origin.files[f"{TREE}?page=3"] = File(json.dumps([node("b.txt")]).encode())
    assert [file.name for file in listed("hf.co/ns/repo", include=("*",))] == ["a.txt", "b.txt"]
    assert len(origin.requests) == 4


@pytest.mark.row("attack/37-endless-pages")
def test_next_page_elsewhere_is_refused(lying_hub, origin_factory, monkeypatch):
    """A next page on another origin is not asked for: the token would be at stake."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    thief = origin_factory({"x": b"[]"})
    origin = lying_hub([])
    origin.files[FIRST] = File(b"[]", headers={"Link": f'<{thief.url("x")}>; rel="next"'})
    with pytest.raises(ProtocolViolation, match="elsewhere"):
        listed("hf.co/ns/repo")
    assert thief.requests == []


@pytest.mark.parametrize(
    "link", ['<{}>; title="a, b"; rel="next"', '</>; rel=prev; title="rel=next",<{}> ;rel = next']
)
@pytest.mark.row("attack/37-pages-in-other-words")
def test_pages_are_followed_in_any_spelling(lying_hub, link):
    """What RFC 8288 allows is read as it says, and a title says nothing of the next page."""
    origin = lying_hub([])
    origin.files[FIRST] = File(json.dumps([node("a.txt")]).encode(), headers={"Link": link.format("?page=2")})
    origin.files[f"{TREE}?page=2"] = File(json.dumps([node("b.txt")]).encode())
    assert [file.name for file in listed("hf.co/ns/repo", include=("*",))] == ["a.txt", "b.txt"]


@pytest.mark.parametrize(
    "link", ["<?page=2>; rel='next'", "<?page=2; rel=next", "?page=2; rel=next", "<>>; rel=next"]
)
@pytest.mark.row("attack/37-pages-in-other-words")
def test_a_link_that_cannot_be_read_is_a_violation(lying_hub, link):
    """It may be the next page, without which half a model would be called complete."""
    origin = lying_hub([])
    origin.files[FIRST] = File(json.dumps([lfs("M-Q4_K_M.gguf")]).encode(), headers={"Link": link})
    with pytest.raises(ProtocolViolation, match=r"as a Hub does: its Link header cannot be read"):
        listed("hf.co/ns/repo")


@pytest.mark.parametrize(
    "target", ["http://u:hidden@{}/x", "/a\x1b[31mb", "ftp://{}/x", "http://[", "http://{}:99999/"]
)
@pytest.mark.row("attack/37-pages-in-other-words")
def test_a_next_page_that_has_no_address_is_a_violation(lying_hub, target):
    """The server named it, so the user is not told to mend an address."""
    origin = lying_hub([])
    link = f'<{target.format(origin.host)}>; rel="next"'
    origin.files[FIRST] = File(b"[]", headers={"Link": link})
    with pytest.raises(
        ProtocolViolation, match=r"as a Hub does: the address of its next page is none"
    ) as caught:
        listed("hf.co/ns/repo")
    assert "hidden" not in str(caught.value) and "\x1b" not in str(caught.value)


@pytest.mark.parametrize("link", ["<?x=1>", f"</{FIRST}>"])
@pytest.mark.row("attack/37-endless-pages")
def test_pages_that_never_end(lying_hub, link):
    """Pages that lead in a circle end as a violation."""
    origin = lying_hub([])
    for name in (FIRST, f"{TREE}?x=1"):
        origin.files[name] = File(b"[]", headers={"Link": f'{link}; rel="next"'})
    with pytest.raises(ProtocolViolation, match="never end"):
        listed("hf.co/ns/repo")
    assert len(origin.requests) <= 4


@pytest.mark.row("attack/37-endless-pages")
def test_pages_that_are_too_much_together(lying_hub, monkeypatch):
    """The limit is told, not what was left of it."""
    monkeypatch.setattr("engine.sources.huggingface._MAX_LISTING_BYTES", 300)
    origin = lying_hub([])
    for page in range(9):
        body = json.dumps([node(f"{page}.txt")]).encode()
        link = {"Link": f"<?page={page + 1}>; rel=next"}
        origin.files[f"{TREE}?page={page}" if page else FIRST] = File(body, headers=link)
    with pytest.raises(ProtocolViolation, match="its pages have more than 300 bytes together"):
        listed("hf.co/ns/repo")
    assert 2 < len(origin.requests) < 9


BROKEN = [
    b"",
    b"<html>",
    b"{}",
    b"[1]",
    b"[" * 100_000,
    b'[{"type":"file","path":"\xff","size":1}]',
    [node("a", size=-1)],
    [node("a", size=2**63)],
    [node("a", size=1.5)],
    [node("a", size="4")],
    [node("a", oid="../../x")],
    [node("a", oid=SHA256)],
    [lfs("a", oid="zz")],
    [lfs("a", size=5)],
    [node("a"), node("a", size=5)],
    [node("a"), node("b", size=5)],
    [lfs("a"), {**lfs("b", size=5), "size": 5}],
    [node("a", size=0)],
    [{**lfs("a", size=0), "size": 0}],
    [{"type": "file", "size": 1}],
]


@pytest.mark.parametrize("tree", BROKEN, ids=lambda tree: str(tree)[:40])
@pytest.mark.row("attack/21-impossible-sizes", "attack/22-one-digest-two-sizes", "attack/37-manifest-bombs")
def test_broken_tree_is_a_violation(lying_hub, tree):
    """A tree that is not what the Hub sends is a ProtocolViolation that names the address."""
    origin = lying_hub(tree)
    with pytest.raises(ProtocolViolation, match="ns/repo"):
        listed("hf.co/ns/repo", include=("*",))
    assert len(origin.requests) == 2


@pytest.mark.parametrize("sha", [None, 5, "", "main", "../../../x", COMMIT[1:]])
def test_broken_commit_is_a_violation(lying_hub, sha):
    """A commit that is none is not put into an address."""
    origin = lying_hub([], sha=sha)
    with pytest.raises(ProtocolViolation):
        listed("hf.co/ns/repo")
    assert len(origin.requests) == 1


@pytest.mark.parametrize("name", ["../x.safetensors", "/etc/x", "a\\b", "C:x"])
@pytest.mark.row("attack/14-index-names")
def test_hostile_index_is_refused(lying_hub, name):
    """A shard's name in an index that could leave the folder is a PathError."""
    index = "model.safetensors.index.json"
    body = json.dumps({"weight_map": {"t": name}}).encode()
    tree = [node(index, size=len(body), oid=git_sha1(body)), lfs("w.safetensors")]
    lying_hub(tree, {f"ns/repo/resolve/{COMMIT}/{index}": body})
    with pytest.raises(PathError):
        listed("hf.co/ns/repo")


@pytest.mark.row("attack/18-content-of-another-digest")
def test_an_index_that_is_not_the_listings_is_refused(lying_hub):
    """It names a part of the shards, and would make half a model whole; the listing's digest tells."""
    index = "model.safetensors.index.json"
    true, false = (
        json.dumps({"weight_map": {"t": name}}).encode() for name in ("a.safetensors", "b.safetensors")
    )
    tree = [
        node(index, size=len(true), oid=git_sha1(true)),
        lfs("a.safetensors"),
        lfs("b.safetensors", oid="cd" * 32),
    ]
    lying_hub(tree, {f"ns/repo/resolve/{COMMIT}/{index}": false})
    with pytest.raises(DigestMismatch, match="index"):
        listed("hf.co/ns/repo")


@pytest.mark.parametrize("name", ["a.gguf.jarvis-part/data", "A.gguf.JARVIS-part"])
@pytest.mark.row("attack/11-our-own-names")
def test_files_named_like_an_unfinished_one_are_refused(lying_hub, name):
    """A repository cannot put a file into the place where another one's content is being written."""
    lying_hub([lfs("a.gguf"), lfs(name)])
    with pytest.raises(PathError, match="unfinished"):
        listed("hf.co/ns/repo", include=("*",))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "RepoNotFound", NotFound),
        (404, "RevisionNotFound", NotFound),
        (403, "GatedRepo", AccessDenied),
        (401, None, AccessDenied),
        (500, None, NetworkError),
    ],
)
def test_refusals_arrive_typed(lying_hub, status, code, kind):
    """What the Hub refuses arrives as the error that says what to do."""
    origin = lying_hub([])
    origin.fault("status", path=REVISION, code=status, headers={"X-Error-Code": code} if code else {})
    with pytest.raises(EngineError) as caught:
        listed("hf.co/ns/repo")
    assert type(caught.value) is kind
    assert origin.fired("status") == 1
    if isinstance(caught.value, AccessDenied) and code:
        assert caught.value.visit == origin.url("ns/repo")


@pytest.mark.parametrize("where", ["headers", "body"])
@pytest.mark.row("attack/35-slow-loris")
def test_a_listing_that_drips_is_given_up(lying_hub, where: str):
    """A byte now and then is no answer, wherever in it that comes; the limit of its size would be reached in years."""
    origin = lying_hub([])
    if where == "headers":
        origin.fault("drip_headers", every_s=0.05)
    else:
        origin.fault("slow", rate=10, after_bytes=0)
    impatient = Settings(retries=0, stall_timeout_s=0.2)
    begun = time.monotonic()
    with (
        Client(impatient, hub_credentials(None)) as client,
        pytest.raises(NetworkError, match="too slowly"),
    ):
        find_source(PATH).list_files(client, PATH, Choice())
    assert time.monotonic() - begun < 10
    assert origin.fired("drip_headers" if where == "headers" else "slow") == 1
