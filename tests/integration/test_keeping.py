"""Looking after models: rm, gc, verify --repair, outdated, update, on a store that real pulls have filled."""

import os
import re
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from engine.model_manifest import ManifestManager
from engine.server.run import BackgroundServer
from tests.command import Command

SHARED, OWN = os.urandom(3 << 20), os.urandom(300_000)
SEGMENT = 256 << 10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the Hub has: `one` and `two` share a large file, and `two` has one of its own."""
    root = tmp_path / "models"
    for name, files in (
        ("one", {"shared.gguf": SHARED}),
        ("two", {"shared.gguf": SHARED, "own.bin": OWN}),
    ):
        (root / "ns" / name).mkdir(parents=True)
        for file, content in files.items():
            (root / "ns" / name / file).write_bytes(content)
    return root


@pytest.fixture
def hub(folder: Path, command: Command) -> Iterator[dict[str, str]]:
    """A Hub, and both models pulled from it."""
    with BackgroundServer(folder) as server:
        env = {"HF_ENDPOINT": server.url}
        command.run("pull", "ns/one", "ns/two", "--include", "*", "--segment-size", SEGMENT, env=env).check()
        yield env


def blobs(home: Path) -> set[str]:
    return {path.name.removeprefix("sha256-") for path in (home / "blobs").iterdir()}


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def test_rm_keeps_what_another_model_needs(command: Command, hub: dict[str, str], home: Path) -> None:
    """The shared content stays while `one` is there; both gone, nothing is left but the store's folders."""
    first = command.run("rm", "ns/two").check()
    assert blobs(home) == {digest(SHARED)}
    assert not (home / "llm/ns/two").exists()
    assert (home / "llm/ns/one/shared.gguf").read_bytes() == SHARED
    assert re.search(r"two: removed, 30[0-9.]+ kB freed", first.stdout)
    command.run("rm", "ns/one").check()
    assert blobs(home) == set()
    assert not list((home / "llm").rglob("*.*"))
    assert ManifestManager(home / "manifests").list_manifests() == []


def test_rm_says_why_contents_stay(command: Command, hub: dict[str, str], home: Path) -> None:
    """A manifest that cannot be read may need any of them: the model goes, the contents do not, and that is said."""
    (home / "manifests" / "broken.json").write_text("{")
    result = command.run("rm", "ns/two").check()
    assert digest(OWN) in blobs(home)
    assert re.search(r"Contents stay in the store: .*broken\.json", result.stderr)


def test_rm_of_what_is_not_there(command: Command, hub: dict[str, str]) -> None:
    """Exit 3, with the names that are near; the others are removed."""
    result = command.run("rm", "ns/onee", "ns/two").check(3)
    assert "huggingface.co/ns/one" in result.stderr
    assert "huggingface.co/ns/two: removed" in result.stdout


def test_gc_sweeps_what_no_manifest_names(command: Command, hub: dict[str, str], home: Path) -> None:
    """Not what has a view, nor what is young: a pull may be about to name it."""
    from engine.library.collection import collect

    for path in ("llm/ns/two/own.bin", "llm/ns/two/shared.gguf", "llm/ns/one/shared.gguf"):
        (home / path).unlink()
    (manifest_of_two,) = (home / "manifests").glob("*two*.json")
    manifest_of_two.unlink()
    command.run("gc").check()
    assert blobs(home) == {digest(SHARED), digest(OWN)}
    assert [one.path.name for one in collect(grace_s=0, dry_run=True).removed] == [f"sha256-{digest(OWN)}"]
    assert blobs(home) == {digest(SHARED), digest(OWN)}
    (swept,) = collect(grace_s=0).removed
    assert swept.freed_bytes >= len(OWN)
    assert blobs(home) == {digest(SHARED)}


def test_gc_sweeps_nothing_while_a_manifest_cannot_be_read(
    command: Command, hub: dict[str, str], home: Path
) -> None:
    """Whatever it names would be lost."""
    (home / "llm/ns/two/own.bin").unlink()
    (manifest,) = (home / "manifests").glob("*two*.json")
    manifest.write_text("{")
    assert "two.json" in command.run("gc").check(7).stderr
    command.run("rm", "ns/one").check()
    assert blobs(home) == {digest(SHARED), digest(OWN)}


@pytest.mark.row("together/gc-beside-a-pull")
def test_gc_takes_stale_partials_and_no_others(command: Command, hub: dict[str, str], home: Path) -> None:
    """Two weeks without a byte; one that somebody holds is let be."""
    from engine.store.part import Part

    long_ago = time.time() - 30 * 86400
    for name in ("stale", "held", "fresh"):
        folder = home / "partial" / name
        folder.mkdir(parents=True)
        (folder / "data").write_bytes(b"x" * 100_000)
        if name != "fresh":
            os.utime(folder / "data", (long_ago, long_ago))
    holder = Part.try_open(home / "partial" / "held")
    assert holder is not None
    os.utime(home / "partial/held/lock", (long_ago, long_ago))
    command.run("gc").check()
    assert sorted(path.name for path in (home / "partial").iterdir()) == ["fresh", "held"]
    holder.close()


def test_verify_of_a_model_and_of_all(command: Command, hub: dict[str, str]) -> None:
    """Every file of it; without a name, of all models."""
    assert len(command.run("verify", "ns/two").check().stdout.split()) == 2
    assert len(command.run("verify").check().stdout.split()) == 3


def flip(path: Path, *offsets: int) -> None:
    """A bit at each, and nothing else that shows."""
    stat = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        for offset in offsets:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_verify_repair_fetches_only_what_is_damaged(
    command: Command, hub: dict[str, str], home: Path
) -> None:
    """Two bytes in two segments: two segments are fetched, and all names of the content are sound again."""
    view = home / "llm/ns/two/shared.gguf"
    flip(view, SEGMENT + 5, 7 * SEGMENT)
    assert "2 of 12 segments" in command.run("verify", "ns/two", env=hub).check(6).stderr
    events = command.run("verify", "--repair", "--json", env=hub).check().events_named("file")
    assert sum(event["fetched_bytes"] for event in events) == 2 * SEGMENT
    assert view.read_bytes() == (home / "llm/ns/one/shared.gguf").read_bytes() == SHARED
    command.run("verify").check()


def test_a_repair_that_fails_loses_nothing(
    command: Command, hub: dict[str, str], home: Path, folder: Path
) -> None:
    """The file is gone from the server: what is damaged can still be told, the next one fetches only that, and no pull
    takes the damaged file for a whole one until then."""
    view, published = home / "llm/ns/one/shared.gguf", folder / "ns/one/shared.gguf"
    flip(view, SEGMENT + 5)
    published.rename(aside := folder / "aside")
    command.run("verify", "ns/one", "--repair", env=hub).check(3)
    assert "1 of 12 segments" in command.run("verify", "ns/one", env=hub).check(6).stderr
    command.run("pull", "ns/one", env=hub).check(3)
    aside.rename(published)
    events = command.run("verify", "ns/one", "--repair", "--json", env=hub).check().events_named("file")
    assert sum(event["fetched_bytes"] for event in events) == SEGMENT
    assert view.read_bytes() == SHARED


def test_verify_repair_brings_back_a_file_that_is_gone(
    command: Command, hub: dict[str, str], home: Path
) -> None:
    """From the blob, where that is there: no byte is fetched."""
    (home / "llm/ns/two/own.bin").unlink()
    command.run("verify", "ns/two").check(3)
    events = command.run("verify", "ns/two", "--repair", "--json", env=hub).check().events_named("file")
    assert sum(event["fetched_bytes"] for event in events) == 0
    assert (home / "llm/ns/two/own.bin").read_bytes() == OWN


def test_outdated_and_update(command: Command, hub: dict[str, str], home: Path, folder: Path) -> None:
    """What was published anew is found by its digest, and fetched; the rest is not asked for again."""
    assert command.run("outdated", env=hub).check().stdout.count("up to date") == 2
    fresh = os.urandom(400_000)
    (folder / "ns" / "one" / "shared.gguf").write_bytes(fresh)
    told = command.run("outdated", env=hub).check().stdout
    assert "ns/one: new or changed: shared.gguf" in told
    assert "ns/two: up to date" in told
    (done,) = command.run("update", "--json", env=hub).check().events_named("file")
    assert Path(done["path"]).read_bytes() == fresh
    manifest = ManifestManager(home / "manifests").get_manifest("huggingface.co/ns/one")
    assert manifest is not None
    assert [layer.sha256 for layer in manifest.layers] == [digest(fresh)]
    assert [layer.sha256 for layer in manifest.earlier] == [digest(SHARED)]
    assert (home / "llm/ns/two/shared.gguf").read_bytes() == SHARED
    assert command.run("outdated", env=hub).check().stdout.count("up to date") == 2
