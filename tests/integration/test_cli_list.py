"""`jarvis list` and `jarvis show`: what is known of the models that are here."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from engine.manifest_record import ModelManifest
from engine.model_manifest import ManifestManager
from tests.command import ENTRY, Result

Jarvis = Callable[..., Result]
QWEN = "huggingface.co/bartowski/Qwen2.5-7B-Instruct-GGUF"


def digest(number: int) -> str:
    return f"{number:064x}"


@pytest.fixture
def manager(home: Path) -> ManifestManager:
    return ManifestManager(home / "manifests")


def put(manager: ManifestManager, key: str, *names: str, **fields: object) -> ModelManifest:
    """Keep a model of these files in the store, with a few bytes for each."""
    namespace, repository = key.partition(":")[0].split("/")[-2:]
    manifest = ModelManifest(
        model_key=key, registry=key.partition("/")[0], namespace=namespace, repository=repository, **fields
    )
    for number, name in enumerate(names):
        path = manager.manifest_dir.parent / "llm" / namespace / repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"weights")
        manifest.add_layer(name, digest(number), 4_700_000_000, role="model")
    manifest.mark_verified()
    manager.update_manifest(key, manifest)
    return manifest


def test_nothing_yet(jarvis: Jarvis) -> None:
    """Said on stderr; stdout is empty, and so is the store."""
    result = jarvis("list").check(0)
    assert result.stdout == ""
    assert "No models are here yet" in result.stderr
    assert jarvis("list", "--json").check(0).events == []


def test_list(jarvis: Jarvis, manager: ManifestManager) -> None:
    """A line each, by name, in columns; the total on stderr."""
    put(manager, f"{QWEN}:Q4_K_M", "q.gguf", quantization="Q4_K_M")
    put(manager, "huggingface.co/ns/a", "A-Q8_0-00001-of-00002.gguf", "A-Q8_0-00002-of-00002.gguf")
    result = jarvis("list", env={"TZ": "UTC"}).check(0)
    title, first, second = (line.split() for line in result.stdout.splitlines())
    assert title == ["MODEL", "QUANT", "SIZE", "VERIFIED", "UPDATED"]
    assert first[:5] == [f"{QWEN}:Q4_K_M", "Q4_K_M", "4.7", "GB", "yes"]
    assert second[:5] == ["huggingface.co/ns/a", "Q8_0", "9.4", "GB", "yes"]
    updated = manager.get_manifest("huggingface.co/ns/a").updated_at
    assert second[5:] == [f"{updated:%Y-%m-%d}", f"{updated:%H:%M}"]
    assert result.stderr == "2 models, 14.1 GB\n"


def test_list_as_json(jarvis: Jarvis, manager: ManifestManager) -> None:
    """A line each, sizes in bytes; what is broken has a line, too."""
    manifest = put(manager, QWEN, "q-Q4_K_M.gguf", "config.json")
    (manager.manifest_dir / "x.json").write_text("{")
    model, broken = jarvis("list", "--json").check(0).events
    assert model == {
        "event": "model",
        "model": QWEN,
        "quantization": "Q4_K_M",
        "size": 9_400_000_000,
        "files": 2,
        "verified": True,
        "missing": [],
        "updated_at": json.loads(manager.path_of(QWEN).read_text())["updated_at"],
        "version": manifest.version,
    }
    assert (broken["event"], broken["path"]) == ("broken", str(manager.manifest_dir / "x.json"))


def test_broken_manifests_are_named(jarvis: Jarvis, manager: ManifestManager) -> None:
    """Each with the reason, on stderr; the others are listed, and the exit code is 0."""
    put(manager, QWEN, "q.gguf")
    (manager.manifest_dir / "torn.json").write_bytes(b'{"format": "\x1b[2J')
    os.mkfifo(manager.manifest_dir / "pipe.json")
    result = jarvis("list").check(0)
    assert QWEN in result.stdout
    assert f"warning: '{manager.manifest_dir}/torn.json' is no manifest: " in result.stderr
    assert f"warning: '{manager.manifest_dir}/pipe.json' is no manifest: " in result.stderr
    assert "\x1b" not in result.stdout + result.stderr


def test_what_is_missing(jarvis: Jarvis, manager: ManifestManager, home: Path) -> None:
    """A model whose file somebody deleted is not said to be verified."""
    put(manager, QWEN, "q.gguf", "config.json")
    (home / "llm/bartowski/Qwen2.5-7B-Instruct-GGUF/q.gguf").unlink()
    assert "  missing  " in jarvis("list").check(0).stdout
    assert jarvis("list", "--json").events[0]["missing"] == ["q.gguf"]
    shown = jarvis("show", "qwen").check(0).stdout
    assert "q.gguf (missing)\n" in shown
    assert "config.json\n" in shown


def test_strange_keys(jarvis: Jarvis, manager: ManifestManager) -> None:
    """Keys that a program made up: shown on one line without commands to the terminal, found again by --json."""
    for key in ("../x", "a\x1b[31mb\nc", "モデル", ""):
        manager.create_manifest(key, "somewhere", "../..", "x")
    lines = jarvis("list").check(0).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ['""', "../x", "a?[31mb", "モデル"]
    assert [event["model"] for event in jarvis("list", "--json").events] == [
        "",
        "../x",
        "a\x1b[31mb\nc",
        "モデル",
    ]
    assert "../x" in jarvis("show", "../x").check(0).stdout


def test_show(jarvis: Jarvis, manager: ManifestManager, home: Path) -> None:
    """Facts, files with paths and digests, and the digests of earlier versions."""
    put(manager, QWEN, "q-Q4_K_M.gguf", display_name="Qwen2.5 7B", parameters="7B")
    manifest = put(
        manager,
        QWEN,
        "q-Q4_K_M.gguf",
        display_name="Qwen2.5 7B",
        parameters="7B",
        context_length=32768,
        revision="c" * 40,
        architecture="qwen2",
    )
    manifest.add_layer("q-Q4_K_M.gguf", digest(9), 5)
    manifest.mark_verified()
    manager.update_manifest(QWEN, manifest)
    shown = jarvis("show", "qwen").check(0).stdout
    path = home / "llm/bartowski/Qwen2.5-7B-Instruct-GGUF/q-Q4_K_M.gguf"
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert lines[0] == QWEN
    for line in (
        "name Qwen2.5 7B",
        "architecture qwen2",
        "parameters 7B",
        "quantization Q4_K_M",
        "context 32,768 tokens",
        "size 5 B in 1 file",
        "verified yes",
        f"revision {'c' * 40}",
        "version 2",
        str(path),
        f"5 B, sha256:{digest(9)}",
    ):
        assert line in lines
    assert "  name          Qwen2.5 7B\n" in shown
    assert f"\nFiles\n  {path}\n    5 B, " in shown
    assert lines[-1].startswith("version 1 until ")
    assert lines[-1].endswith(f", 4.7 GB, model, sha256:{digest(0)}")


def test_show_as_json(jarvis: Jarvis, manager: ManifestManager, home: Path) -> None:
    """The manifest, and where everything is."""
    put(manager, QWEN, "q-Q4_K_M.gguf")
    (fields,) = jarvis("show", QWEN, "--json").check(0).events
    stored = json.loads(manager.path_of(QWEN).read_text())
    (layer,) = fields.pop("layers")
    path = home / "llm/bartowski/Qwen2.5-7B-Instruct-GGUF/q-Q4_K_M.gguf"
    assert layer == {**stored.pop("layers")[0], "path": str(path), "is_there": True}
    extra = {
        "event": "model",
        "quantization": "Q4_K_M",
        "size": 4_700_000_000,
        "missing": [],
        "manifest": str(manager.path_of(QWEN)),
    }
    assert fields == {**stored, **extra}


MEANT = [
    "qwen",
    QWEN,
    "hf.co/bartowski/Qwen2.5-7B-Instruct-GGUF",
    "https://hf.co/bartowski/Qwen2.5-7B-Instruct-GGUF",
]


@pytest.mark.parametrize("text", [*MEANT, "Qwen2.5-7B", "qwen2.5-7b-instruct"])
def test_show_by_any_name(jarvis: Jarvis, manager: ManifestManager, text: str) -> None:
    """A shortcut, any spelling of the path, a part of the name that only one model has."""
    put(manager, QWEN, "q.gguf")
    put(manager, "huggingface.co/ns/other", "o.gguf")
    assert jarvis("show", text).check(0).stdout.startswith(f"{QWEN}\n")


def test_show_what_is_not_there(jarvis: Jarvis, manager: ManifestManager) -> None:
    """Exit 3, with those that may be meant; of several that fit, all."""
    put(manager, f"{QWEN}:Q4_K_M", "q.gguf")
    put(manager, f"{QWEN}:Q8_0", "q.gguf")
    result = jarvis("show", "Qwen2.5").check(3)
    assert f"{QWEN}:Q4_K_M" in result.stderr
    assert f"{QWEN}:Q8_0" in result.stderr
    assert result.stdout == ""
    assert f"{QWEN}:Q4_K_M" in jarvis("show", f"{QWEN}:Q4_K_S").check(3).stderr
    assert "jarvis list" in jarvis("show", "nothing-like-that").check(3).stderr


@pytest.mark.parametrize(
    "words", [["verify"], ["verify", "--repair"], ["verify", "--json"], ["outdated"], ["update"]]
)
def test_who_asks_about_all_models_hears_of_broken_manifests(
    jarvis: Jarvis, manager: ManifestManager, words: list[str]
) -> None:
    """Silence would say that all is well, to a script above all."""
    manager.manifest_dir.mkdir(parents=True)
    path = manager.manifest_dir / "ns_m.json"
    path.write_text("[[")
    result = jarvis(*words).check(7)
    assert str(path) in result.stdout + result.stderr
    assert "is no manifest" in result.stdout + result.stderr


def test_a_manifest_whose_names_lead_elsewhere_is_told_by_verify(
    jarvis: Jarvis, manager: ManifestManager
) -> None:
    """Somebody wrote it by hand; nothing is read where it leads."""
    put(manager, QWEN, "q.gguf")
    path = manager.path_of(QWEN)
    path.write_text(path.read_text().replace('"q.gguf"', '"../../q.gguf"'))
    assert str(path) in jarvis("verify").check(7).stderr


def test_show_a_model_whose_manifest_is_broken(jarvis: Jarvis, manager: ManifestManager) -> None:
    """It is as good as not there, and the list says why."""
    put(manager, QWEN, "q.gguf")
    manager.path_of(QWEN).write_text("{")
    jarvis("show", "qwen").check(3)
    assert manager.path_of(QWEN).name in jarvis("list").check(0).stderr


def test_a_thousand_models(manager: ManifestManager, home: Path) -> None:
    """Each has its line."""
    for number in range(1000):
        manifest = ModelManifest(
            model_key=f"huggingface.co/ns/model-{number:04d}-GGUF:Q4_K_M",
            registry="huggingface.co",
            namespace="ns",
            repository=f"model-{number:04d}-GGUF",
        )
        for name in ("model-Q4_K_M.gguf", "mmproj-F16.gguf"):
            manifest.add_layer(name, digest(number), 1 << 32, role="model", url=f"https://h/{name}")
        manifest.mark_verified()
        place = manager.path_of(manifest.model_key)
        manager.manifest_dir.mkdir(parents=True, exist_ok=True)
        place.write_bytes(msgspec.json.encode(manifest))
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([*ENTRY, "list"], env=env, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 1001


def test_list_loads_no_luxury(home: Path) -> None:
    """Neither the network's part nor colours nor a log's: a list reads files."""
    program = (
        "import sys\n"
        "from engine.console.listing import run_list\n"
        "run_list(as_json=False)\n"
        "print(sorted(sys.modules))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    for name in ("urllib3", "ssl", "structlog", "rich", "aiohttp", "psutil", "asyncio"):
        assert f"'{name}'" not in done.stdout, name
