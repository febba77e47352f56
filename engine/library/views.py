"""Where what belongs to a model lies in the store, by its manifest, which somebody may have written by hand."""

from pathlib import Path

from engine.manifest_record import Layer, ModelManifest
from engine.remote_file import RemoteName
from engine.settings import home
from engine.store import layout


def views_of(manifest: ModelManifest) -> list[Path]:
    """Where the files of a model lie, whether they are there or not. Raises PathError."""
    folder = folder_of(manifest)
    return [layout.inside(folder, RemoteName.parse(layer.filename)) for layer in manifest.layers]


def place_of(manifest: ModelManifest, layer: Layer) -> Path:
    """Where one file of a model lies, or lay. Raises PathError."""
    return layout.inside(folder_of(manifest), RemoteName.parse(layer.filename))


def folder_of(manifest: ModelManifest) -> Path:
    """The model's folder below llm/. Raises PathError."""
    return layout.inside(layout.models(home()), folder_name(manifest))


def folder_name(manifest: ModelManifest) -> RemoteName:
    """The same, relative to llm/. Raises PathError."""
    return RemoteName.parse(manifest.folder or f"{manifest.namespace}/{manifest.repository}")


def original_of(manifest: ModelManifest) -> Path:
    """Where a registry's own manifest of a model is kept: <root>/registry/<host>/<repository>/<tag>, a port after an
    underscore. Raises PathError for a manifest whose words could lead out of there."""
    host = manifest.registry.replace(":", "_")
    namespace = "" if manifest.namespace == host else f"{manifest.namespace}/"
    tag = manifest.tag or (manifest.revision or "latest").replace(":", "-")
    name = RemoteName.parse(f"{host}/{namespace}{manifest.repository}/{tag}")
    return layout.inside(layout.registry(home()), name)
