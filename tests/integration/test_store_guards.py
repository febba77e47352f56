"""What the store refuses: to lose a file, to mix two models up, to write a secret down."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from engine.manifest_record import ModelManifest
from engine.model_manifest import ManifestManager
from engine.server.run import BackgroundServer
from tests.command import Command
from tests.origin import File, Origin, Pattern
from tests.registry import docker_registry

OLLAMA = "application/vnd.ollama.image."


@pytest.mark.parametrize("registry", ["{outside}", "../../outside", "..", "h\0x"])
def test_rm_stays_in_the_store(command: Command, home: Path, tmp_path: Path, registry: str) -> None:
    """A manifest that somebody wrote by hand names no place outside."""
    outside = tmp_path / "outside/a/b/latest"
    outside.parent.mkdir(parents=True)
    outside.write_text("mine")
    manager = ManifestManager(home / "manifests")
    manager.create_manifest("x", registry.format(outside=tmp_path / "outside"), "a", "b")
    command.run("rm", "x").check()
    assert outside.read_text() == "mine"


def test_rm_takes_no_part_of_a_name(command: Command, home: Path) -> None:
    """Whoever destroys something says what."""
    manager = ManifestManager(home / "manifests")
    manager.create_manifest("huggingface.co/ns/up", "huggingface.co", "ns", "up")
    assert "huggingface.co/ns/up" in command.run("rm", "u").check(3).stderr
    assert manager.get_manifest("huggingface.co/ns/up") is not None


def test_a_model_does_not_take_anothers_place(command: Command, home: Path, tmp_path: Path) -> None:
    """Two tags of one repository whose files are called alike: the second is refused, and told what to do; the first
    is sound."""
    one, two = b"GGUF" + os.urandom(200_000), b"GGUF" + os.urandom(200_000)
    with docker_registry(tmp_path / "r") as registry:
        for tag, content in (("v1", one), ("v2", two)):
            registry.put_model("ns/m", tag, [(f"{OLLAMA}model", content)], titles={0: "m.gguf"})
        command.run("pull", f"{registry.host}/ns/m:v1").check()
        refused = command.run("pull", f"{registry.host}/ns/m:v2").check(2)
        # An error breaks up a "404", which a port may hold by chance.
        assert f"belongs to {registry.host}/ns/m:v1" in refused.stderr
        assert "`jarvis rm`" in refused.stderr
        command.run("verify").check()
        command.run("rm", f"{registry.host}/ns/m:v1").check()
        printed = command.run("pull", f"{registry.host}/ns/m:v2").check().stdout.split()
    (path,) = [Path(line) for line in printed if line.endswith(".gguf")]
    assert path.read_bytes() == two


def test_verify_goes_by_the_manifest(command: Command, home: Path, tmp_path: Path) -> None:
    """Also where the receipts are gone; and it mends."""
    content = os.urandom(700_000)
    folder = tmp_path / "hub/ns/m"
    folder.mkdir(parents=True)
    (folder / "m.gguf").write_bytes(content)
    with BackgroundServer(tmp_path / "hub") as server:
        env = {"HF_ENDPOINT": server.url}
        view = Path(command.run("pull", "ns/m", env=env).check().stdout.strip())
        view.chmod(0o644)
        view.write_bytes(content[:-1] + b"!")
        for receipt in (home / "receipts").glob("*.json"):
            receipt.unlink()
        command.run("verify", "ns/m", env=env).check(6)
        command.run("verify", "ns/m", "--repair", env=env).check()
    assert view.read_bytes() == content
    command.run("verify", "ns/m").check()


def test_a_query_is_no_name(command: Command, home: Path, origin_factory: Callable[..., Origin]) -> None:
    """It may hold a secret: nothing in the store and no list tells it, and two of them are two models."""
    origin = origin_factory({"f.gguf": File(Pattern(100_000))})
    url = origin.url("f.gguf")
    command.run("pull", f"{url}?token=SECRET").check()
    listed = command.run("list").check().stdout
    assert "f.gguf?…#" in listed
    assert "SECRET" not in listed
    names = [str(path) for path in home.rglob("*")]
    texts = [path.read_bytes() for path in home.rglob("*.json")]
    assert not any("SECRET" in name for name in names)
    assert not any(b"SECRET" in text for text in texts)


def test_one_bad_manifest_stops_nobody(command: Command, home: Path, tmp_path: Path) -> None:
    """Keys that are no paths, names that lead out, choices that are none: the others are asked about and verified."""
    folder = tmp_path / "hub/ns/m"
    folder.mkdir(parents=True)
    (folder / "m.gguf").write_bytes(b"GGUF" * 1000)
    manager = ManifestManager(home / "manifests")
    manager.create_manifest("my model!", "huggingface.co", "ns", "x")
    bad = ModelManifest(model_key="..", registry="r", namespace="..", repository="x")
    bad.add_layer("f", hashlib.sha256(b"").hexdigest(), 0)
    manager.update_manifest("..", bad)
    manager.create_manifest("hf.co/a/b", "huggingface.co", "a", "b", choice={"quant": ["x", "y"]})
    with BackgroundServer(tmp_path / "hub") as server:
        env = {"HF_ENDPOINT": server.url}
        command.run("pull", "ns/m", env=env).check()
        told = command.run("outdated", env=env).check(3)
        assert "huggingface.co/ns/m: up to date" in told.stdout
        assert "my model!" in told.stderr
        verified = command.run("verify", env=env).check(7)
        assert str(home) in verified.stdout
        assert "is no manifest" in verified.stderr


def test_imports_of_one_name_do_not_replace_each_other(command: Command, home: Path, tmp_path: Path) -> None:
    """The first is imported, the second is told about; neither is asked about at a registry."""
    for name in ("a", "b"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        (tmp_path / "mine" / name / "model.gguf").write_bytes(b"GGUF" + name.encode() * 1000)
    told = command.run("import", tmp_path / "mine").check(2)
    assert "another name" in told.stderr
    assert len(ManifestManager(home / "manifests").list_manifests()) == 1
    assert "nobody can be asked about it" in command.run("outdated").check().stderr
