"""`jarvis import`: what is on this machine becomes models of the store, hashed, shared, and nothing believed."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from engine.digest import Digest
from engine.model_manifest import ManifestManager
from engine.remote_file import RemoteName
from engine.store.hf_cache import HubCache
from engine.store.ollama_store import Facts, OllamaName, OllamaStore, synthesise
from tests.command import Command

MODEL, SMALL = b"GGUF" + os.urandom(300_000), b'{"a": 1}\n'
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def sha256(data: bytes) -> Digest:
    return Digest("sha256", hashlib.sha256(data).hexdigest())


def git_sha1(data: bytes) -> Digest:
    return Digest("git-sha1", hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest())


def blob(home: Path, data: bytes) -> Path:
    return home / f"blobs/sha256-{sha256(data).hex}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Models of an older program."""
    root = tmp_path / "old"
    (root / "deep").mkdir(parents=True)
    (root / "One-Q4_K_M.gguf").write_bytes(MODEL)
    (root / "deep/Two-00001-of-00002.gguf").write_bytes(b"GGUF1")
    (root / "deep/Two-00002-of-00002.gguf").write_bytes(b"GGUF2")
    (root / "notes.txt").write_bytes(b"no model")
    return root


def test_a_folder_of_models(command: Command, folder: Path, home: Path) -> None:
    """A line each; blob, view and manifest; shards are one model; the originals stay, and share their bytes."""
    done = command.run("import", folder).check()
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["one-q4_k_m", "two"]
    manager = ManifestManager(home / "manifests")
    one, two = manager.list_manifests()
    assert [(layer.filename, layer.sha256) for layer in one.layers] == [
        ("One-Q4_K_M.gguf", sha256(MODEL).hex)
    ]
    assert (one.downloaded, one.quantization) == (True, "Q4_K_M")
    assert [layer.filename for layer in two.layers] == ["Two-00001-of-00002.gguf", "Two-00002-of-00002.gguf"]
    assert (home / "llm/local/one-q4_k_m/One-Q4_K_M.gguf").read_bytes() == MODEL
    assert (folder / "One-Q4_K_M.gguf").read_bytes() == blob(home, MODEL).read_bytes() == MODEL
    command.run("verify", "one-q4_k_m").check()
    before = blob(home, MODEL).stat()
    command.run("import", folder).check()
    assert blob(home, MODEL).stat().st_ino == before.st_ino


def test_a_link_to_a_model_is_no_second_one(command: Command, folder: Path, home: Path) -> None:
    """A folder that names a file twice has it once."""
    (folder / "deep/same.gguf").symlink_to(folder / "One-Q4_K_M.gguf")
    first, _ = command.run("import", folder).check().stdout.splitlines()
    assert first.startswith("one-q4_k_m: imported, 1 file")


def test_the_original_stays_as_it_is(command: Command, folder: Path, home: Path) -> None:
    """Its mode, too, though the disk has both once; and it may go without harm."""
    original = folder / "One-Q4_K_M.gguf"
    original.chmod(0o640)
    command.run("import", original).check()
    assert original.stat().st_mode & 0o777 == 0o640
    assert original.samefile(blob(home, MODEL)) or original.stat().st_blocks == 0
    original.unlink()
    original.write_bytes(b"another")
    command.run("verify", "one-q4_k_m").check()
    command.run("rm", "one-q4_k_m").check()
    assert original.read_bytes() == b"another"


def test_what_is_written_into_the_original_is_noticed(command: Command, folder: Path, home: Path) -> None:
    """Nothing that has changed is taken for what was imported."""
    command.run("import", folder / "One-Q4_K_M.gguf").check()
    with (folder / "One-Q4_K_M.gguf").open("r+b") as file:
        file.write(b"XXXX")
    command.run("verify", "one-q4_k_m").check(6)
    command.run("import", folder / "One-Q4_K_M.gguf").check()
    command.run("verify", "one-q4_k_m").check()


def test_a_part_of_a_split_model_is_refused(command: Command, folder: Path, home: Path) -> None:
    """With the names of what is missing; the other models are imported."""
    (folder / "deep/Two-00001-of-00002.gguf").rename(folder / "deep/Two-00001-of-00003.gguf")
    (folder / "deep/Two-00002-of-00002.gguf").rename(folder / "deep/Two-00002-of-00003.gguf")
    done = command.run("import", folder).check(3)
    assert "Two-00003-of-00003.gguf is missing" in done.stderr
    (manifest,) = ManifestManager(home / "manifests").list_manifests()
    assert manifest.model_key == "one-q4_k_m"
    assert not (home / "llm/local/two").exists()


def test_a_shard_brings_its_set(command: Command, folder: Path, home: Path) -> None:
    """As a pull takes one for the whole; what lies beside it does not come."""
    (folder / "deep/Other.gguf").write_bytes(b"GGUF3")
    command.run("import", folder / "deep/Two-00002-of-00002.gguf").check()
    (manifest,) = ManifestManager(home / "manifests").list_manifests()
    assert [layer.filename for layer in manifest.layers] == [
        "Two-00001-of-00002.gguf",
        "Two-00002-of-00002.gguf",
    ]


def test_a_failure_does_not_stop_the_rest(command: Command, folder: Path, tmp_path: Path, home: Path) -> None:
    """What cannot be is told, with an exit code; pipes and links that lead out are passed over."""
    (folder / "bad\u202ename.gguf").write_bytes(b"x")
    os.mkfifo(folder / "pipe.gguf")
    (tmp_path / "secret.gguf").write_bytes(b"secret")
    (folder / "out.gguf").symlink_to(tmp_path / "secret.gguf")
    done = command.run("import", folder, tmp_path / "nothing").check(1)
    assert "one-q4_k_m" in done.stdout and "two" in done.stdout
    assert "direction character" in done.stderr and "no model" in done.stderr
    assert not blob(home, b"secret").exists()


def test_what_looks_broken_is_told(command: Command, tmp_path: Path, home: Path, gguf_file: Path) -> None:
    """Imported all the same; a header that can be read says nothing."""
    models = tmp_path / "models"
    models.mkdir()
    (models / "empty.gguf").write_bytes(b"")
    (models / "other.gguf").write_bytes(b"<html>")
    (models / "sound.gguf").write_bytes(gguf_file.read_bytes())
    (models / "cut.gguf").write_bytes(gguf_file.read_bytes()[:1000])
    done = command.run("import", models).check()
    assert done.stdout.count("imported") == 4
    told = {line.partition(":")[0] for line in done.stderr.splitlines() if "may be no model" in line}
    assert told == {"empty", "other", "cut"}


def test_a_hugging_face_cache(command: Command, tmp_path: Path, home: Path) -> None:
    """Under the name that a pull would give it. A damaged file is noticed by the digest in its name."""
    (tmp_path / "m").write_bytes(MODEL)
    (tmp_path / "c").write_bytes(SMALL)
    cache = HubCache(tmp_path / "hub")
    files = [
        (RemoteName("a-Q4_0.gguf"), tmp_path / "m", sha256(MODEL)),
        (RemoteName("config.json"), tmp_path / "c", git_sha1(SMALL)),
    ]
    cache.write("acme/tiny", "main", COMMIT, files)
    cache.write("acme/bad", "main", COMMIT, files[1:])
    (cache.root / "models--acme--bad/blobs" / git_sha1(SMALL).hex).unlink()
    (cache.root / "models--acme--bad/blobs" / git_sha1(SMALL).hex).write_bytes(SMALL[::-1])
    done = command.run("import", cache.root, "--json").check(6)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["model"] for line in lines if "model" in line] == ["huggingface.co/acme/tiny"]
    assert [line["error"] for line in lines if "error" in line] == ["DigestMismatch"]
    assert "huggingface.co/acme/bad" in done.stderr
    (manifest,) = ManifestManager(home / "manifests").list_manifests()
    assert (manifest.revision, manifest.verified) == (COMMIT, True)
    assert (home / "llm/acme/tiny/config.json").read_bytes() == SMALL
    assert (home / "llm/acme/tiny/a-Q4_0.gguf").read_bytes() == MODEL


def test_an_ollama_store(command: Command, tmp_path: Path, home: Path) -> None:
    """Models by their manifests; one whose blob is gone is told."""
    content, config = synthesise([("model", sha256(MODEL), len(MODEL))], Facts())
    (tmp_path / "m").write_bytes(MODEL)
    store = OllamaStore(tmp_path / "ollama")
    for name in ("good", "incomplete"):
        blobs = {sha256(MODEL): tmp_path / "m", sha256(config): config}
        store.write(OllamaName("registry.ollama.ai", "library", name, "latest"), content, blobs)
    lacking, other = synthesise([("model", sha256(b"gone"), 4)], Facts())
    (tmp_path / "g").write_bytes(b"gone")
    store.write(
        OllamaName("hf.co", "acme", "tiny", "Q4_0"),
        lacking,
        {sha256(b"gone"): tmp_path / "g", sha256(other): other},
    )
    (store.root / f"blobs/sha256-{sha256(b'gone').hex}").unlink()
    done = command.run("import", store.root).check(3)
    assert "registry.ollama.ai/library/good:latest" in done.stdout
    assert "hf.co/acme/tiny:Q4_0" in done.stderr
    keys = [manifest.model_key for manifest in ManifestManager(home / "manifests").list_manifests()]
    assert keys == [f"registry.ollama.ai/library/{name}:latest" for name in ("good", "incomplete")]
    assert blob(home, MODEL).exists() and blob(home, config).exists()
