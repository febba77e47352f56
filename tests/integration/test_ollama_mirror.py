"""From a registry like Ollama's into the store, and from there on: our server hands out what was pulled."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from engine.server.run import BackgroundServer
from tests.command import Result, Running
from tests.origin import Pattern
from tests.origin.ollama import Layer, Model, OllamaRegistry
from tests.skopeo import skopeo_copy

WEIGHTS = Pattern(20_000_000, seed=9)
TEMPLATE = b"{{ .Prompt }}"
KIND = "application/vnd.ollama.image."


@pytest.mark.parametrize("tag", ["latest", "8b"])
def test_pulled_served_and_pulled_again(
    tag: str,
    ollama_factory: Callable[..., OllamaRegistry],
    jarvis: Callable[..., Result],
    home: Path,
    tmp_path: Path,
) -> None:
    """The layers keep their types and digests: for skopeo, which checks them, and for our own next pull."""
    model = Model("library/tiny", [Layer("model", WEIGHTS), Layer("template", TEMPLATE)], tag)
    upstream = ollama_factory([model])
    jarvis("pull", f"{upstream.host}/library/tiny:{tag}").check(0)
    assert upstream.refusals == []
    with BackgroundServer(home / "llm", store=home) as server:
        host = server.url.removeprefix("http://")
        done = skopeo_copy(f"{host}/library/tiny:{tag}", tmp_path / "copy")
        jarvis("pull", f"{host}/library/tiny:{tag}", "-d", tmp_path / "again").check(0)
    assert done.returncode == 0, done.stderr
    layers = json.loads((tmp_path / "copy/manifest.json").read_bytes())["layers"]
    sent = json.loads(model.manifest)["layers"]
    named = ("mediaType", "digest", "size")
    assert [[layer[key] for key in named] for layer in layers] == [
        [layer[key] for key in named] for layer in sent
    ]
    contents = {path.name: path for path in (tmp_path / "again").iterdir()}
    assert WEIGHTS.first_difference(contents[f"tiny-{tag}.gguf"]) is None
    assert contents[f"tiny-{tag}.template"].read_bytes() == TEMPLATE


def test_pull_outlives_its_addresses(
    ollama_factory: Callable[..., OllamaRegistry], spawn: Callable[..., Running], tmp_path: Path
) -> None:
    """Addresses that expire in the midst of a pull are renewed at the registry; the pull goes on."""
    big = Pattern(60_000_000, seed=4)
    upstream = ollama_factory([Model("library/big", [Layer("model", big)])])
    path = upstream.storage.path(f"sha256:{big.sha256()}")
    upstream.storage.fault("slow", rate=4_000_000, path=path, times=3)
    process = spawn("pull", f"{upstream.host}/library/big:latest", "-d", tmp_path / "out", "-c", "2")
    upstream.storage.wait_sent(1_000_000, path)
    upstream.expire_addresses()
    process.wait().check(0)
    assert set(upstream.refusals) == {"expired-address"}
    assert big.first_difference(tmp_path / "out/big-latest.gguf") is None
