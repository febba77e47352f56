"""Manifests as the OCI distribution protocol hands them out, and those of plain folders of files. Pure.

A model that lies here as plain files gets the manifest that Ollama's registry would have for it: Docker's type, a
config, and a layer for each file, typed by what it is to the model and titled with its name. Nothing in it is of
this machine or moment, so the same files have the same digest everywhere.

Everything of Docker's type has a twin of the OCI type, alike but for the type's name. Ollama's client knows the first
alone; containers/image (skopeo, podman) takes layers that are no image's only in the second.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from posixpath import basename

import msgspec

from engine.errors import NotFound
from engine.sources import gguf
from engine.sources.listing import Entry

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
TITLE = "org.opencontainers.image.title"
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
DIGEST = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[A-Za-z0-9=_-]+", re.ASCII)
"""Of any algorithm (OCI image spec, descriptor.md)."""
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_OLLAMA = "application/vnd.ollama.image."
_BESIDE = ("template", "system", "params")
"""Files of a repository that Ollama takes along with the model, as huggingface.co does it (hub-docs, ollama.md)."""
_LICENSE = re.compile(r"licen[cs]e(?:\.(?:txt|md))?", re.IGNORECASE)
_WEIGHTS = ".safetensors"


class Manifest(msgspec.Struct, frozen=True):
    """The exact bytes, and the media type under which they go."""

    media_type: str
    body: bytes

    @property
    def digest(self) -> str:
        return digest_of(self.body)


class Blob(msgspec.Struct, frozen=True):
    """A file that is to be a layer. sha256: 64 hexadecimal digits."""

    name: str
    sha256: str
    size: int


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def is_digest(reference: str) -> bool:
    """Whether a reference is one; a tag holds no colon."""
    return ":" in reference


def is_well_formed(digest: str) -> bool:
    """By the grammar of digests, and where it is SHA-256, with its length."""
    sound = _SHA256 if digest.startswith("sha256:") else DIGEST
    return sound.fullmatch(digest) is not None


def tags_of(sizes: Mapping[str, int]) -> dict[str, list[str]]:
    """The tags of a folder's files, each with its files' names, the main one first. sizes: by name.

    `latest` is the default quantization with what belongs to it, or everything where there is no GGUF model; each
    quantization has its own name as a tag, or its file's where two are alike.
    """
    entries = [Entry(name, size) for name, size in sizes.items()]
    models = gguf.models_in(entry for entry in entries if gguf.is_model(entry.path))
    if not models:
        return {"latest": _weights_first(sizes)} if sizes else {}
    beside = [name for name in sizes if name in _BESIDE or _LICENSE.fullmatch(name)]
    marks = [model.quantization for model in models]
    found = {}
    for model in models:
        mark = model.quantization
        tag = mark if mark and marks.count(mark) == 1 else basename(model.stem)
        if TAG.fullmatch(tag) and (chosen := _chosen(entries, tag)):
            found[tag] = chosen + beside
    if default := _chosen(entries, None):
        found["latest"] = default + beside
    return found


def _chosen(entries: list[Entry], quant: str | None) -> list[str]:
    try:
        return [entry.path for entry in gguf.choose(entries, quant)]
    except NotFound:
        return []  # a part of it is missing: it is not offered


def _weights_first(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: (not name.endswith(_WEIGHTS), name))


def config_of(blobs: Sequence[Blob]) -> bytes:
    """The config of a model that has none; Ollama reads all else from the model itself."""
    names = [blob.name for blob in blobs]
    model_format = next(
        (f for f in ("gguf", "safetensors") if any(n.lower().endswith(f".{f}") for n in names)), ""
    )
    return _json(
        {
            "model_format": model_format,
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{blob.sha256}" for blob in blobs]},
        }
    )


def manifest_of(blobs: Sequence[Blob]) -> Manifest:
    """The manifest of these files, in their order, with the config that `config_of` makes."""
    config = config_of(blobs)
    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [
            {
                "mediaType": _media_type(blob.name),
                "digest": f"sha256:{blob.sha256}",
                "size": blob.size,
                "annotations": {TITLE: blob.name},
            }
            for blob in blobs
        ],
    }
    return Manifest(DOCKER_MANIFEST, _json(document))


def _media_type(name: str) -> str:
    if gguf.is_gguf(name):
        return f"{_OLLAMA}{'projector' if 'mmproj' in basename(name).lower() else 'model'}"
    if name in _BESIDE:
        return f"{_OLLAMA}{name}"
    return f"{_OLLAMA}license" if _LICENSE.fullmatch(name) else "application/octet-stream"


def twin_of(manifest: Manifest) -> Manifest | None:
    """The same with the OCI type; None for all that is not of Docker's type."""
    if manifest.media_type != DOCKER_MANIFEST:
        return None
    document = msgspec.json.decode(manifest.body)
    return Manifest(OCI_MANIFEST, _json(document | {"mediaType": OCI_MANIFEST}))


def fitting(manifest: Manifest, accept: Sequence[str]) -> Manifest:
    """What a request with these Accept lines gets: the twin where the OCI type is named, else the manifest itself,
    also where nothing fits: Ollama's registry has one type, and clients of it name one or none."""
    named = {item.partition(";")[0].strip().lower() for line in accept for item in line.split(",")}
    twin = twin_of(manifest) if OCI_MANIFEST in named else None
    return twin or manifest


def _json(document: object) -> bytes:
    return msgspec.json.encode(document)
