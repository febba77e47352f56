"""`jarvis pull` from a real docker-registry, filled by plain requests, by the real oras and by the real skopeo."""

import json
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bcrypt
import oras.client
import pytest

from tests.certificates import Certificates
from tests.command import Result, Running
from tests.origin import Pattern
from tests.registry import OCI_INDEX, OCI_MANIFEST, Registry, basic, digest_of, docker_registry
from tests.skopeo import skopeo
from tests.token_server import TokenServer

Jarvis = Callable[..., Result]
OLLAMA = "application/vnd.ollama.image."
GGUF = Pattern(20_000_000, 3).read()
MODEL = [(f"{OLLAMA}model", GGUF)]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with docker_registry(tmp_path / "registry") as running:
        yield running


def names(result: Result) -> set[str]:
    return {Path(line).name for line in result.stdout.splitlines()}


# What comes


def test_ollama_model(jarvis: Jarvis, registry: Registry, tmp_path: Path) -> None:
    """A model in Ollama's shape: all its layers, each named by model, tag and kind; the Hub is asked for once, then
    the registry's protocol is known, and a complete model costs one request."""
    template = b"{{ .Prompt }}"
    layers = [
        (f"{OLLAMA}license", b"MIT"),
        *MODEL,
        (f"{OLLAMA}template", template),
        (f"{OLLAMA}license", b"BSD"),
        (f"{OLLAMA}license", b"MIT"),
    ]
    registry.put_model("ns/m", "v1", layers)
    result = jarvis("pull", f"{registry.host}/ns/m:v1", "-d", tmp_path / "out").check(0)
    assert names(result) == {
        "m-v1.gguf",
        "m-v1.license",
        "m-v1.template",
        "m-v1-2.license",
        "m-v1.config.json",
    }
    assert (tmp_path / "out/m-v1.gguf").read_bytes() == GGUF
    assert (tmp_path / "out/m-v1.template").read_bytes() == template
    assert (tmp_path / "out/m-v1-2.license").read_bytes() == b"BSD"
    asked = len(registry.requests)
    jarvis("pull", f"{registry.host}/ns/m:v1", "-d", tmp_path / "out").check(0)
    assert registry.requests[asked:] == ["GET /v2/ns/m/manifests/v1 200"]
    assert json.loads((tmp_path / "home/origins.json").read_bytes()) == {f"http://{registry.host}": "oci"}


def test_all_ranges_are_closed_and_over_several_lanes(
    jarvis: Jarvis, registry: Registry, tmp_path: Path
) -> None:
    """A registry that answers blobs without a redirect serves ranges to several lanes in worker processes."""
    registry.put_model("a/b/c/m", "latest", MODEL)
    target = f"localhost:{registry.host.rpartition(':')[2]}/a/b/c/m"
    jarvis("pull", target, "-d", tmp_path / "out", "-c", 4, "-p", 2, "--segment-size", "1MiB").check(0)
    assert (tmp_path / "out/m-latest.gguf").read_bytes() == GGUF
    blob = f"GET /v2/a/b/c/m/blobs/{digest_of(GGUF)} 206"
    assert registry.requests.count(blob) > 4
    assert not [line for line in registry.requests if line.endswith(" 416")]


def test_pushed_by_oras(jarvis: Jarvis, registry: Registry, tmp_path: Path, monkeypatch) -> None:
    """What the real oras pushed has its files' names, its main file first in the plan; an empty configuration is none
    of them; oras's own configuration is."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.Q4_K_M.gguf").write_bytes(GGUF)
    Path("mmproj-tiny.gguf").write_bytes(b"p" * 5000)
    Path("README.md").write_bytes(b"# tiny")
    client = oras.client.OrasClient(insecure=True)
    client.push(
        target=f"{registry.host}/u/tiny:v1", files=["README.md", "mmproj-tiny.gguf", "tiny.Q4_K_M.gguf"]
    )
    result = jarvis("pull", f"{registry.host}/u/tiny:v1", "-d", tmp_path / "out").check(0)
    assert names(result) == {"README.md", "mmproj-tiny.gguf", "tiny.Q4_K_M.gguf"}
    assert Path("out/tiny.Q4_K_M.gguf").read_bytes() == GGUF
    chosen = jarvis("pull", f"{registry.host}/u/tiny:v1", "-d", tmp_path / "two", "--include", "*.md").check(
        0
    )
    assert names(chosen) == {"README.md"}
    refused = jarvis("pull", f"{registry.host}/u/tiny:v1", "-d", tmp_path / "two", "--file", "absent").check(
        3
    )
    assert "mmproj-tiny.gguf" in refused.stderr


def test_copied_by_skopeo_and_pinned(jarvis: Jarvis, registry: Registry, tmp_path: Path) -> None:
    """A ModelPack artifact that the real skopeo copied in: folders as its annotations say; its digest pins it, and
    another one is not found."""
    weights, card = GGUF[:3_000_000], b"# card"
    layers = [
        ("application/vnd.cncf.model.weight.v1.raw", weights, "weights/tiny.safetensors"),
        ("application/vnd.cncf.model.doc.v1.raw", card, "README.md"),
    ]
    digest = oci_layout(tmp_path / "layout", "v2", layers)
    copied = skopeo(
        "copy", "--dest-tls-verify=false", f"oci:{tmp_path}/layout:v2", f"docker://{registry.host}/u/m:v2"
    )
    assert copied.returncode == 0, copied.stderr
    for number, target in enumerate((f"{registry.host}/u/m:v2", f"{registry.host}/u/m@{digest}")):
        out = tmp_path / f"out{number}"
        jarvis("pull", target, "-d", out).check(0)
        assert (out / "weights/tiny.safetensors").read_bytes() == weights
        assert (out / "README.md").read_bytes() == card
    result = jarvis("pull", f"{registry.host}/u/m@sha256:{'0' * 64}", "-d", tmp_path / "x").check(3)
    assert "manifest unknown" in result.stderr


def oci_layout(folder: Path, tag: str, layers: list[tuple[str, bytes, str]]) -> str:
    """A folder as the OCI image layout has it; the manifest's digest."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(body: bytes) -> dict[str, object]:
        (blobs / digest_of(body).removeprefix("sha256:")).write_bytes(body)
        return {"digest": digest_of(body), "size": len(body)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/vnd.cncf.model.manifest.v1+json",
        "config": {"mediaType": "application/vnd.cncf.model.config.v1+json", **put(b'{"descriptor":{}}')},
        "layers": [
            {"mediaType": kind, "annotations": {"org.cncf.model.filepath": path}, **put(body)}
            for kind, body, path in layers
        ],
    }
    entry = put(json.dumps(manifest, indent=3).encode())
    described = {
        "mediaType": OCI_MANIFEST,
        **entry,
        "annotations": {"org.opencontainers.image.ref.name": tag},
    }
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return str(entry["digest"])


def test_index(jarvis: Jarvis, registry: Registry, tmp_path: Path) -> None:
    """A tag that names an index leads to the one model in it, what was said about it left aside; where the index
    leaves a choice, its digests are told, and one of them pulls."""
    big = registry.put_model("u/m", "big", MODEL, media_type=OCI_MANIFEST)
    small = registry.put_model("u/m", "small", [(f"{OLLAMA}model", b"s" * 999)], media_type=OCI_MANIFEST)
    put_index(registry, "one", {big: {}, small: {"vnd.docker.reference.type": "attestation-manifest"}})
    put_index(registry, "two", {big: {}, small: {}})
    jarvis("pull", f"{registry.host}/u/m:one", "-d", tmp_path / "out", "--file", "m-one.gguf").check(0)
    assert (tmp_path / "out/m-one.gguf").read_bytes() == GGUF
    result = jarvis("pull", f"{registry.host}/u/m:two", "-d", tmp_path / "out").check(2)
    told = re.findall(r"\S+@sha256:\S+", result.stderr)
    (reference,) = [reference for reference in told if small in reference]
    jarvis("pull", reference, "-d", tmp_path / "out").check(0)
    assert (tmp_path / f"out/m-{small[7:19]}.gguf").read_bytes() == b"s" * 999


def test_an_index_is_what_a_tag_names(jarvis: Jarvis, registry: Registry, home: Path) -> None:
    """Its digest is the model's revision, as registries show it; outdated tells that the tag names another one now,
    and whether that means other files; update takes note of it."""
    one = registry.put_model("u/m", "a", MODEL, media_type=OCI_MANIFEST)
    other = registry.put_model("u/m", "b", [(f"{OLLAMA}model", b"s" * 999)], media_type=OCI_MANIFEST)
    path = f"{registry.host}/u/m:tag"
    first = put_index(registry, "tag", {one: {}})
    jarvis("pull", path).check(0)

    def standing() -> dict[str, Any]:
        (fields,) = jarvis("outdated", "--json").check(0).events
        return {name: fields[name] for name in ("outdated", "revision")}

    def revision() -> str:
        return str(json.loads(jarvis("show", path, "--json").check(0).stdout)["revision"])

    assert revision() == first
    assert standing() == {"outdated": False, "revision": None}
    second = put_index(registry, "tag", {one: {"note": "the same"}})
    assert standing() == {"outdated": False, "revision": second}
    assert f"its files are the same in the new revision, {second}" in jarvis("outdated").check(0).stdout
    jarvis("update").check(0)
    assert revision() == second
    assert standing() == {"outdated": False, "revision": None}
    third = put_index(registry, "tag", {other: {}})
    assert standing() == {"outdated": True, "revision": third}
    jarvis("pull", f"{registry.host}/u/m@{second}", "-d", home / "pinned").check(0)


def put_index(registry: Registry, tag: str, entries: dict[str, dict[str, str]]) -> str:
    """An index of manifests that the registry has, with an annotation each; its digest."""
    sizes = {digest: registry.blob_file(digest).stat().st_size for digest in entries}
    body = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {"mediaType": OCI_MANIFEST, "digest": digest, "size": sizes[digest], "annotations": notes}
            for digest, notes in entries.items()
        ],
    }
    return registry.put_manifest("u/m", tag, json.dumps(body).encode(), OCI_INDEX)


# What goes wrong


@pytest.mark.row("process/kill-of-every-source")
def test_killed_and_resumed(
    jarvis: Jarvis, spawn: Callable[..., Running], registry: Registry, tmp_path: Path
) -> None:
    """SIGKILL in the middle: the next run takes over what is there, and fetches only the rest."""
    registry.put_model("u/m", "v1", MODEL)
    words = ("pull", f"{registry.host}/u/m:v1", "-d", tmp_path / "out", "--segment-size", "1MiB", "--json")
    first = spawn(*words, "--limit-rate", "4MB/s", "-p", 1)
    first.wait_output(
        lambda out, _: any(done > 6_000_000 for done in progress(out)), "progress beyond 6 MB", timeout_s=60
    )
    first.send(signal.SIGKILL)
    first.wait()
    assert not (tmp_path / "out/m-v1.gguf").exists()
    (done,) = [e for e in jarvis(*words).check(0).events_named("file") if e["file"] == "m-v1.gguf"]
    assert done["held_bytes"] >= 3 << 20
    assert done["held_bytes"] + done["fetched_bytes"] == len(GGUF)
    assert (tmp_path / "out/m-v1.gguf").read_bytes() == GGUF


def progress(stdout: str) -> list[int]:
    events = [json.loads(line) for line in stdout.splitlines() if line.endswith("}")]
    return [e["done_bytes"] for e in events if e["event"] == "progress" and e["file"].endswith(".gguf")]


@pytest.mark.row("attack/18-content-of-another-digest")
def test_wrong_digest(jarvis: Jarvis, registry: Registry, tmp_path: Path) -> None:
    """A blob that is not what its name says: exit 6, and no file of that name."""
    registry.put_model("u/m", "v1", MODEL)
    blob = registry.blob_file(digest_of(GGUF))
    blob.write_bytes(GGUF[:-1] + b"\x00")
    result = jarvis("pull", f"{registry.host}/u/m:v1", "-d", tmp_path / "out").check(6)
    assert "SHA256" in result.stderr and digest_of(GGUF).removeprefix("sha256:") in result.stderr
    assert not (tmp_path / "out/m-v1.gguf").exists()


@pytest.mark.parametrize("size", [4000, 6000])
@pytest.mark.row("attack/25-bytes-beyond-the-end")
def test_manifest_lies_about_a_size(jarvis: Jarvis, registry: Registry, tmp_path: Path, size: int) -> None:
    """A size that is not the blob's, below or above it: exit 5, and no file."""
    registry.put_model("u/m", "v1", [(f"{OLLAMA}model", b"m" * 5000)], sizes={0: size})
    jarvis("pull", f"{registry.host}/u/m:v1", "-d", tmp_path / "out", "--retries", 0).check(5)
    assert not (tmp_path / "out/m-v1.gguf").exists()


@pytest.mark.parametrize(
    "title",
    [
        "../x",
        "/etc/x",
        "a/../../x",
        "..\\x",
        "C:x",
        "a\x1b[31m",
        "a\u202egguf",
        "a//b",
        "x" * 300,
        "m.jarvis-part",
    ],
)
@pytest.mark.row("attack/15-annotated-names")
def test_titles_that_leave_the_folder(jarvis: Jarvis, registry: Registry, tmp_path: Path, title: str) -> None:
    """Refused before anything is written, with the name in the message, its control characters escaped."""
    registry.put_model("u/m", "v1", [(f"{OLLAMA}model", b"m" * 50)], titles={0: title})
    result = jarvis("pull", f"{registry.host}/u/m:v1", "-d", tmp_path / "out").check(2)
    assert repr(title[:120]) in result.stderr and "\x1b" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_neither_protocol(jarvis: Jarvis, registry: Registry, tmp_path: Path) -> None:
    """A model that is not there: exit 3, and the answers to both questions."""
    result = jarvis("pull", f"{registry.host}/u/absent:v1", "-d", tmp_path / "out").check(3)
    assert "as a Hub: " in result.stderr and "as an OCI registry: " in result.stderr
    assert "manifest unknown" in result.stderr


# Who may


def test_basic_and_tls(jarvis: Jarvis, tls: Certificates, tmp_path: Path) -> None:
    """A registry with TLS and passwords: user and password by --token or --header; without, exit 4 and what to do."""
    hashed = bcrypt.hashpw(b"s3cret", bcrypt.gensalt(4)).decode()
    (tmp_path / "htpasswd").write_text(f"alice:{hashed}\n")
    auth = {"htpasswd": {"realm": "tests", "path": str(tmp_path / "htpasswd")}}
    header = basic("alice", "s3cret")
    with docker_registry(tmp_path / "registry", tls=tls, auth=auth, authorization=header) as registry:
        registry.put_model("u/m", "v1", MODEL)
        target = (f"https://{registry.host}/u/m:v1", "--cacert", tls.cacert, "-d", tmp_path / "out")
        refused = jarvis("pull", *target).check(4)
        assert "--token USER:PASSWORD" in refused.stderr
        refused = jarvis("pull", *target, "--token", "alice:hunter2").check(4)
        assert "refuses the credentials that were given (401)" in refused.stderr
        assert "hunter2" not in refused.stderr
        jarvis("pull", *target, "--token", "alice:s3cret", "-p", 1).check(0)
        assert (tmp_path / "out/m-v1.gguf").read_bytes() == GGUF
        jarvis("pull", *target, "--header", f"Authorization: {header}", "--force").check(0)


@contextmanager
def expiring(tmp_path: Path, tls: Certificates) -> Iterator[tuple[TokenServer, Registry]]:
    """A registry with u/m:v1, whose tokens live two seconds."""
    with TokenServer(tmp_path, tls=tls) as tokens:
        filler = f"Bearer {tokens.token('repository:u/m:pull,push')}"
        with docker_registry(tmp_path / "registry", auth=tokens.auth, authorization=filler) as registry:
            registry.put_model("u/m", "v1", MODEL)
            tokens.life_s = 2
            yield tokens, registry


def test_anonymous_token_that_expires_in_mid_pull(jarvis: Jarvis, tls: Certificates, tmp_path: Path) -> None:
    """Without any credential a token is fetched for the repository, and anew once it has expired in mid-pull, in worker
    processes too; it is found nowhere on the disk or in the log."""
    with expiring(tmp_path, tls) as (tokens, registry):
        log = tmp_path / "log"
        result = jarvis(
            "pull", f"{registry.host}/u/m:v1", "-d", tmp_path / "out", "--limit-rate", "4MB/s",
            "-c", 2, "-p", 2, "--segment-size", "1MiB", "--verbose", "--log-file", log, "--cacert", tls.cacert,
        ).check(0)  # fmt: skip
        assert (tmp_path / "out/m-v1.gguf").read_bytes() == GGUF
        assert len(tokens.requests) >= 3
        assert set(tokens.requests) == {("GET", "repository:u/m:pull")}
        secret = "eyJ"  # how a JWT begins
        assert secret not in result.stderr and secret not in log.read_text()
        kept = [p for p in (tmp_path / "home").rglob("*") if p.is_file()]
        assert kept and not [p for p in kept if secret.encode() in p.read_bytes()]


@pytest.mark.row("attack/31-token-not-renewed")
def test_a_token_that_is_not_renewed(
    spawn: Callable[..., Running], tls: Certificates, tmp_path: Path
) -> None:
    """Once it has expired in mid-pull and no other is given: exit 4, of which model, what to do, and what is kept."""
    with expiring(tmp_path, tls) as (tokens, registry):
        running = spawn(
            "pull", f"{registry.host}/u/m:v1", "-d", tmp_path / "out", "--limit-rate", "2MB/s", "--json",
            "-c", 2, "-p", 0, "--segment-size", "1MiB", "--cacert", tls.cacert,
        )  # fmt: skip
        running.wait_output(lambda out, _: any(progress(out)), "progress", timeout_s=60)
        tokens.user = "nobody:else"
        result = running.wait().check(4)
    (error,) = [event for event in result.events_named("error") if event["file"].endswith(".gguf")]
    assert "gives no token for u/m (401): pass --token USER:PASSWORD" in error["message"]
    assert "is kept, and the same command resumes" in error["message"]
    assert error["kept_bytes"] > 0


@pytest.mark.parametrize(
    ("options", "token", "methods"),
    [
        ({"user": "alice:s3cret"}, "alice:s3cret", ["GET"]),
        ({"refresh": "identity-token"}, "identity-token", ["POST"]),
        ({"user": "jarvis:personal-token"}, "personal-token", ["POST", "GET"]),
    ],
)
def test_credentials_are_changed_for_a_token(
    jarvis: Jarvis,
    tls: Certificates,
    tmp_path: Path,
    options: dict[str, str],
    token: str,
    methods: list[str],
) -> None:
    """User and password, a refresh token, and a token that is a password for any user."""
    with TokenServer(tmp_path, tls=tls, **options) as tokens:
        filler = f"Bearer {tokens.token('repository:u/m:pull,push')}"
        with docker_registry(tmp_path / "registry", auth=tokens.auth, authorization=filler) as registry:
            registry.put_model("u/m", "v1", [(f"{OLLAMA}model", b"m" * 50)])
            target = ("pull", f"{registry.host}/u/m:v1", "-d", tmp_path / "out", "--cacert", tls.cacert)
            jarvis(*target, "--token", token).check(0)
            assert [method for method, _ in tokens.requests] == methods
            refused = jarvis(*target, "--token", "no:body", "--force").check(4)
            assert "gives no token for u/m (401): check what --token" in refused.stderr
            assert "pass --token USER:PASSWORD" in jarvis(*target, "--force").check(4).stderr


@pytest.mark.parametrize("where", ["127.0.0.2", "127.0.0.1"], ids=["another host", "another port"])
@pytest.mark.row("attack/32-realm-elsewhere")
def test_realm_elsewhere(jarvis: Jarvis, tmp_path: Path, where: str) -> None:
    """A registry that names somebody else's address for tokens, or plain http at another port of its own: refused, and
    whoever listens there is never asked and gets no credential."""
    with TokenServer(tmp_path, tls=None, host=where, user="alice:s3cret") as tokens:
        filler = f"Bearer {tokens.token('repository:u/m:pull,push')}"
        with docker_registry(tmp_path / "registry", auth=tokens.auth, authorization=filler) as registry:
            registry.put_model("u/m", "v1", [(f"{OLLAMA}model", b"m" * 50)])
            target = ("pull", f"{registry.host}/u/m:v1", "-d", tmp_path / "out")
            for options in ((), ("--token", "alice:s3cret")):
                result = jarvis(*target, *options).check(5)
                assert where in result.stderr and "another site, or plain http" in result.stderr
                assert "s3cret" not in result.stderr
        assert (tokens.requests, tokens.credentials) == ([], [])


def test_realm_nearby(jarvis: Jarvis, tls: Certificates, tmp_path: Path) -> None:
    """The same registry, whose realm at another port shows a certificate: it gets the credential, once."""
    with TokenServer(tmp_path, tls=tls, user="alice:s3cret") as tokens:
        filler = f"Bearer {tokens.token('repository:u/m:pull,push')}"
        with docker_registry(tmp_path / "registry", auth=tokens.auth, authorization=filler) as registry:
            registry.put_model("u/m", "v1", [(f"{OLLAMA}model", b"m" * 50)])
            target = ("pull", f"{registry.host}/u/m:v1", "-d", tmp_path / "out", "--cacert", tls.cacert)
            jarvis(*target, "--token", "alice:s3cret").check(0)
        assert tokens.credentials == [basic("alice", "s3cret")]
