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
from engine.sources.oci_manifest import DOCKER_MANIFEST, OCI_MANIFEST
from engine.store import ollama_store
from engine.store.ollama_store import Facts

CONFIG = "application/vnd.docker.container.image.v1+json"
TITLE = "org.opencontainers.image.title"
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
DIGEST = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[A-Za-z0-9=_-]+", re.ASCII)
"""Of any algorithm (OCI image spec, descriptor.md)."""
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_OLLAMA = "application/vnd.ollama.image."
_BESIDE = ("template", "system", "params")
"""Files of a repository that Ollama takes along with the model, as huggingface.co does it (hub-docs, ollama.md)."""
_ENDINGS = {
    ".template": "template",
    ".system": "system",
    ".params.json": "params",
    ".messages.json": "messages",
    ".license": "license",
}
"""What follows a model's name in those of its companions, where a registry had no names for them (oci_layers)."""
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
    facts: Facts = Facts()
    """What a GGUF model says of itself."""


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def is_digest(reference: str) -> bool:
    """Whether a reference is one; a tag holds no colon."""
    return ":" in reference


def is_well_formed(digest: str) -> bool:
    """By the grammar of digests, and where it is SHA-256, with its length."""
    sound = _SHA256 if digest.startswith("sha256:") else DIGEST
    return sound.fullmatch(digest) is not None


def tags_of(repository: str, sizes: Mapping[str, int]) -> dict[str, list[str]]:
    """The tags of a folder's files, each with its files' names, the main one first. sizes: by name.

    `latest` is the default quantization with what belongs to it, or everything where there is no GGUF model. Each
    model has its quantization as a tag, or its file's name where two are alike; and where that is the repository's
    with something behind it, as files from registries are called, that.
    """
    entries = [Entry(name, size) for name, size in sizes.items()]
    models = gguf.models_in(entry for entry in entries if gguf.is_model(entry.path))
    if not models:
        return {"latest": _weights_first(sizes)} if sizes else {}
    default = _default(entries)
    files = [
        _files(model, models, entries) for model in models
    ]  # not by stem: m.gguf and m.GGUF share theirs
    found = {}
    if default:
        found["latest"] = next(names for names in files if default in names)
    for model, names in zip(models, files, strict=True):
        for tag in _tags_of(model, models, basename(repository)):
            if TAG.fullmatch(tag) and names:
                found[tag] = names
    return found


def _default(entries: list[Entry]) -> str | None:
    """The main file of the model that is meant where none is named."""
    try:
        return gguf.choose(entries, None)[0].path
    except NotFound:
        return None  # a part of it is missing


def _tags_of(model: gguf.Model, models: Sequence[gguf.Model], repository: str) -> list[str]:
    mark, name = model.quantization, basename(model.stem)
    is_alone = [one.quantization for one in models].count(mark) == 1
    prefix = f"{repository}-"
    own = [name[len(prefix) :]] if name.lower().startswith(prefix.lower()) else []
    return [mark if mark and is_alone else name, *own]


def _files(model: gguf.Model, models: Sequence[gguf.Model], entries: list[Entry]) -> list[str]:
    """All of a model, its projector, and what belongs to it; nothing where a part is missing."""
    foreign = {f"{one.stem}.mmproj.gguf" for one in models if one is not model}
    own = [
        entry
        for entry in entries
        if entry in model.shards.values() or not (gguf.is_model(entry.path) or entry.path in foreign)
    ]
    try:
        chosen = [entry.path for entry in gguf.choose(own, None)]
    except NotFound:
        return []
    companions = {model.stem + ending for ending in _ENDINGS}
    names = [entry.path for entry in entries]
    return chosen + [n for n in names if n in _BESIDE or n in companions or _LICENSE.fullmatch(n)]


def _weights_first(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: (not name.endswith(_WEIGHTS), name))


def config_of(blobs: Sequence[Blob]) -> bytes:
    """The config of a model that has none, with what its first file says of itself."""
    names = [blob.name for blob in blobs]
    model_format = next(
        (f for f in ("gguf", "safetensors") if any(n.lower().endswith(f".{f}") for n in names)), ""
    )
    facts = next((blob.facts for blob in blobs if blob.facts != Facts()), Facts())
    fields = ollama_store.config_of(facts, [f"sha256:{blob.sha256}" for blob in blobs], model_format)
    return _json({name: value for name, value in fields.items() if value or name == "model_format"})


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
    kind = (
        "license"
        if _LICENSE.fullmatch(name)
        else next((k for e, k in _ENDINGS.items() if name.endswith(e)), "")
    )
    return f"{_OLLAMA}{kind}" if kind else "application/octet-stream"


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
