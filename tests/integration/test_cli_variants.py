"""`jarvis variants`, `--quant auto` and `jarvis alias` against the project's own server."""

import json
import os
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from engine.console.gguf_file import write_gguf
from engine.llm_manager import LLMManager
from engine.model_manifest import ManifestManager
from engine.server.run import BackgroundServer
from engine.store import layout
from engine.store.aliases import Aliases
from tests.hub import Hub
from tests.origin import File


@pytest.fixture
def hub(tmp_path, home, monkeypatch):
    """The real server over real GGUF files; yields their folder."""
    root = tmp_path / "models"
    folder = root / "ns" / "M-GGUF"
    folder.mkdir(parents=True)
    for size, name in ((16, "M-Q4_K_M"), (32, "M-Q8_0")):
        write_gguf(folder / f"{name}.gguf", size << 20, "M")
    for number in (1, 2):
        write_gguf(folder / f"M-F16-0000{number}-of-00002.gguf", 32 << 20, "M")
    (folder / "mmproj-F16.gguf").write_bytes(b"GGUF")
    with BackgroundServer(root) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield folder


def test_variants_as_table(jarvis, hub):
    """One line a quantization, the smallest first, with the default marked and the document's advice."""
    result = jarvis("variants", "hf.co/ns/M-GGUF").check(0)
    head, *lines = result.stdout.splitlines()
    assert head.split() == [
        "quantization",
        "size",
        "bits/weight",
        "memory",
        "fits",
        "quality",
        "speed",
        "7B",
        "takes",
        "use",
    ]
    assert [line.split()[0] for line in lines] == ["Q4_K_M", "Q8_0", "F16"]
    assert "(default)" in lines[0] and "standard (balanced)" in lines[0] and "****" in lines[0]
    assert "maximum quality" in lines[1]
    assert "huggingface.co/ns/M-GGUF (llama, 8.39 million weights, context 2048); " in result.stderr


def test_variants_as_json(jarvis, hub):
    """--json: bytes of the disk, bits by the weights that one file's header tells, what fits in this machine."""
    lines = jarvis("variants", "hf.co/ns/M-GGUF", "--json").check(0).events
    assert [line["quantization"] for line in lines] == ["Q4_K_M", "Q8_0", "F16"]
    weights = 2048 * 4096
    for line in lines:
        size = sum((hub / name).stat().st_size for name in line["files"])
        assert line["size"] == size
        assert line["bits_per_weight"] == round(8 * size / weights, 2)
        assert line["fits"] is True
        assert line["default"] is (line["quantization"] == "Q4_K_M")
    assert (lines[0]["quality"], lines[0]["speed"], lines[2]["quality"]) == (3, 4, None)


def test_variants_of_a_custom_registry(jarvis, hub, monkeypatch):
    """A server of one's own that speaks the Hub's API is asked at its own address."""
    address = os.environ["HF_ENDPOINT"].removeprefix("http://")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    lines = jarvis("variants", f"{address}/ns/M-GGUF", "--json").check(0).events
    assert [line["quantization"] for line in lines] == ["Q4_K_M", "Q8_0", "F16"]


def test_variant_that_does_not_exist(jarvis, hub):
    """Exit 3, and the list of those that do, from either command."""
    for words in (
        ("variants", "ns/M-GGUF:Q2_K"),
        ("pull", "ns/M-GGUF", "-q", "Q2_K"),
        ("pull", "ns/M-GGUF:Q2_K"),
    ):
        result = jarvis(*words).check(3)
        for name in ("Q2_K", "Q4_K_M", "Q8_0", "F16"):
            assert name in result.stderr


@pytest.mark.parametrize(
    ("text", "code", "told"), [("llama3", 2, "tag"), ("ns/none", 3, "404"), ("a/b/c", 2, "parts")]
)
def test_variants_of_nothing(jarvis, hub, text, code, told):
    """Where there are none, the reason is told."""
    assert told in jarvis("variants", text).check(code).stderr


@pytest.mark.parametrize(
    "name", ["../../m-Q4_0.gguf", "m\x9b2J-Q4_0.gguf", "m\u202e-Q4_0.gguf", "m\n-Q4_0.gguf"]
)
@pytest.mark.parametrize("words", [[], ["--json"]], ids=["table", "json"])
def test_variants_with_hostile_names_are_refused(jarvis, origin_factory, home, monkeypatch, name, words):
    """A pull would refuse them; nobody is handed them as names of variants either."""
    hub = Hub(origin_factory(), origin_factory())
    hub.add("ns/m", {name: b"GGUF"})
    monkeypatch.setenv("HF_ENDPOINT", hub.site.base)
    result = jarvis("variants", "ns/m", *words).check(2)
    assert [event["event"] for event in result.events] == ["error"] * len(words)
    assert not set("\x9b\u202e") & set(result.stderr + result.stdout)


def test_quant_auto_takes_the_largest_that_fits(jarvis, hub, tmp_path):
    """All of these fit, so it is the largest: here a split model with its projector."""
    jarvis("pull", "ns/M-GGUF", "-q", "auto", "-d", tmp_path / "out").check(0)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "M-F16-00001-of-00002.gguf",
        "M-F16-00002-of-00002.gguf",
        "mmproj-F16.gguf",
    ]


def test_quant_auto_where_nothing_fits(jarvis, home, origin_factory, monkeypatch):
    """A model larger than any memory: an error that lists what each quantization would take, and nothing is fetched."""
    commit, huge = "1" * 40, 1 << 50
    tree = [
        {"type": "file", "path": f"M-{tag}.gguf", "size": huge, "oid": "2" * 40} for tag in ("Q4_K_M", "Q8_0")
    ]
    origin = origin_factory(
        {
            "api/models/ns/m/revision/main": File(json.dumps({"sha": commit}).encode()),
            f"api/models/ns/m/tree/{commit}?recursive=true&expand=false": File(json.dumps(tree).encode()),
        }
    )
    monkeypatch.setenv("HF_ENDPOINT", origin.url("").rstrip("/"))
    result = jarvis("pull", "ns/m", "-q", "auto").check(1)
    for word in ("No quantization fits", "Q4_K_M", "Q8_0", "memory"):
        assert word in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("ns/M-GGUF:Q8_0", "-q", "auto"),
        ("ns/M-GGUF", "-q", "auto", "--include", "*"),
        ("llama3", "-q", "auto"),
    ],
)
def test_quant_auto_contradicted(jarvis, hub, words):
    """What says otherwise, or has no quantizations to choose among, is a usage error."""
    jarvis("pull", *words).check(2)


def test_alias_command(jarvis, hub, tmp_path):
    """Set, listed, used by another process, removed."""
    assert "mistral\thuggingface.co/second-state/" in jarvis("alias").check(0).stdout
    jarvis("alias", "mine", "hf.co/ns/M-GGUF:q8_0").check(0)
    jarvis("alias", "mistral", "mine:Q4_K_M").check(0)
    listed = jarvis("alias").check(0).stdout
    assert "mine\thuggingface.co/ns/M-GGUF:Q8_0\n" in listed
    assert "mistral\thuggingface.co/ns/M-GGUF:Q4_K_M\n" in listed
    result = jarvis("pull", "mine", "-d", tmp_path / "out").check(0)
    assert (tmp_path / "out" / "M-Q8_0.gguf").samefile(sorted(result.stdout.splitlines())[0])
    assert jarvis("variants", "mistral", "--json").check(0).events
    (kept, *_) = jarvis("pull", "mine").check(0).stdout.splitlines()
    jarvis("rm", "mine").check(0)
    assert not Path(kept).exists()
    jarvis("alias", "--remove", "mistral").check(0)
    assert "mistral\thuggingface.co/second-state/" in jarvis("alias").check(0).stdout
    jarvis("alias", "--remove", "mistral").check(2)
    jarvis("alias", "bad", "a/b/c").check(2)
    jarvis("alias", "bad").check(2)


def test_auto_is_remembered_as_what_it_took(jarvis, hub, home):
    """The manifest says which quantization came, not how it was chosen."""
    jarvis("pull", "ns/M-GGUF", "-q", "auto").check(0)
    (manifest,) = ManifestManager(layout.manifests(home)).list_manifests()
    assert (manifest.quantization, manifest.choice) == ("F16", {"quant": "F16"})


def test_manager_knows_aliases(hub, home, tmp_path):
    """LLMManager takes the same names as the command."""
    Aliases(home).add("mine", "hf.co/ns/M-GGUF:Q8_0")
    assert LLMManager(tmp_path / "out").download_model_from_path("mine").name == "M-Q8_0.gguf"
