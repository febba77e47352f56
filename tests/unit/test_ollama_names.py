"""Ollama's own names and test cases (types/model/name.go, name_test.go): the same meaning where they have one there,
and refusals with a reason where they have none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import PathError
from engine.model_path import HUB_REGISTRY, OLLAMA_REGISTRY
from engine.model_registry import ModelRegistry
from tests.properties import steady

HEX = "0123456789abcdef" * 4
LONG = "8" * 80

SAME = [
    ("llama3", OLLAMA_REGISTRY, "library", "llama3", "latest"),
    ("llama3:8b", OLLAMA_REGISTRY, "library", "llama3", "8b"),
    (
        "registry.ollama.ai/library/dolphin-mistral:7b-v2.6-dpo-laser-q6_K",
        OLLAMA_REGISTRY,
        "library",
        "dolphin-mistral",
        "7b-v2.6-dpo-laser-q6_K",
    ),
    (
        "hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M",
        HUB_REGISTRY,
        "bartowski",
        "Llama-3.2-1B-Instruct-GGUF",
        "Q4_K_M",
    ),
    ("https://hf.co/bartowski/X-GGUF:Q6_K_L", HUB_REGISTRY, "bartowski", "X-GGUF", "Q6_K_L"),
    (
        "hf.co/u/r:Llama-3.2-3B-Instruct-IQ3_M.gguf",
        HUB_REGISTRY,
        "u",
        "r",
        "Llama-3.2-3B-Instruct-IQ3_M.gguf",
    ),
    ("localhost:5000/ns/m", "localhost:5000", "ns", "m", None),
    (f"ollama/{LONG}/{LONG}:{LONG}", OLLAMA_REGISTRY, LONG, LONG, LONG),
    ("ollama/_the/_lucky:_stiff", OLLAMA_REGISTRY, "_the", "_lucky", "_stiff"),
    ("host:443/n/m:t", "host:443", "n", "m", "t"),
]
BETTER = [
    ("user/llama3", HUB_REGISTRY, "user", "llama3", "main"),
    ("hf.co/gpt2", HUB_REGISTRY, "", "gpt2", "main"),
    ("localhost:5000/m", "localhost:5000", "", "m", None),
    ("[::1]:5000/n/m", "[::1]:5000", "n", "m", None),
    ("[2001:db8:0:0::7]/n/m:t", "[2001:db8::7]", "n", "m", "t"),
    ("r.example/a/b/c/d:t", "r.example", "a/b/c", "d", "t"),
    (f"r.example/ns/{'m' * 96}:{'t' * 128}", "r.example", "ns", "m" * 96, "t" * 128),
    (f"hf.co/{'n' * 42}/{'m' * 96}", HUB_REGISTRY, "n" * 42, "m" * 96, "main"),
    (f"ollama/ns/{'m' * 96}:{'t' * 128}", OLLAMA_REGISTRY, "ns", "m" * 96, "t" * 128),
    ("https://host/n/m:t", "host", "n", "m", "t"),
]


@pytest.mark.parametrize(("text", "registry", "namespace", "repository", "tag"), SAME + BETTER)
def test_ollama_name(text, registry, namespace, repository, tag):
    """What is a name for Ollama means the same here; what its users miss is one too."""
    path = ModelRegistry.parse(text)
    assert (path.registry, path.namespace, path.repository, path.tag) == (
        registry,
        namespace,
        repository,
        tag,
    )
    assert path.url is None
    assert ModelRegistry.parse(path.canonical) == path


@pytest.mark.parametrize(
    "text", ["m", "ollama/ns/m:8b", "r.example/ns/m", "r.example/a/b/m:v1", "[::1]:5/n/m"]
)
def test_pin_by_digest(text):
    """A digest pins what an OCI registry has, whatever the tag says now; it goes into the manifest's address."""
    path = ModelRegistry.parse(f"{text}@sha256:{HEX}")
    assert path.pin == f"sha256:{HEX}"
    assert path.manifest_url.endswith(f"/manifests/sha256:{HEX}")
    assert ModelRegistry.parse(path.canonical) == path


MISSING = [
    ("n/m:", "nothing follows the colon"),
    ("mm:", "nothing follows the colon"),
    ("r.example/n/m:", "nothing follows the colon"),
    ("n/m@", "nothing follows the @"),
    ("n/m:t@", "nothing follows the @"),
    ("@", "nothing stands before the @"),
    ("@main", "nothing stands before the @"),
    (":t", "part of the name is missing"),
    ("/", "part of the name is missing"),
    ("//", "part of the name is missing"),
    ("/nn/mm", "part of the name is missing"),
    ("//mm", "part of the name is missing"),
    ("hh//", "part of the name is missing"),
    ("r.example/", "part of the name is missing"),
    ("r.example/n//m", "part of the name is missing"),
    ("ollama/n/", "part of the name is missing"),
    ("hf.co/:Q4_K_M", "part of the name is missing"),
    ("", "it is empty"),
    ("hf.co", "names a registry, but no model"),
    ("hf.co:Q4_K_M", "names a registry, but no model"),
]


@pytest.mark.parametrize(("text", "told"), MISSING)
def test_missing_part_is_told(text, told):
    """A separator promises a part; where it is missing, that is what the error says."""
    with pytest.raises(PathError, match=told):
        ModelRegistry.parse(text)


INVALID = [
    "host:port/namespace/model",
    "host:https/namespace/model:tag",
    "host/name:space/model:tag",
    "a/b/c/d:t",
    "h/n/m:t",
    "_why/_the/_lucky:_stiff",
    "^",
    "../../m:t",
    "-hh/nn/mm:tt",
    "hh/-nn/mm:tt",
    "hh/nn/-mm:tt",
    "hh/nn/mm:-tt",
    "r.example/-nn/mm:tt",
    "r.example/nn/-mm:tt",
    "r.example/nn/mm:-tt",
    f"{'3' * 350}.example/n/m",
    f"ollama/n/m:{'t' * 129}",
    "[::1/n/m",
    "[::1]:0/n/m",
    "r.example:65536/n/m",
]


@pytest.mark.parametrize("text", INVALID)
def test_no_name(text):
    """What is none for Ollama, or names no host that can be, is a PathError that shows it."""
    with pytest.raises(PathError, match="Not a model path") as caught:
        ModelRegistry.parse(text)
    assert text[:60] in str(caught.value)


_CHARS = st.text("aZ09_-.:/@[]", max_size=40)


@given(_CHARS)
@steady(400)
def test_no_part_is_dangerous(text):
    """Parts go into paths and command lines: none is empty, hidden, a flag, or leads upwards."""
    try:
        path = ModelRegistry.parse(text)
    except PathError:
        return
    if path.url is None:
        for part in [*path.model_id.split("/"), path.tag or "t"]:
            assert part
            assert part[0] not in ".-"
            assert ".." not in part
