"""Several choices of files of one model: what was pulled of a revision stays in the model, whatever is pulled next."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from engine.manifest_record import ModelManifest
from engine.model_manifest import ManifestManager
from engine.server.run import BackgroundServer
from tests.command import Command

KEY = "huggingface.co/ns/m"
FILES = {name: os.urandom(100_000 + 1000 * i) for i, name in enumerate(("a.bin", "b.bin", "c.bin"))}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the Hub has: a model of three files."""
    folder = tmp_path / "models/ns/m"
    folder.mkdir(parents=True)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def hub(folder: Path) -> Iterator[dict[str, str]]:
    with BackgroundServer(folder.parents[1]) as server:
        yield {"HF_ENDPOINT": server.url}


def kept(home: Path) -> ModelManifest:
    manifest = ManifestManager(home / "manifests").get_manifest(KEY)
    assert manifest is not None
    return manifest


def names(home: Path) -> list[str]:
    return [layer.filename for layer in kept(home).layers]


def test_a_narrower_pull_takes_nothing_away(
    command: Command, hub: dict[str, str], home: Path, tmp_path: Path
) -> None:
    """The model stays what it was; all of it is verified; the wider pull still asks once, and fetches nothing."""
    command.run("pull", "ns/m", "--include", "*", env=hub).check()
    before = kept(home)
    command.run("pull", "ns/m", "--file", "b.bin", env=hub).check()
    assert kept(home) == before
    assert len(command.run("verify", "ns/m").check().stdout.split()) == 3
    log = tmp_path / "log"
    command.run("pull", "ns/m", "--include", "*", "--log-file", log, env=hub).check()
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert [e for e in events if e in ("request.started", "lease.sent")] == ["request.started"]


def test_choices_add_up(command: Command, hub: dict[str, str], home: Path, folder: Path) -> None:
    """Two files one by one are one model of two; update asks about both, and fetches what is new of either."""
    command.run("pull", "ns/m", "--file", "b.bin", env=hub).check()
    command.run("pull", "ns/m", "--file", "a.bin", env=hub).check()
    assert names(home) == ["b.bin", "a.bin"]
    assert [one.choice for one in kept(home).selected] == [{"file": "b.bin"}, {"file": "a.bin"}]
    assert "up to date" in command.run("outdated", env=hub).check().stdout
    (folder / "a.bin").write_bytes(b"new" * 10_000)
    assert "new or changed: a.bin" in command.run("outdated", env=hub).check().stdout
    events = command.run("update", "--json", env=hub).check().events_named("file")
    assert {Path(event["path"]).name: event["fetched_bytes"] for event in events} == {
        "b.bin": 0,
        "a.bin": 30_000,
    }
    assert names(home) == ["b.bin", "a.bin"]
    assert len(kept(home).selections) == 2
    removed = command.run("rm", "ns/m").check().stdout
    assert list((home / "blobs").iterdir()) == [], removed


def test_an_update_that_fails_in_part_forgets_nothing(
    command: Command, hub: dict[str, str], home: Path, folder: Path
) -> None:
    """One of the files is not published any more: the model stays as it was, and the error names the file."""
    for name in ("a.bin", "b.bin"):
        command.run("pull", "ns/m", "--file", name, env=hub).check()
    before = kept(home)
    (folder / "b.bin").unlink()
    assert "b.bin" in command.run("update", env=hub).check(3).stderr
    assert kept(home) == before
    command.run("verify", "ns/m").check()


def test_a_new_revision_begins_anew_and_says_so(
    command: Command, hub: dict[str, str], home: Path, folder: Path
) -> None:
    """What does not come along is named, and stays on the disk until gc."""
    command.run("pull", "ns/m", "--include", "*", env=hub).check()
    (folder / "a.bin").write_bytes(b"new" * 10_000)
    told = command.run("pull", "ns/m", "--file", "a.bin", env=hub).check().stderr
    assert "of the one before b.bin, c.bin did not come along" in told
    assert names(home) == ["a.bin"]
    assert (home / "llm/ns/m/b.bin").read_bytes() == FILES["b.bin"]
    assert "b.bin: a file of an earlier version" in command.run("gc").check().stdout
    assert not (home / "llm/ns/m/b.bin").exists()


@pytest.mark.row("together/same-store")
def test_pulls_at_the_same_time_add_up(command: Command, hub: dict[str, str], home: Path) -> None:
    """Neither forgets what the other one brought."""
    running = [command.spawn("pull", "ns/m", "--file", name, env=hub) for name in FILES]
    for one in running:
        one.wait().check()
    assert sorted(names(home)) == sorted(FILES)
