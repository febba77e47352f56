"""What a new version of a model no longer has: removed where that is certain, swept by gc, and never a user's own."""

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from engine.library.collection import collect
from engine.model_manifest import ManifestManager
from engine.server.run import BackgroundServer
from engine.store.at_work import at_work
from tests.command import Command

KEPT, DROPPED = os.urandom(200_000), os.urandom(500_000)
KEY = "huggingface.co/ns/m"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the Hub has: a model of two files."""
    folder = tmp_path / "models/ns/m"
    folder.mkdir(parents=True)
    (folder / "kept.bin").write_bytes(KEPT)
    (folder / "sub").mkdir()
    (folder / "sub/dropped.bin").write_bytes(DROPPED)
    return folder


@pytest.fixture
def hub(
    folder: Path, command: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """A Hub, and its model pulled from it."""
    monkeypatch.setenv("JARVIS_HOME", str(home))
    with BackgroundServer(folder.parents[1]) as server:
        env = {"HF_ENDPOINT": server.url}
        command.run("pull", "ns/m", "--include", "*", env=env).check()
        yield env


@pytest.fixture
def dropped(home: Path) -> Path:
    """Where the file lies that the next version no longer has."""
    return home / "llm/ns/m/sub/dropped.bin"


def blob(home: Path, content: bytes) -> Path:
    return home / "blobs" / f"sha256-{sha256(content).hexdigest()}"


def update_beside_a_pull(command: Command, hub: dict[str, str], home: Path, folder: Path) -> None:
    """A new version without the second file; another pull is at work, so nothing is removed yet."""
    (folder / "sub/dropped.bin").unlink()
    with at_work(home):
        command.run("update", env=hub).check()


def test_an_update_removes_what_the_new_version_has_not(
    command: Command, hub: dict[str, str], home: Path, folder: Path, dropped: Path
) -> None:
    """The file, its folder, its receipt, its blob; and it says so. What is still there stays."""
    receipts = len(list((home / "receipts").iterdir()))
    (folder / "sub/dropped.bin").unlink()
    told = command.run("update", env=hub).check().stderr
    assert "only the version before had is removed: 50" in told
    assert not dropped.parent.exists()
    assert not blob(home, DROPPED).exists()
    assert len(list((home / "receipts").iterdir())) == receipts - 2
    assert (home / "llm/ns/m/kept.bin").read_bytes() == blob(home, KEPT).read_bytes() == KEPT


def test_an_update_frees_the_content_that_was_replaced(
    command: Command, hub: dict[str, str], home: Path, folder: Path, dropped: Path
) -> None:
    """The same name with another content."""
    (folder / "sub/dropped.bin").write_bytes(b"new" * 1000)
    assert "bytes freed" in command.run("update", env=hub).check().stderr
    assert dropped.read_bytes() == b"new" * 1000
    assert not blob(home, DROPPED).exists()


def test_what_another_model_names_stays(
    command: Command, hub: dict[str, str], home: Path, folder: Path, dropped: Path
) -> None:
    """The same repository, pinned to the version before."""
    (manifest,) = ManifestManager(home / "manifests").list_manifests()
    command.run("pull", f"ns/m@{manifest.revision}", "--include", "*", env=hub).check()
    (folder / "sub/dropped.bin").unlink()
    command.run("update", "ns/m", env=hub).check()
    assert collect(grace_s=0).removed == []
    assert dropped.read_bytes() == blob(home, DROPPED).read_bytes() == DROPPED


@pytest.mark.row("together/gc-beside-a-pull")
def test_gc_sweeps_what_a_version_left(
    command: Command, hub: dict[str, str], home: Path, folder: Path, dropped: Path
) -> None:
    """Not while a pull is at work; then the file and its blob, which it held. --dry-run tells the same before."""
    update_beside_a_pull(command, hub, home, folder)
    with at_work(home):
        assert "a pull is at work" in command.run("gc").check().stderr
    assert dropped.read_bytes() == blob(home, DROPPED).read_bytes() == DROPPED
    told = command.run("gc", "--dry-run").check()
    assert dropped.exists()
    swept = command.run("gc").check()
    assert told.stdout == swept.stdout
    assert f"{dropped}: a file of an earlier version (0 B)" in swept.stdout
    assert f"{blob(home, DROPPED)}: no model needs it (50" in swept.stdout
    assert not dropped.parent.exists()
    assert not blob(home, DROPPED).exists()
    assert (home / "llm/ns/m/kept.bin").read_bytes() == KEPT
    command.run("verify").check()


def test_a_users_own_file_stays(
    command: Command, hub: dict[str, str], home: Path, folder: Path, dropped: Path
) -> None:
    """One that took the place of a dropped one; one that was written there; one that was pulled there with -o."""
    update_beside_a_pull(command, hub, home, folder)
    dropped.unlink()
    dropped.write_bytes(b"mine")
    (dropped.parent / "also-mine.bin").write_bytes(DROPPED)
    pulled = dropped.parent / "pulled.bin"
    command.run("pull", "ns/m", "--file", "kept.bin", "-o", pulled, env=hub).check()
    collect(grace_s=0, stale_s=0)
    assert dropped.read_bytes() == b"mine"
    assert (dropped.parent / "also-mine.bin").read_bytes() == DROPPED
    assert pulled.read_bytes() == KEPT
    assert not blob(home, DROPPED).exists()


def test_rm_takes_what_versions_left(
    command: Command, hub: dict[str, str], home: Path, folder: Path, dropped: Path
) -> None:
    """Nobody would know of it afterwards."""
    update_beside_a_pull(command, hub, home, folder)
    assert "removed, 70" in command.run("rm", "ns/m").check().stdout
    assert list((home / "llm").iterdir()) == list((home / "blobs").iterdir()) == []


def test_a_model_whose_pull_never_ended_is_swept_in_the_end(
    command: Command, home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files came, its manifest did not, as after a kill: after two weeks nobody goes on with it."""
    monkeypatch.setenv("JARVIS_HOME", str(home))
    with BackgroundServer(folder.parents[1]) as server:
        command.run("pull", "ns/m", "--file", "kept.bin", env={"HF_ENDPOINT": server.url}).check()
    view = home / "llm/ns/m/kept.bin"
    for manifest in (home / "manifests").glob("*.json"):
        manifest.unlink()
    assert collect(grace_s=0).removed == []
    assert view.exists()
    assert [one.path for one in collect(grace_s=0, stale_s=0).removed] == [view, blob(home, KEPT)]
    assert not (home / "llm/ns").exists()
