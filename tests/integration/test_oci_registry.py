"""`jarvis pull` from a real docker-registry, filled by plain requests, by the real oras and by the real skopeo."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.command import Result
from tests.origin import Pattern
from tests.registry import Registry, docker_registry

Jarvis = Callable[..., Result]
OLLAMA = "application/vnd.ollama.image."
GGUF = Pattern(20_000_000, 3).read(0, 20_000_000)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with docker_registry(tmp_path / "registry") as running:
        yield running


def test_ollama_model(jarvis: Jarvis, registry: Registry, tmp_path: Path) -> None:
    """A model in Ollama's shape: all its layers, the main file first, each named by model, tag and kind; the Hub is
    asked for once, then the registry's protocol is known."""
    template, licence = b"{{ .Prompt }}", b"MIT"
    registry.put_model(
        "ns/m",
        "v1",
        [
            (f"{OLLAMA}license", licence),
            (f"{OLLAMA}model", GGUF),
            (f"{OLLAMA}template", template),
            (f"{OLLAMA}license", b"BSD"),
        ],
    )
    result = jarvis("pull", f"{registry.host}/ns/m:v1", "-d", tmp_path / "out").check(0)
    names = {Path(line).name for line in result.stdout.splitlines()}
    assert names == {
        "m-v1.gguf",
        "m-v1.license",
        "m-v1.template",
        "m-v1-2.license",
        "m-v1.config.json",
    }
    assert (tmp_path / "out/m-v1.gguf").read_bytes() == GGUF
    assert (tmp_path / "out/m-v1.template").read_bytes() == template
    asked = len(registry.requests)
    jarvis("pull", f"{registry.host}/ns/m:v1", "-d", tmp_path / "out").check(0)
    assert [line.split()[1] for line in registry.requests[asked:]] == ["/v2/ns/m/manifests/v1"]
