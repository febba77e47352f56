"""Manifests that registries sent, byte for byte, and the blobs of the store that they name. Blocks on the disk.

`<root>/registry/<host>/<repository>/<tag>` is offered as <repository>, and as <host>/<repository> for whoever means
that one; a blob only under a repository whose manifests name it.
"""

import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import PathError
from engine.remote_file import RemoteName
from engine.server.catalogue import Entry, Stamp
from engine.server.oci_manifests import TAG, Manifest, is_digest, twin_of
from engine.sources.oci_manifest import DOCKER_MANIFEST, MAX_MANIFEST_BYTES, OCI_INDEX, OCI_MANIFEST
from engine.store import layout
from engine.telemetry import Log

_log = Log("engine.server.oci_store")
_FRESH_S = 1.0
_FIRST = "registry.ollama.ai"
"""Whose models are meant where several registries have one of that name."""
_SHA256 = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)


class Kept(msgspec.Struct, frozen=True):
    """A manifest of the store, and what it names."""

    manifest: Manifest
    digests: frozenset[str]


class StoredModels:
    """What the store of this root has from registries. Safe to use from several threads."""

    def __init__(self, root: Path) -> None:
        self._registry, self._blobs = layout.registry(root), layout.blobs(root)
        self._lock = threading.Lock()
        self._seen: tuple[float, dict[str, dict[str, Path]]] = (-_FRESH_S, {})
        self._read: dict[Path, tuple[Stamp, Kept | None]] = {}

    def tags(self, name: str) -> list[str]:
        """Of a repository, in any case of letters as Ollama compares names; none where it is unknown."""
        return list(self._paths(name))

    def manifest(self, name: str, reference: str) -> Manifest | None:
        """By tag (in any case), or by the digest of its bytes or of its twin's."""
        paths = self._paths(name)
        if is_digest(reference):
            return self._by_digest(list(paths.values()), reference)
        exact = paths.get(reference)
        found = exact or next((p for tag, p in paths.items() if tag.lower() == reference.lower()), None)
        kept = found and self._kept(found)
        return kept.manifest if kept else None

    def blob(self, name: str, digest: str) -> Entry | None:
        """A blob that one of the repository's manifests names, and that is there."""
        match = _SHA256.fullmatch(digest)
        kept = map(self._kept, self._paths(name).values())
        if match is None or not any(one is not None and digest in one.digests for one in kept):
            return None
        path = self._blobs / f"sha256-{match[1]}"
        try:
            return Entry(RemoteName(path.name), str(path), Stamp.of(path.lstat()))
        except OSError:
            return None

    def _by_digest(self, paths: list[Path], digest: str) -> Manifest | None:
        for kept in filter(None, map(self._kept, paths)):
            for manifest in (kept.manifest, twin_of(kept.manifest)):
                if manifest is not None and manifest.digest == digest:
                    return manifest
        return None

    def _paths(self, name: str) -> dict[str, Path]:
        """Manifest files of a repository by tag."""
        with self._lock:
            seen_at, known = self._seen
            if time.monotonic() - seen_at >= _FRESH_S:
                known = self._scan()
                self._seen = (time.monotonic(), known)
        return known.get(name.lower(), {})

    def _scan(self) -> dict[str, dict[str, Path]]:
        found: dict[str, dict[str, Path]] = {}
        hosts = sorted(_folders(self._registry), key=lambda path: (path.name != _FIRST, path.name))
        for host in hosts:
            for path in _files(host):
                repository = path.parent.relative_to(host).as_posix()
                if repository == "." or not TAG.fullmatch(path.name):
                    continue
                for name in (repository.lower(), f"{host.name}/{repository}".lower()):
                    found.setdefault(name, {}).setdefault(path.name, path)
        return found

    def _kept(self, path: Path) -> Kept | None:
        """A manifest file, read once for each state of it; None for what is none."""
        try:
            stamp = Stamp.of(path.lstat())
            known = self._read.get(path)
            if known is None or known[0] != stamp:
                known = self._read[path] = (stamp, _read(path, stamp))
            return known[1]
        except (OSError, PathError, msgspec.MsgspecError, ValueError, TypeError, RecursionError) as exc:
            _log.warning("manifest.skipped", path=str(path), cause=str(exc))
            return None


def _read(path: Path, stamp: Stamp) -> Kept:
    if stamp.size > MAX_MANIFEST_BYTES:
        raise ValueError("it is too large for a manifest")
    with Entry(RemoteName.parse(path.name), str(path), stamp).open() as file:
        body = file.read()
    document: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
    layers, manifests = document.get("layers") or [], document.get("manifests") or []
    if not (isinstance(layers, list) and isinstance(manifests, list)):
        raise TypeError("what it names is no list")
    named = [document.get("config"), *layers, *manifests]
    digests = frozenset(str(one.get("digest")) for one in named if isinstance(one, dict))
    return Kept(Manifest(_media_type(document), body), digests)


def _media_type(document: dict[str, Any]) -> str:
    """As it says of itself; where it says nothing, as what is in it (OCI image spec, manifest.md, "mediaType")."""
    told = document.get("mediaType")
    if isinstance(told, str) and re.fullmatch(r"[\w.+/-]{1,255}", told, re.ASCII):
        return told
    if "manifests" in document:
        return OCI_INDEX
    config = document.get("config")
    is_docker = isinstance(config, dict) and str(config.get("mediaType")).startswith(
        "application/vnd.docker."
    )
    return DOCKER_MANIFEST if is_docker else OCI_MANIFEST


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as found:
            return [Path(item.path) for item in found if item.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _files(folder: Path) -> Iterator[Path]:
    """All regular files below folder; links are not followed."""
    for at, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(at, name)
            if path.is_file() and not path.is_symlink():
                yield path
