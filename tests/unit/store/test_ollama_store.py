"""Ollama's store: what Ollama would open, byte for byte, and nothing believed of what is there."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from engine.digest import Digest
from engine.errors import PathError, StoreError, UsageError
from engine.store.elsewhere import find_elsewhere
from engine.store.ollama_store import (
    Facts,
    Manifest,
    OllamaModel,
    OllamaName,
    OllamaStore,
    Unusable,
    ollama_stores,
    ollama_target,
    synthesise,
)

MODEL = b"GGUF" + b"weights" * 999
NAME = OllamaName("registry.ollama.ai", "library", "tiny", "latest")


def sha256(data: bytes) -> Digest:
    return Digest("sha256", hashlib.sha256(data).hexdigest())


@pytest.fixture
def store(tmp_path):
    return OllamaStore(tmp_path / "ollama")


@pytest.fixture
def model(tmp_path):
    """Manifest and blobs of a model."""
    content, config = synthesise([("model", sha256(MODEL), len(MODEL))], Facts("llama", "1B", "Q4_K_M"))
    (tmp_path / "model").write_bytes(MODEL)
    (tmp_path / "config").write_bytes(config)
    return content, {sha256(MODEL): tmp_path / "model", sha256(config): tmp_path / "config"}


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def swept(root: Path) -> set[str]:
    """What Ollama's start would delete (server/images.go, PruneLayers): blobs that no manifest names."""
    named = set()
    for path in root.glob("manifests/*/*/*/*"):
        manifest = json.loads(path.read_bytes())
        named |= {part["digest"].replace(":", "-") for part in [manifest["config"], *manifest["layers"]]}
    return {path.name for path in (root / "blobs").iterdir()} - named


def test_synthesise_is_what_ollama_create_writes():
    """Media types, field names and their order as in types/model/config.go and manifest/manifest.go; a line break ends
    both, as Go's encoder writes it."""
    content, config = synthesise([("model", sha256(MODEL), len(MODEL))], Facts("llama", "1B", "Q4_K_M"))
    digest = str(sha256(MODEL))
    assert (
        config
        == (
            '{"model_format":"gguf","model_family":"llama","model_families":["llama"],"model_type":"1B",'
            '"file_type":"Q4_K_M","architecture":"amd64","os":"linux",'
            f'"rootfs":{{"type":"layers","diff_ids":["{digest}"]}}}}\n'
        ).encode()
    )
    assert (
        content
        == (
            '{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",'
            '"config":{"mediaType":"application/vnd.docker.container.image.v1+json",'
            f'"digest":"{sha256(config)}","size":{len(config)}}},'
            '"layers":[{"mediaType":"application/vnd.ollama.image.model",'
            f'"digest":"{digest}","size":{len(MODEL)}}}]}}\n'
        ).encode()
    )


def test_write_makes_the_layout(store, model):
    """Flat blobs, the manifest byte for byte under its four-part name, nothing that Ollama would sweep."""
    content, blobs = model
    path = store.write(NAME, content, blobs)
    assert path == store.root / "manifests/registry.ollama.ai/library/tiny/latest"
    assert path.read_bytes() == content
    assert len(everything(store.root)) == 3
    for digest, source in blobs.items():
        assert (store.root / f"blobs/sha256-{digest.hex}").read_bytes() == source.read_bytes()
    assert swept(store.root) == set()


def test_write_keeps_foreign_bytes(store, model):
    """A registry's manifest may have other fields and spaces: its bytes are its identity."""
    content, blobs = model
    indented = json.dumps({**json.loads(content), "annotations": {"a": 1}}, indent=3).encode() + b"\n"
    assert store.write(NAME, indented, blobs).read_bytes() == indented


def test_write_survives_a_server_that_starts_meanwhile(store, model):
    """What Ollama sweeps between the blobs and their manifest is put there again."""
    content, blobs = model
    ours = dict(blobs)
    put = []

    def place_and_sweep(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes())
        put.append(target)
        if len(put) == 2:
            for name in swept(store.root):
                (store.root / "blobs" / name).unlink()

    store.write(NAME, content, blobs, put=place_and_sweep)
    assert len(put) == 4
    assert len(list((store.root / "blobs").iterdir())) == 2
    assert all(path.exists() for path in ours.values())


def test_write_again_is_the_same(store, model):
    content, blobs = model
    store.write(NAME, content, blobs)
    before = everything(store.root)
    store.write(NAME, content, blobs)
    assert everything(store.root) == before


def test_write_takes_the_spelling_that_is_there(store, model):
    """Ollama compares names without case: a second spelling would be a second model, or the first one hidden."""
    content, blobs = model
    first = store.write(OllamaName("hf.co", "Acme", "Tiny-GGUF", "Q4_K_M"), content, blobs)
    second = store.write(OllamaName("hf.co", "acme", "tiny-gguf", "q4_k_m"), content, blobs)
    assert second == first


def test_write_replaces_the_manifest_that_ollama_reads(store, model):
    """Newer versions look at manifests-v2 first, where the manifest is a link to a blob."""
    content, blobs = model
    newer = store.root / "manifests-v2" / "/".join(NAME.parts)
    newer.parent.mkdir(parents=True)
    (store.root / "blobs").mkdir()
    (store.root / "blobs/old").write_bytes(b"old")
    newer.symlink_to("../../../../blobs/old")
    assert store.write(NAME, content, blobs) == newer
    assert newer.read_bytes() == content
    assert (store.root / "blobs/old").read_bytes() == b"old"
    assert [found.name for found in usable(store)] == [NAME]


def test_write_needs_every_blob(store, model):
    """A manifest whose contents are not there is no model: nothing is written."""
    content, blobs = model
    del blobs[sha256(MODEL)]
    with pytest.raises(UsageError, match=sha256(MODEL).hex):
        store.write(NAME, content, blobs)
    assert not store.root.exists()


def test_write_says_what_the_disk_refuses(tmp_path, model):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError):
        OllamaStore(tmp_path / "file").write(NAME, *model)


NO_MANIFESTS = [
    b"",
    b"{}",
    b"[]",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"schemaVersion":2,"mediaType":"m","config":{"mediaType":"c","digest":"sha256:../x","size":1},"layers":[]}',
    b'{"schemaVersion":2,"mediaType":"m","config":{"mediaType":"c","digest":"git-sha1:%s","size":1},"layers":[]}'
    % (b"0" * 40),
    b'{"schemaVersion":2,"mediaType":"m","config":{"mediaType":"c","digest":"sha256:%s","size":-1},"layers":[]}'
    % (b"0" * 64),
    b'{"schemaVersion":2,"mediaType":"m","config":null,"layers":[]}',
]


@pytest.mark.parametrize("content", NO_MANIFESTS, ids=range(len(NO_MANIFESTS)))
def test_what_is_no_manifest(store, content):
    """Is refused, and passed over where it lies among others."""
    with pytest.raises(PathError):
        Manifest.parse(content)
    with pytest.raises(PathError):
        store.write(NAME, content, {})
    assert not store.root.exists()


def test_models_passes_over_what_cannot_be(store, model):
    """Broken, gigantic and unreadable manifests, impossible names, pipes and links out: the rest is read."""
    store.write(NAME, *model)
    folder = store.root / "manifests/registry.ollama.ai/library/tiny"
    for number, content in enumerate(NO_MANIFESTS):
        (folder / f"broken{number}").write_bytes(content)
    with (folder / "huge").open("wb") as file:
        file.truncate(1 << 40)
    os.mkfifo(folder / "pipe")
    (folder / "out").symlink_to("/etc/passwd")
    (folder / "dangling").symlink_to("gone")
    (folder / "-flag").write_bytes(model[0])
    (folder / "bad\u202ename").write_bytes(model[0])
    (folder / "folder").mkdir()
    (store.root / "manifests/stray").touch()
    (folder / ".hidden").touch()
    (found,) = usable(store)
    assert (found.name, found.content) == (NAME, model[0])
    told = {one.name.rpartition("/")[2] for one in store.models() if isinstance(one, Unusable)}
    assert told >= {"broken0", "huge", "pipe", "out", "dangling", "-flag", "bad\u202ename"}
    assert ".hidden" not in told


def usable(store: OllamaStore) -> list[OllamaModel]:
    """Without what is no model."""
    return [found for found in store.models() if isinstance(found, OllamaModel)]


def test_models_name_the_blobs_that_are_there(store, model):
    """A blob that is missing, or of another size, is left out; the model is still listed."""
    content, blobs = model
    store.write(NAME, content, blobs)
    (found,) = usable(store)
    assert {key: path.read_bytes() for key, path in found.files.items()} == {
        str(digest): path.read_bytes() for digest, path in blobs.items()
    }
    blob = store.root / f"blobs/sha256-{sha256(MODEL).hex}"
    blob.unlink()
    blob.write_bytes(b"short")
    (found,) = usable(store)
    assert str(sha256(MODEL)) not in found.files
    assert "has 5 bytes" in store.fault_of(sha256(MODEL), len(MODEL))
    blob.unlink()
    assert "is missing" in store.fault_of(sha256(MODEL), len(MODEL))


def test_find_by_digest(store, model, tmp_path):
    """By SHA-256 and size; links that lead out are none."""
    store.write(NAME, *model)
    blob = (store.root / f"blobs/sha256-{sha256(MODEL).hex}").resolve()
    assert list(store.find(sha256(MODEL), len(MODEL))) == [blob]
    assert list(store.find(sha256(MODEL), 1)) == []
    assert list(store.find(Digest("git-sha1", "0" * 40))) == []
    blob.unlink()
    blob.symlink_to(tmp_path / "model")
    assert list(store.find(sha256(MODEL))) == []


VALID = [
    ("registry.ollama.ai", "library", "llama3", "latest"),
    ("localhost:5000", "ns", "m", "v1.0"),
    ("_why", "_the", "_lucky", "_stiff"),
    ("3" * 350, "8" * 80, "8" * 80, "8" * 80),
]
INVALID = [
    ("..", "ns", "m", "t"),
    ("h", "n.s", "m", "t"),
    ("h", "ns", ".hidden", "t"),
    ("h", "ns", "m", "-flag"),
    ("h", "ns", "m", ""),
    ("h", "ns", "8" * 81, "t"),
    ("h", "n/s", "m", "t"),
    ("[::1]:5000", "ns", "m", "t"),
    ("h", "ns", "m\n", "t"),
    ("h", "ns", "modèle", "t"),
]


@pytest.mark.parametrize("parts", VALID)
def test_names_that_ollama_takes(parts):
    assert OllamaName(*parts).parts == parts


@pytest.mark.parametrize("parts", INVALID)
def test_names_that_it_does_not_take(parts):
    """Characters and lengths of types/model/name.go; a name is a path here, so nothing else may pass."""
    with pytest.raises(PathError):
        OllamaName(*parts)


def test_name_as_it_is_typed():
    assert str(NAME) == "tiny:latest"
    assert str(OllamaName("hf.co", "a", "b", "Q4_0")) == "hf.co/a/b:Q4_0"


def test_where_ollama_keeps_models(monkeypatch):
    """OLLAMA_MODELS first; the user's and the service's are looked into as well. What is written goes to the first, or
    to a root of our own."""
    monkeypatch.setenv("JARVIS_HOME", "/home-of-jarvis")
    user, service = Path("~/.ollama/models").expanduser(), Path("/usr/share/ollama/.ollama/models")
    assert ollama_stores({}) == [user, service]
    assert ollama_stores({"OLLAMA_MODELS": "/o"}) == [Path("/o"), user, service]
    assert ollama_stores({"OLLAMA_MODELS": str(service)}) == [service, user]
    assert ollama_target({"OLLAMA_MODELS": "/o"}) == Path("/o")
    assert ollama_target({}) == Path("/home-of-jarvis/ollama")


def test_find_elsewhere_covers_both(tmp_path, store, model, monkeypatch):
    """Whoever has the content, it is found; where there are no stores there is nothing, and nothing is made."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("OLLAMA_MODELS", str(store.root))
    assert list(find_elsewhere(sha256(MODEL), len(MODEL))) == []
    assert names(tmp_path) == ["config", "model"]
    store.write(NAME, *model)
    blob = tmp_path / "hub/models--a--b/blobs" / sha256(MODEL).hex
    blob.parent.mkdir(parents=True)
    blob.write_bytes(MODEL)
    assert list(find_elsewhere(sha256(MODEL), len(MODEL))) == [
        blob.resolve(),
        (store.root / f"blobs/sha256-{sha256(MODEL).hex}").resolve(),
    ]
