"""The store as people meet it: every content once, whatever model it belongs to, and what is remembered of models."""

import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from engine.model_manifest import ManifestManager
from engine.server.run import BackgroundServer
from tests.command import Command, Result

BIG = os.urandom(3 << 20)
DIGEST = sha256(BIG).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the Hub has: two repositories that share their large file."""
    root = tmp_path / "models"
    for name, own in (("one", b"1" * 300_000), ("two", b"2" * 300_000)):
        repository = root / "ns" / name
        repository.mkdir(parents=True)
        (repository / "shared-Q4_K_M.gguf").write_bytes(BIG)
        (repository / "own.bin").write_bytes(own)
    return root


@pytest.fixture
def hub(folder: Path, command: Command) -> Iterator[dict[str, str]]:
    with BackgroundServer(folder) as server:
        yield {"HF_ENDPOINT": server.url}


def pull(command: Command, hub: dict[str, str], *args: object) -> Result:
    return command.run("pull", *args, "--json", env=hub).check()


def blob(home: Path, digest: str = DIGEST) -> Path:
    return home / "blobs" / f"sha256-{digest}"


def test_a_pulled_file_is_a_blob_and_a_view_of_it(command: Command, hub: dict[str, str], home: Path) -> None:
    """Both names have the content, and the disk has it once."""
    (done,) = pull(command, hub, "ns/one").events_named("file")
    view = Path(done["path"])
    assert view == home / "llm/ns/one/shared-Q4_K_M.gguf"
    assert view.read_bytes() == blob(home).read_bytes() == BIG
    assert view.stat().st_ino == blob(home).stat().st_ino or view.stat().st_blocks == 0
    assert not blob(home).stat().st_mode & 0o222


def test_a_content_that_another_model_brought_costs_no_bytes(
    command: Command, hub: dict[str, str], home: Path
) -> None:
    """By its digest, not by its name; and only the rest is fetched."""
    pull(command, hub, "ns/one", "--include", "*")
    events = pull(command, hub, "ns/two", "--include", "*").events_named("file")
    fetched = {Path(event["path"]).name: event["fetched_bytes"] for event in events}
    assert fetched == {"shared-Q4_K_M.gguf": 0, "own.bin": 300_000}
    assert (home / "llm/ns/two/shared-Q4_K_M.gguf").read_bytes() == BIG
    assert len(list((home / "blobs").iterdir())) == 3


@pytest.mark.row("attack/24-poisoned-store")
def test_a_blob_that_is_no_longer_what_it_was_is_not_believed(
    command: Command, hub: dict[str, str], home: Path
) -> None:
    """Someone wrote into it: the next model fetches the content, and the blob is sound again."""
    pull(command, hub, "ns/one")
    blob(home).chmod(0o644)
    blob(home).write_bytes(b"x" * len(BIG))
    (done,) = pull(command, hub, "ns/two").events_named("file")
    assert done["fetched_bytes"] == len(BIG)
    assert Path(done["path"]).read_bytes() == blob(home).read_bytes() == BIG


def test_force_fetches_again(command: Command, hub: dict[str, str], home: Path) -> None:
    """Also what the store has; it keeps one copy."""
    pull(command, hub, "ns/one")
    (done,) = pull(command, hub, "ns/one", "--force").events_named("file")
    assert done["fetched_bytes"] == len(BIG)
    assert Path(done["path"]).stat().st_ino == blob(home).stat().st_ino
    assert not list((home / "llm").rglob(".*"))


def test_a_complete_model_has_a_manifest(command: Command, hub: dict[str, str], home: Path) -> None:
    """Under the model path's one spelling; pulled again without news, it is not written again."""
    pull(command, hub, "hf.co/ns/one:q4_k_m")
    manager = ManifestManager(home / "manifests")
    (manifest,) = manager.list_manifests()
    assert manifest.model_key == "huggingface.co/ns/one:Q4_K_M"
    assert (manifest.namespace, manifest.repository, manifest.quantization) == ("ns", "one", "Q4_K_M")
    assert [(layer.filename, layer.sha256, layer.size_bytes) for layer in manifest.layers] == [
        ("shared-Q4_K_M.gguf", DIGEST, len(BIG))
    ]
    assert manifest.verified
    before = manager.path_of(manifest.model_key).stat().st_mtime_ns
    pull(command, hub, "hf.co/ns/one:Q4_K_M")
    assert manager.path_of(manifest.model_key).stat().st_mtime_ns == before


def test_quantizations_are_models_of_their_own(command: Command, hub: dict[str, str], home: Path) -> None:
    """One that is chosen with -q is the model that the path can name; the one pulled before stays known."""
    pull(command, hub, "ns/one")
    pull(command, hub, "ns/one", "-q", "q4_k_m")
    pull(command, hub, "ns/one:Q4_K_M", "-q", "Q4_K_M")
    keys = [manifest.model_key for manifest in ManifestManager(home / "manifests").list_manifests()]
    assert keys == ["huggingface.co/ns/one", "huggingface.co/ns/one:Q4_K_M"]


def test_a_complete_model_is_asked_about_once(
    command: Command, hub: dict[str, str], tmp_path: Path, folder: Path
) -> None:
    """Whether the branch has moved; and not at all where a commit is pinned. What has moved is listed anew."""

    def asked(*words: str) -> list[str]:
        log = tmp_path / "log"
        log.unlink(missing_ok=True)
        pull(command, hub, *words, "--log-file", log)
        events = [json.loads(line) for line in log.read_text().splitlines()]
        return [e["event"] for e in events if e["event"] in ("request.started", "lease.sent")]

    pull(command, hub, "ns/one", "--include", "*")
    assert asked("ns/one", "--include", "*") == ["request.started"]
    (folder / "ns" / "one" / "own.bin").write_bytes(b"new")
    assert "lease.sent" in asked("ns/one", "--include", "*")
    commit = json.loads(next((tmp_path / "home/manifests").glob("*.json")).read_text())["revision"]
    pull(command, hub, f"ns/one@{commit}")
    assert asked(f"ns/one@{commit}") == []


def test_two_targets_that_share_a_file_both_have_it(
    command: Command, hub: dict[str, str], home: Path
) -> None:
    """It is fetched for the first one; the manifests of both name it."""
    pull(command, hub, "ns/one", "ns/one:Q4_K_M")
    manifests = ManifestManager(home / "manifests").list_manifests()
    assert [[layer.sha256 for layer in manifest.layers] for manifest in manifests] == [[DIGEST], [DIGEST]]


def test_a_model_that_failed_in_part_has_none(
    command: Command, hub: dict[str, str], home: Path, folder: Path
) -> None:
    """What is not complete is no model yet; the blobs of what came are kept."""
    (folder / "ns" / "one" / "own.bin").chmod(0)
    (folder / "ns" / "one" / "own.bin").unlink()
    os.mkfifo(folder / "ns" / "one" / "own.bin")
    command.run("pull", "ns/one", "--file", "own.bin", env=hub).check(3)
    assert not (home / "manifests").exists() or not list((home / "manifests").glob("*.json"))


def test_loose_files_stay_out_of_the_store(
    command: Command, hub: dict[str, str], home: Path, tmp_path: Path
) -> None:
    """-d and -o: the user's own places, nothing is kept beside them."""
    pull(command, hub, "ns/one", "-d", tmp_path / "mine")
    assert not blob(home).exists()
    assert not (home / "manifests").exists()
