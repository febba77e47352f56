"""OCI registries, Ollama's among them (OCI distribution spec, "Pulling manifests" and "Pulling blobs").

One GET brings the manifest, one more where the tag names an index: no HEAD, which registry.ollama.ai does not answer
soundly. The manifest says size and digest of every blob; a blob's name is its digest, so nothing that comes can be
another version. Challenges for tokens are answered below, in transport/challenge.py.
"""

import hashlib
import platform
import re
from typing import TYPE_CHECKING

import msgspec

from engine.errors import DigestMismatch, NotFound, PathError, ProtocolViolation, UsageError
from engine.model_path import OCI_TAG, OLLAMA_REGISTRY, ModelPath
from engine.remote_file import RemoteFile
from engine.sources.listing import RawManifest, in_words
from engine.sources.oci_layers import Layer, layers_of
from engine.sources.oci_manifest import (
    ACCEPT,
    MAX_MANIFEST_BYTES,
    Descriptor,
    Index,
    Manifest,
    broken,
    parse_manifest,
)
from engine.sources.oci_tags import Tagged, list_tags, named, ollama_advice, quantization_in
from engine.sources.selection import Choice, matches
from engine.telemetry import Log, redact

if TYPE_CHECKING:
    from engine.transport.client import Client

_log = Log(__name__)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_OTHER_DIGEST = re.compile(r"(?!sha256:)[a-z0-9]+(?:[+._-][a-z0-9]+)*:[A-Za-z0-9=_-]{16,}")
"""Of an algorithm that says nothing to us (OCI image spec, "Digests")."""
_MAX_TAGS = 100
_MAX_DEPTH = 3
"""Indexes below each other: two are seen in the wild."""
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Oci:
    """One registry protocol for all registries; `manifest` is what the last listing was read from."""

    def __init__(self) -> None:
        self.manifest: RawManifest | None = None

    def version(self, client: "Client", path: ModelPath, choice: Choice) -> None:
        """Nothing cheaper than the listing tells it."""

    def list_files(self, client: "Client", path: ModelPath, choice: Choice) -> list[RemoteFile]:
        """As Source says. One request, one more for each index on the way; those for a list of tags, where a
        quantization is to choose one."""
        path = _chosen(path, choice)
        path = self._of_quantization(client, path, choice.quant) if choice.quant else path
        raw = self.read_manifest(client, path)
        manifest = parse_manifest(raw.body, redact(raw.url))
        if isinstance(manifest, Index):
            raise TypeError("read_manifest follows indexes")
        self.manifest = raw
        label = path.tag or (raw.digest[7:19] if path.pin else "latest")
        layers = _wanted(layers_of(manifest, path.repository, label, redact(raw.url)), choice)
        _log.info("model.listed", model=path.canonical, manifest=raw.digest, chosen=len(layers))
        return [_remote(path, raw, layer) for layer in layers]

    def tagged(self, client: "Client", path: ModelPath) -> list[Tagged]:
        """All tags that stand for a model, at most the first hundred. Raises as a list of tags does."""
        tags = list_tags(client, path)
        if len(tags) > _MAX_TAGS:
            _log.warning("tags.cut", model=path.canonical, tags=len(tags), read=_MAX_TAGS)
        found = [one for tag in tags[:_MAX_TAGS] if (one := self._tagged(client, path, tag)) is not None]
        # "latest" says nothing of itself; another tag of the same manifest may.
        known = {one.digest: one.quantization for one in found if one.quantization}
        return [msgspec.structs.replace(one, quantization=known.get(one.digest)) for one in found]

    def _tagged(self, client: "Client", path: ModelPath, tag: str) -> Tagged | None:
        base = path.manifest_url.rpartition("/manifests/")[0]
        try:
            raw = self.read_manifest(client, msgspec.structs.replace(path, tag=tag, pin=None))
            manifest = parse_manifest(raw.body, redact(raw.url))
            layers = (
                []
                if isinstance(manifest, Index)
                else layers_of(manifest, path.repository, tag, redact(raw.url))
            )
            quantization = quantization_in(client, base, tag, layers)
        except (NotFound, UsageError, PathError, ProtocolViolation, DigestMismatch) as exc:
            _log.info("tag.skipped", model=path.canonical, tag=tag, error=str(exc))
            return None
        models = [layer for layer in layers if layer.role == "model"] or layers[:1]
        return Tagged(tag, raw.digest, quantization, models)

    def _of_quantization(self, client: "Client", path: ModelPath, quant: str) -> ModelPath:
        """The path with the tag of this quantization. Raises UsageError for a choice that says two things, and where
        several tags are of it; NotFound, which lists what there is."""
        if path.registry == OLLAMA_REGISTRY:
            raise UsageError(ollama_advice(path))
        if path.tag is not None or path.pin is not None:
            raise UsageError(
                f"{path.canonical} names what is pulled, and -q {quant} another one. Leave one out; where the tag "
                f"chooses the quantization, {path.model_id}:TAG is all it takes."
            )
        tags = list_tags(client, path)
        found = named(tags, quant)
        if not found:
            everything = self.tagged(client, path)
            same = {one.digest: one.tag for one in everything if one.quantization == quant.upper()}
            found = list(same.values())
            tags = [f"{one.tag} ({one.quantization})" if one.quantization else one.tag for one in everything]
        if not found:
            raise NotFound(
                f"There is no quantization {quant!r} of {path.canonical}. There are: {in_words(tags)}. Choose a tag."
            )
        if len(found) > 1:
            raise UsageError(
                f"Several tags of {path.canonical} are {quant}: {in_words(found)}. Name one of them."
            )
        return msgspec.structs.replace(path, tag=found[0])

    def refresh(self, client: "Client", file: RemoteFile) -> RemoteFile:  # noqa: ARG002 - Source's signature
        """The same: a blob is asked for by its digest, and whatever is published for a tag now is another blob."""
        return file

    def read_manifest(self, client: "Client", path: ModelPath) -> RawManifest:
        """The manifest that the path names; where that is an index, the manifest in it that is for here,
        which knows the index.

        Raises NotFound, AccessDenied, DigestMismatch (a pin that the bytes do not have), ProtocolViolation,
        UsageError (an index that leaves a choice), NetworkError.
        """
        if path.pin is None and not OCI_TAG.fullmatch(path.tag or "latest"):
            raise PathError(
                f"{path.tag!r} is no tag: at most 128 letters, digits, dots, dashes, underscores."
            )
        raw = named = _get(client, path.manifest_url, path.pin)
        for _ in range(_MAX_DEPTH):
            document = parse_manifest(raw.body, redact(raw.url))
            if isinstance(document, Manifest):
                return raw if raw is named else msgspec.structs.replace(raw, index=named.digest)
            entry = _entry_for_here(document, path)
            base = path.manifest_url.rpartition("/")[0]
            raw = _get(client, f"{base}/{entry.digest}", None, entry)
        raise broken(redact(raw.url), f"indexes are nested more than {_MAX_DEPTH - 1} deep")


def _chosen(path: ModelPath, choice: Choice) -> ModelPath:
    """The path with the choice in it: a digest beside a tag pins it, as in `m:v1@sha256:…`. Raises UsageError where the
    two name different versions."""
    revision = choice.revision
    if revision is None:
        return path
    # Ollama's latest is the default there: nobody need have typed it.
    typed = path.tag if (path.registry, path.tag) != (OLLAMA_REGISTRY, "latest") else None
    is_digest = _DIGEST.fullmatch(revision) is not None
    if revision not in (path.pin, path.tag) and (path.pin or (typed and not is_digest)):
        raise UsageError(
            f"The model path and --revision {revision!r} name different versions. Leave one out."
        )
    return msgspec.structs.replace(path, **{"pin" if is_digest else "tag": revision})


def _get(client: "Client", url: str, pin: str | None, entry: Descriptor | None = None) -> RawManifest:
    """The manifest at url. pin is what was typed; entry, what its index says of it."""
    answer = client.get_json(url, limit_bytes=MAX_MANIFEST_BYTES, accept=ACCEPT)
    digest = "sha256:" + hashlib.sha256(answer.body).hexdigest()
    shown = redact(url)
    # The header is what the registry itself says of these bytes; another algorithm's says nothing to us.
    said = answer.headers.get("docker-content-digest", "")
    if said and not _DIGEST.fullmatch(said) and not _OTHER_DIGEST.fullmatch(said):
        raise broken(shown, "its Docker-Content-Digest is no digest")
    for promised, promise, advice in (
        (pin, "that was asked for", "Check the pin, or ask"),
        (entry.digest if entry else None, "that its index gives it", "Ask"),
        (said if _DIGEST.fullmatch(said) else None, "that its Docker-Content-Digest says", "Ask"),
    ):
        if promised is not None and promised != digest:
            raise DigestMismatch(
                f"The manifest at {shown} does not have the SHA256 digest {promise}: expected {promised}, "
                f"got {digest}. Nothing was written. {advice} whoever runs the registry.",
                expected=promised.removeprefix("sha256:"),
                actual=digest.removeprefix("sha256:"),
            )
    if entry is not None and entry.size != len(answer.body):
        raise broken(shown, f"it has {len(answer.body)} bytes, and its index says {entry.size}")
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip()
    return RawManifest(answer.body, media_type, digest, url)


def _entry_for_here(index: Index, path: ModelPath) -> Descriptor:
    """Of several manifests under one tag the only one, else the only one for this kind of machine."""
    entries = [entry for entry in index.manifests if not _is_attestation(entry)]
    fitting = entries if len(entries) == 1 else [entry for entry in entries if _fits(entry)]
    distinct = {entry.digest: entry for entry in fitting}
    if not entries:
        raise NotFound(f"{path.canonical} is an index with no model in it. Check the name and the tag.")
    if len(distinct) != 1:
        which = _references(path, entries)
        raise UsageError(f"{path.canonical} stands for several manifests. Choose one of: {which}.")
    return next(iter(distinct.values()))


def _references(path: ModelPath, entries: list[Descriptor]) -> str:
    """Each entry as it can be typed, and what it is for: never so long that a digest would be cut."""
    names = {
        msgspec.structs.replace(path, tag=None, pin=entry.digest).canonical: _platform(entry)[:80]
        for entry in entries
    }
    return in_words(
        (f"{name} ({machine})" for name, machine in names.items()), length=max(map(len, names)) + 90
    )


def _is_attestation(entry: Descriptor) -> bool:
    """What BuildKit adds to an index about the others in it."""
    return bool(entry.note("vnd.docker.reference.type")) or _platform(entry) == "unknown/unknown"


def _fits(entry: Descriptor) -> bool:
    machine = platform.machine()
    here = f"{platform.system().lower()}/{_ARCHITECTURES.get(machine, machine)}"
    return entry.platform is None or _platform(entry) == here


def _platform(entry: Descriptor) -> str:
    return f"{entry.platform.os}/{entry.platform.architecture}" if entry.platform else "any machine"


def _wanted(layers: list[Layer], choice: Choice) -> list[Layer]:
    """All, or those that --file, --include and --exclude name. Raises NotFound, which lists what there is."""
    found = [
        layer
        for layer in layers
        if (choice.file is None or layer.name.casefold() == choice.file.casefold())
        and (not choice.include or matches(layer.name, choice.include))
        and not matches(layer.name, choice.exclude)
    ]
    if not found:
        raise NotFound(
            f"No file here is what was chosen. There are: {in_words(layer.name for layer in layers)}. "
            "Choose among them."
        )
    return found


def _remote(path: ModelPath, raw: RawManifest, layer: Layer) -> RemoteFile:
    base = path.manifest_url.rpartition("/manifests/")[0]
    return RemoteFile(
        name=layer.name,
        url=f"{base}/blobs/{layer.digest}",
        size=layer.size,
        digest=layer.digest,
        revision=raw.published,
        model=path.canonical,
        role=layer.role,
    )
