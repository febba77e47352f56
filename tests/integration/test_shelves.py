"""Two registries with a model of one name: both are in the store, each in a folder of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from engine.model_manifest import ManifestManager
from engine.server.run import BackgroundServer
from tests.command import Command, Result
from tests.registry import Registry, docker_registry

OLLAMA = "application/vnd.ollama.image."
OURS, THEIRS = b"GGUF" + os.urandom(200_000), b"GGUF" + os.urandom(300_000)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A Hub that has ns/m."""
    folder = tmp_path / "models/ns/m"
    folder.mkdir(parents=True)
    (folder / "m.gguf").write_bytes(OURS)
    with BackgroundServer(tmp_path / "models") as server:
        yield {"HF_ENDPOINT": server.url}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """A registry that has ns/m, too, under two tags."""
    with docker_registry(tmp_path / "registry") as registry:
        for tag in ("v1", "v2"):
            layers = [(f"{OLLAMA}model", THEIRS + tag.encode())]
            registry.put_model("ns/m", tag, layers, titles={0: f"{tag}.gguf"})
        yield registry


def path_of(result: Result, suffix: str = ".gguf") -> Path:
    (path,) = [Path(line) for line in result.check().stdout.split() if line.endswith(suffix)]
    return path


def test_the_second_lives_beside_the_first(
    command: Command, home: Path, hub: dict[str, str], registry: Registry
) -> None:
    """Below its host's name, which the pull explains once; its other tags too; whatever becomes of the first one."""
    first = path_of(command.run("pull", "ns/m", env=hub))
    assert first == home / "llm/ns/m/m.gguf"
    host = registry.host.replace(":", "_")
    told = command.run("pull", f"{registry.host}/ns/m:v1")
    second = path_of(told)
    assert second == home / f"llm/{host}/ns/m/v1.gguf"
    assert "for 'ns/m' is the folder of huggingface.co/ns/m." in told.stderr
    assert path_of(command.run("pull", f"{registry.host}/ns/m:v2")) == second.with_name("v2.gguf")
    assert (first.read_bytes(), second.read_bytes()) == (OURS, THEIRS + b"v1")
    command.run("verify").check()
    assert "missing" not in command.run("list").check().stdout
    assert str(second) in command.run("show", f"{registry.host}/ns/m:v1").check().stdout
    command.run("rm", "ns/m").check()
    again = command.run("pull", f"{registry.host}/ns/m:v1", "--json", env=hub).check()
    assert sum(event["fetched_bytes"] for event in again.events_named("file")) == 0
    assert path_of(command.run("pull", f"{registry.host}/ns/m:v1", env=hub)) == second
    for tag in ("v1", "v2"):
        command.run("rm", f"{registry.host}/ns/m:{tag}").check()
    assert list((home / "llm").iterdir()) == []


def test_who_came_first_has_the_usual_folder(
    command: Command, home: Path, hub: dict[str, str], registry: Registry
) -> None:
    """The other way round: the Hub's model is the second one. verify mends it where it lies."""
    assert path_of(command.run("pull", f"{registry.host}/ns/m:v1")) == home / "llm/ns/m/v1.gguf"
    path = path_of(command.run("pull", "ns/m", env=hub))
    assert path == home / "llm/huggingface.co/ns/m/m.gguf"
    assert path_of(command.run("pull", "ns/m", "--file", "m.gguf", env=hub)) == path
    path.unlink()
    command.run("verify", "ns/m", "--repair", env=hub).check()
    assert path.read_bytes() == OURS
    assert "huggingface.co/ns/m: up to date" in command.run("outdated", "ns/m", env=hub).check().stdout


def test_both_in_one_pull(command: Command, home: Path, hub: dict[str, str], registry: Registry) -> None:
    """The first one typed is the first one."""
    command.run("pull", "ns/m", f"{registry.host}/ns/m:v1", env=hub).check()
    assert (home / "llm/ns/m/m.gguf").read_bytes() == OURS
    host = registry.host.replace(":", "_")
    assert (home / f"llm/{host}/ns/m/v1.gguf").read_bytes() == THEIRS + b"v1"
    folders = [manifest.folder for manifest in ManifestManager(home / "manifests").list_manifests()]
    assert sorted(folders, key=str) == [f"{host}/ns/m", None]
