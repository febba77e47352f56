"""Files of a model that is here already, without listing them again, as long as its revision is still the same."""

from typing import TYPE_CHECKING

from engine.digest import Digest
from engine.library.choices import as_dict
from engine.library.keys import key_of
from engine.library.lookup import manifests
from engine.manifest_record import Layer, ModelManifest
from engine.model_path import ModelPath
from engine.remote_file import RemoteFile, RemoteName
from engine.sources import Choice, Source

if TYPE_CHECKING:
    from engine.transport.client import Client


def remembered_files(
    source: Source, client: "Client", path: ModelPath, choice: Choice
) -> list[RemoteFile] | None:
    """What the manifest of this path and choice says, where the source still has that revision; None where only a
    listing tells. At most one request. A revision is a commit, which names its files' contents (Git)."""
    manifest = manifests().get_manifest(key_of(path))
    if manifest is None or manifest.revision is None:
        return None
    files = next((one.files for one in manifest.selected if one.choice == as_dict(choice)), [])
    layers = {layer.filename: layer for layer in manifest.layers if layer.url}
    if not files or not layers.keys() >= set(files):
        return None
    if source.version(client, path, choice) != manifest.revision:
        return None
    return [remote_of(manifest, layer) for layer in map(layers.__getitem__, files)]


def remote_of(manifest: ModelManifest, layer: Layer) -> RemoteFile:
    """A model's file as it was found when it was pulled."""
    return RemoteFile(
        name=RemoteName.parse(layer.filename),
        url=layer.url,
        size=layer.size_bytes,
        digest=Digest.parse(layer.sha256),
        revision=manifest.revision,
        model=manifest.model_key,
        role=layer.role,
    )
