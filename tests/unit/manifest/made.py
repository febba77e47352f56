"""Manifests, quickly made."""

from engine.manifest_record import ModelManifest
from engine.model_manifest import ManifestManager

A, B, C = "a" * 64, "b" * 64, "c" * 64


def create(manager: ManifestManager, key: str = "mistral", **more: object) -> ModelManifest:
    return manager.create_manifest(key, "huggingface.co", "ns", **{"repository": "repo", **more})


def put(manager: ManifestManager, key: str, **files: str) -> ModelManifest:
    """Keep a new manifest with these files and digests under key."""
    manifest = ModelManifest(model_key=key, registry="h", namespace="n", repository="r")
    for name, digest in files.items():
        manifest.add_layer(name, digest, 1)
    manager.update_manifest(key, manifest)
    return manifest


def history(manifest: ModelManifest) -> list[tuple[str, str, int]]:
    return [(layer.filename, layer.sha256, layer.version) for layer in manifest.earlier]
