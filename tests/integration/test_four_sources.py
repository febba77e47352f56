"""One model from a Hub, from a real docker-registry, from a registry like Ollama's and from a plain web server: the
same command, the same bytes, one blob; and handed on to real clients."""

import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from engine.server.run import BackgroundServer
from tests.command import Command, Result
from tests.origin import File, Origin
from tests.origin.ollama import Layer, Model, OllamaRegistry
from tests.registry import docker_registry
from tests.skopeo import skopeo_copy

GGUF = b"GGUF" + os.urandom(9 << 20)
DIGEST = sha256(GGUF).hexdigest()
OLLAMA = "application/vnd.ollama.image."


@pytest.fixture
def sources(
    tmp_path: Path,
    origin_factory: Callable[..., Origin],
    ollama_factory: Callable[..., OllamaRegistry],
) -> Iterator[tuple[dict[str, tuple[str, ...]], dict[str, str]]]:
    """The words after `jarvis pull` for each, and the environment."""
    folder = tmp_path / "hub/ns/m-GGUF"
    folder.mkdir(parents=True)
    (folder / "m-Q4_K_M.gguf").write_bytes(GGUF)
    web = origin_factory({"files/m.gguf": File(GGUF)})
    ollama = ollama_factory([Model("library/m", [Layer("model", GGUF), Layer("template", b"{{ .Prompt }}")])])
    with BackgroundServer(tmp_path / "hub") as hub, docker_registry(tmp_path / "registry") as registry:
        registry.put_model("team/m", "v1", [(f"{OLLAMA}model", GGUF), (f"{OLLAMA}license", b"MIT")])
        yield (
            {
                "hub": ("ns/m-GGUF",),
                "registry": (f"{registry.host}/team/m:v1",),
                "ollama": (f"{ollama.url.removeprefix('http://')}/library/m:latest",),
                "web": (web.url("files/m.gguf"),),
            },
            {"HF_ENDPOINT": hub.url},
        )


def pull(command: Command, env: dict[str, str], *args: object) -> Result:
    return command.run("pull", *args, "--json", env=env).check()


@pytest.mark.parametrize("name", ["hub", "registry", "ollama", "web"])
def test_each_alone(command: Command, sources, home: Path, name: str) -> None:
    """Into the store: verified against what is published, or computed where nothing is."""
    targets, env = sources
    done = pull(command, env, *targets[name]).events_named("file")
    (model,) = [event for event in done if event["sha256"] == DIGEST]
    assert Path(model["path"]).read_bytes() == GGUF
    assert model["verified"] == ("computed" if name == "web" else True)
    assert (home / "blobs" / f"sha256-{DIGEST}").read_bytes() == GGUF


def test_all_at_once_keep_it_once(command: Command, sources, home: Path) -> None:
    """Four models in the list, one content on the disk; a second pull fetches nothing at all."""
    targets, env = sources
    words = [word for each in targets.values() for word in each]
    pull(command, env, *words)
    views = list((home / "llm").rglob("*.gguf"))
    assert len(views) == 4
    assert all(view.read_bytes() == GGUF for view in views)
    assert len({view.stat().st_ino for view in views}) == 1
    again = pull(command, env, *words).events_named("file")
    assert sum(event["fetched_bytes"] for event in again) == 0


def test_what_a_registry_sent_is_handed_on(command: Command, sources, home: Path, tmp_path: Path) -> None:
    """skopeo, which checks every digest, takes the registry's own manifest and its blobs from our store."""
    targets, env = sources
    pull(command, env, *targets["registry"], *targets["ollama"])
    with BackgroundServer(home) as ours:
        host = ours.url.removeprefix("http://")
        for name in ("team/m:v1", "library/m:latest"):
            out = tmp_path / name.replace("/", "_").replace(":", "_")
            copied = skopeo_copy(f"{host}/{name}", out)
            assert copied.returncode == 0, copied.stderr
            assert (out / DIGEST).read_bytes() == GGUF
    command.run("rm", *targets["registry"]).check()
    assert not list((home / "registry").rglob("v1"))


@pytest.mark.row("attack/24-poisoned-store")
def test_the_hub_cache_is_searched_and_not_believed(
    command: Command, sources, home: Path, tmp_path: Path
) -> None:
    """A content in another tool's store costs no bytes once it is hashed, and stays as it is, its mode too; one that is
    not what its name says is fetched."""
    targets, env = sources
    cache = tmp_path / "cache"
    blobs = cache / "models--x--y" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / DIGEST).write_bytes(GGUF[:-1] + bytes([GGUF[-1] ^ 1]))
    (done,) = pull(command, {**env, "HF_HUB_CACHE": str(cache)}, *targets["hub"]).events_named("file")
    assert done["fetched_bytes"] == len(GGUF)
    command.run("rm", "ns/m-GGUF").check()
    (blobs / DIGEST).write_bytes(GGUF)
    (blobs / DIGEST).chmod(0o640)
    (done,) = pull(command, {**env, "HF_HUB_CACHE": str(cache)}, *targets["hub"]).events_named("file")
    assert (done["fetched_bytes"], done["sha256"]) == (0, DIGEST)
    assert Path(done["path"]).read_bytes() == GGUF
    assert (blobs / DIGEST).stat().st_mode & 0o777 == 0o640
