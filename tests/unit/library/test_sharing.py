"""What a model is called where it is shared, and which models cannot be."""

from pathlib import Path

import pytest

from engine.digest import Digest
from engine.errors import EngineError, PathError, UsageError
from engine.library.finding import Found
from engine.library.sharing import Piece, ollama_name, share
from engine.model_downloader import stored_job
from engine.model_registry import ModelRegistry
from engine.remote_file import RemoteFile, RemoteName
from engine.sources import Choice
from tests.unit.console.made import file_done

HEX = "ab" * 32


def piece(name: str, role: str = "file") -> Piece:
    digest = Digest("sha256", HEX)
    return Piece(name=RemoteName(name), path=Path(name), size=1, sha256=digest, published=digest, role=role)


@pytest.mark.parametrize(
    ("text", "file", "name"),
    [
        ("hf.co/acme/tiny-GGUF:q4_k_m", "tiny-Q4_K_M.gguf", "hf.co/acme/tiny-GGUF:Q4_K_M"),
        ("acme/tiny-GGUF", "tiny-Q8_0.gguf", "hf.co/acme/tiny-GGUF:Q8_0"),
        ("acme/tiny", "tiny.gguf", "hf.co/acme/tiny:latest"),
        ("tinyllama", "x.gguf", "tinyllama:latest"),
        ("ollama/acme/tiny:7b", "x.gguf", "acme/tiny:7b"),
        ("registry.example:5000/acme/tiny:v1", "x.gguf", "registry.example:5000/acme/tiny:v1"),
        ("https://example.org/some/tiny.gguf", "tiny.gguf", "example.org/files/tiny:latest"),
    ],
)
def test_ollama_name_is_what_one_would_pull(text, file, name):
    """Ollama's own spelling of where the model comes from, so that its own pull would find it there, too."""
    assert str(ollama_name(Found(ModelRegistry.parse(text), []), [piece(file)])) == name


@pytest.mark.parametrize("text", ["registry.example/a/b/c/d:t", "[::1]:5000/a/b", f"a/{'b' * 90}"])
def test_a_name_that_ollama_cannot_have(text):
    """More parts than four, addresses, 96 characters: told, not bent."""
    with pytest.raises(PathError, match="Ollama"):
        ollama_name(Found(ModelRegistry.parse(text), []), [piece("x.gguf")])


def found(text: str, *names: str, revision: str | None = "0" * 40) -> Found:
    remotes = [
        RemoteFile(name=RemoteName(name), url=f"https://h/{name}", revision=revision) for name in names
    ]
    return Found(ModelRegistry.parse(text), [], [stored_job(remote, "ns/repo") for remote in remotes])


def outcomes(one: Found) -> dict[Path, object]:
    return {job.target: file_done(job.remote.name, path=str(job.target)) for job in one.files}


@pytest.mark.parametrize(
    ("tool", "text", "names", "revision", "why"),
    [
        ("hf-cache", "https://example.org/m.gguf", ["m.gguf"], None, "by their commit"),
        ("hf-cache", "ollama/acme/tiny", ["m.gguf"], "sha256:" + HEX, "by their commit"),
        ("hf-cache", "example.org/acme/tiny", ["m.gguf"], "v1", "by their commit"),
        ("ollama", "acme/tiny", ["a-00001-of-00002.gguf", "a-00002-of-00002.gguf"], "0" * 40, "2 GGUF files"),
        ("ollama", "acme/tiny", ["model.safetensors"], "0" * 40, "no GGUF file"),
        ("ollama", "acme/tiny", ["mmproj-f16.gguf"], "0" * 40, "no GGUF file"),
    ],
)
def test_models_that_cannot_be_shared(home, tool, text, names, revision, why):
    """Nothing is written, and the message says what is the matter."""
    one = found(text, *names, revision=revision)
    with pytest.raises(UsageError, match=why):
        share(tool, one, outcomes(one), Choice())
    assert not (home / "ollama").exists()


def test_an_incomplete_model_is_not_shared(home):
    """Its failure has been told already."""
    one = found("acme/tiny", "a.gguf", "b.json")
    partly = outcomes(one)
    partly[one.files[1].target] = EngineError("it failed")
    assert share("hf-cache", one, partly, Choice()) is None
    assert share("hf-cache", found("acme/tiny"), {}, Choice()) is None
