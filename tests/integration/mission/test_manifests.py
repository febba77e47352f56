"""The document's manifests, and its migration of a folder to them."""

import json
from typing import Any

from tests.mission import document
from tests.mission.document import program
from tests.mission.world import Q4, World, setup, sha256


def kept(world: World) -> dict[str, dict[str, Any]]:
    """The manifests that a program has written, as JSON, by file name."""
    return {
        path.name: json.loads(path.read_text("utf-8"))
        for path in (world.folder / "models/manifests").glob("*.json")
    }


def test_manifest(world: World) -> None:
    """The statistics are printed; the manifest is a small JSON file that says what the example said."""
    digest = sha256(b"of a model")
    ended = world.run(program(document.MANIFEST, fill={"abc123...": digest}))
    assert ended.lines == ["Downloaded: 1/1", "Total size: 7.5 GB"]
    ((name, manifest),) = kept(world).items()
    assert name == "mistral.json"
    assert (world.folder / "models/manifests" / name).stat().st_size < 4096
    said = {
        "model_key": "mistral",
        "registry": "huggingface.co",
        "namespace": "second-state",
        "repository": "Mistral-Nemo-Instruct-2407-GGUF",
        "display_name": "Mistral 7B Nemo Instruct",
        "parameters": "7B",
        "context_length": 8192,
        "downloaded": True,
        "verified": True,
    }
    assert {key: manifest[key] for key in said} == said
    (layer,) = manifest["layers"]
    assert (layer["filename"], layer["sha256"], layer["size_bytes"]) == (Q4, digest, 7_500_000_000)
    assert world.proxy.asked == []


# Migration


def test_migration(world: World, mistral: dict[str, bytes]) -> None:
    """Every old file gets a manifest with its digest and size, and a line with the digest's beginning."""
    old = {"Old-Model.Q4_0.gguf": b"GGUF" + bytes(9_000_000), Q4: mistral[Q4]}
    (world.folder / "models/llm").mkdir(parents=True)
    for name, content in old.items():
        (world.folder / "models/llm" / name).write_bytes(content)
    ended = world.run(program(document.SETUP, document.MIGRATION, fill=setup(mistral)))
    keys = {name.removesuffix(".gguf").lower(): content for name, content in old.items()}
    assert sorted(ended.lines[1:]) == sorted(f"✅ {key}: {sha256(data)[:8]}..." for key, data in keys.items())
    manifests = {manifest["model_key"]: manifest for manifest in kept(world).values()}
    assert set(manifests) == set(keys)
    for name, content in old.items():
        manifest = manifests[name.removesuffix(".gguf").lower()]
        (layer,) = manifest["layers"]
        assert (layer["filename"], layer["sha256"], layer["size_bytes"]) == (
            name,
            sha256(content),
            len(content),
        )
        assert manifest["downloaded"] and manifest["verified"]
        assert (manifest["registry"], manifest["namespace"]) == ("huggingface.co", "unknown")
