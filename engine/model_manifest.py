"""Manifests: what is known of each model on this machine. One JSON file a model, a few KiB (docs/formats.md).

A file is replaced by a rename, so a reader sees the old one or the new one, whole; a lock of the folder orders
writers, of all threads and processes. For one key the last writer wins whole; what it replaces goes into
the history. A file that cannot be read is named and passed over: it never hides the others.
"""

import fcntl
import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import msgspec

from engine.digest import Digest
from engine.errors import EngineError, PathError, UsageError
from engine.plain_text import printable
from engine.regular_file import open_regular
from engine.remote_file import RemoteName
from engine.store.disk import disk_errors, sync_folder
from engine.store.waiting import lock
from engine.telemetry import Log

_log = Log(__name__)

_MAX_FILE_BYTES = 16 << 20
"""Of one manifest: some 40,000 layers. What is larger was not written by us."""
_MAX_NAME_BYTES = 255
_SHA256 = re.compile("[0-9a-f]{64}")
LOCAL_REGISTRY = "local"
"""Of models that were imported from files: nobody publishes them."""
_KEPT_VERSIONS = 10
"""So many earlier digests are remembered of each file."""

_Size = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class Layer(msgspec.Struct, frozen=True):
    """One file of a model. Raises PathError for a name that could leave its folder, and for what is no SHA-256."""

    filename: str
    """Relative to the model's folder."""
    sha256: str
    """64 hexadecimal digits; "sha256:" before them is taken off."""
    size_bytes: _Size
    role: str = "file"
    """As in RemoteFile: "model", "projector", "config", "template", "license", "params", "adapter", "file"."""
    url: str = ""
    """Where it came from, without a query."""

    def __post_init__(self) -> None:
        RemoteName.parse(self.filename)
        if _SHA256.fullmatch(self.sha256):
            return  # as all are that we have written
        digest = Digest.parse(self.sha256)
        if digest.algorithm != "sha256":
            raise PathError(f"The layer {self.filename[:120]!r} needs a sha256 digest, not {digest}.")
        msgspec.structs.force_setattr(self, "sha256", digest.hex)

    @property
    def content(self) -> tuple[str, str]:
        """What it is: name and digest. Two layers with the same content are the same."""
        return self.filename, self.sha256


class EarlierLayer(Layer, frozen=True):
    """A layer that an earlier version of the model had."""

    version: _Count = 1
    """The last version that had it."""
    replaced_at: _Time | None = None


class Selection(msgspec.Struct, frozen=True):
    """What one choice among a repository's files brought."""

    choice: dict[str, str | list[str]]
    files: list[str]
    """Names of layers, the main file first."""


def _now() -> datetime:
    return datetime.now(UTC)


class ModelManifest(msgspec.Struct, kw_only=True):
    """One model. May be changed freely; nothing is kept before ManifestManager.update_manifest."""

    format: str = "jarvis-manifest"
    format_version: int = 1
    model_key: str
    registry: str
    namespace: str
    repository: str
    tag: str | None = None
    folder: str | None = None
    """Where the files lie below llm/, where that is not <namespace>/<repository>."""
    revision: str | None = None
    """The commit, or the digest of the registry's manifest, that the layers belong to."""
    display_name: str | None = None
    parameters: str | None = None
    """As people say it: "7B"."""
    context_length: _Size | None = None
    """In tokens."""
    architecture: str | None = None
    quantization: str | None = None
    choice: dict[str, str | list[str]] = {}
    """What was chosen among the registry's files, beyond what the key says: quant, file, revision, include, exclude."""
    selections: list[Selection] = []
    """Where several choices of one revision brought the layers: what each brought, `choice` first. Else empty."""
    version: _Count = 1
    """Counts the contents that this key has had; a new one begins when a file is another one, or gone."""
    created_at: _Time = msgspec.field(default_factory=_now)
    updated_at: _Time = msgspec.field(default_factory=_now)
    downloaded: bool = False
    verified: bool = False
    layers: list[Layer] = []
    earlier: list[EarlierLayer] = []
    """Digests of earlier versions, the oldest first; the last ten of each file. Kept by the manager."""

    def __post_init__(self) -> None:
        if (self.format, self.format_version) != ("jarvis-manifest", 1):
            raise PathError(
                f"It is no manifest of version 1, but {self.format[:40]!r} of version {self.format_version}."
            )

    @property
    def size_bytes(self) -> int:
        """Of all layers together."""
        return sum(layer.size_bytes for layer in self.layers)

    @property
    def selected(self) -> list[Selection]:
        """What was chosen, one or several times, and what that brought."""
        return self.selections or [Selection(self.choice, [layer.filename for layer in self.layers])]

    def add_layer(
        self, filename: str, sha256: str, size_bytes: int, *, role: str = "file", url: str = ""
    ) -> Layer:
        """Add a file, or replace the one of that name. Content that is new takes the marks `downloaded` and
        `verified` back. Raises PathError, as Layer does."""
        layer = Layer(filename, sha256, size_bytes, role, url)
        if layer.content not in {known.content for known in self.layers}:
            self.downloaded = self.verified = False
        for index, known in enumerate(self.layers):
            if known.filename == filename:
                self.layers[index] = layer
                return layer
        self.layers.append(layer)
        return layer

    def mark_downloaded(self) -> None:
        """All layers are here."""
        self.downloaded = True

    def mark_verified(self) -> None:
        """All layers are here and agree with their digests."""
        self.downloaded = self.verified = True


class Broken(msgspec.Struct, frozen=True):
    """A file among the manifests that is none, and why."""

    path: Path
    why: str
    is_unread: bool = False
    """It may be sound: the disk refused to hand it out."""

    def __str__(self) -> str:
        """For people, in whole sentences."""
        path, why = str(self.path), self.why.rstrip(".")
        if self.is_unread:
            return f"{path!r} cannot be read: {why}. See that it may be, and that its disk is well."
        return f"{path!r} is no manifest: {why}. Move it away, and pull its model again."


class ManifestManager:
    """The manifests of one folder. Holds no state: several managers, threads and processes may share the folder."""

    def __init__(self, manifest_dir: Path | str) -> None:
        """The folder is made with the first manifest."""
        self.manifest_dir = Path(manifest_dir).expanduser().absolute()

    def create_manifest(
        self,
        model_key: str,
        registry: str,
        namespace: str,
        repository: str,
        display_name: str | None = None,
        parameters: str | None = None,
        context_length: int | None = None,
        **more: Any,
    ) -> ModelManifest:
        """A manifest without layers, kept at once; one of the same key is replaced, and what it had becomes history.

        `more` are further fields of ModelManifest by name. Raises as update_manifest does.
        """
        manifest = ModelManifest(
            model_key=model_key,
            registry=registry,
            namespace=namespace,
            repository=repository,
            display_name=display_name,
            parameters=parameters,
            context_length=context_length,
            **more,
        )
        self.update_manifest(model_key, manifest)
        return manifest

    def update_manifest(self, key: str, manifest: ModelManifest) -> None:
        """Keep manifest under key, whatever is there. Sets its model_key, updated_at, version and history.

        Durable when it returns. Raises UsageError for fields that cannot be, StoreError where the disk refuses.
        """
        self.change_manifest(key, lambda _: manifest)

    def change_manifest(
        self, key: str, change: Callable[[ModelManifest | None], ModelManifest]
    ) -> tuple[ModelManifest | None, ModelManifest]:
        """The same for what change makes of the manifest that is there; no other writer comes in between. Returns both.
        Where change hands back what it was given, nothing is written. It must not alter that one."""
        place = self.path_of(key)
        with disk_errors("keep the manifest", place), self._locked():
            stored = self._find(place)
            manifest = change(stored)
            if manifest is not stored:
                manifest.model_key, manifest.updated_at = key, _now()
                _encoded(manifest)  # raises for what cannot be, also what history would hide
                _continue(manifest, stored)
                self._replace(place, _encoded(manifest))
            return stored, manifest

    def get_manifest(self, key: str) -> ModelManifest | None:
        """None where there is none; so too for one that cannot be read, which is logged."""
        return self._find(self.path_of(key))

    def list_manifests(self) -> list[ModelManifest]:
        """All that can be read, by key; the others are logged. Raises StoreError for a folder that cannot be."""
        return self.scan()[0]

    def scan(self) -> tuple[list[ModelManifest], list[Broken]]:
        """All manifests by key, and the files that are none of ours. Raises StoreError."""
        manifests: list[ModelManifest] = []
        broken: list[Broken] = []
        for place in self._places():
            match _read(place):
                case ModelManifest() as manifest:
                    manifests.append(manifest)
                case Broken() as fault:
                    broken.append(fault)
        return sorted(manifests, key=lambda manifest: manifest.model_key), broken

    def delete_manifest(self, key: str) -> bool:
        """Whether there was one. No file of the model is touched. Raises StoreError."""
        place = self.path_of(key)
        if not self.manifest_dir.is_dir():
            return False
        with disk_errors("delete the manifest", place), self._locked():
            try:
                place.unlink()
            except FileNotFoundError:
                return False
            sync_folder(self.manifest_dir)
        return True

    def get_model_stats(self) -> dict[str, Any]:
        """total_models, downloaded, verified, total_files, total_size_bytes, total_size_gb (10^9, two decimals), and
        how many files are broken. Sizes are those of all layers; content that models share counts for each."""
        manifests, broken = self.scan()
        size = sum(manifest.size_bytes for manifest in manifests)
        return {
            "total_models": len(manifests),
            "downloaded": sum(manifest.downloaded for manifest in manifests),
            "verified": sum(manifest.verified for manifest in manifests),
            "total_files": sum(len(manifest.layers) for manifest in manifests),
            "total_size_bytes": size,
            "total_size_gb": round(size / 1e9, 2),
            "broken": len(broken),
        }

    def path_of(self, key: str) -> Path:
        """The manifest's file: the key percent-encoded, or its SHA-256 where that is too long. Raises PathError for
        a key that is no text (lone surrogates)."""
        return self.manifest_dir / _file_name(key)

    def _places(self) -> list[Path]:
        with disk_errors("look for manifests in", self.manifest_dir):
            try:
                names = os.listdir(self.manifest_dir)  # noqa: PTH208 - a thousand Paths cost more than the names
            except FileNotFoundError:
                return []
        return [self.manifest_dir / name for name in sorted(names) if name.endswith(".json")]

    def _find(self, place: Path) -> ModelManifest | None:
        found = _read(place)
        return found if isinstance(found, ModelManifest) else None

    def _replace(self, place: Path, content: bytes) -> None:
        fresh = self.manifest_dir / f".{os.getpid()}-{threading.get_ident()}.tmp"
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(place)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        sync_folder(self.manifest_dir)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time. Where the file system has no locks, the rename alone must do: then two writers of
        one key at the same moment may lose an entry of the history."""
        self.manifest_dir.mkdir(parents=True, exist_ok=True)
        path = self.manifest_dir / ".lock"
        with disk_errors("lock the manifests with", path):
            fd = open_regular(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            lock(fd, fcntl.LOCK_EX, path)
            yield
        finally:
            os.close(fd)


def _continue(manifest: ModelManifest, stored: ModelManifest | None) -> None:
    """Make manifest what follows the stored one: what that had and this has not becomes history."""
    if stored is None:
        return
    current = {layer.content for layer in manifest.layers}
    gone = [layer for layer in stored.layers if layer.content not in current]
    history = [*stored.earlier, *(_earlier(layer, stored.version, manifest.updated_at) for layer in gone)]
    if not stored.layers:
        # It was created a moment ago, which made all layers history: those that come again were never gone.
        history = [
            layer for layer in history if layer.version < stored.version - 1 or layer.content not in current
        ]
    manifest.version = 1 + max((layer.version for layer in history), default=0)
    manifest.created_at = stored.created_at
    manifest.earlier = _bounded(history)


def _earlier(layer: Layer, version: int, now: datetime) -> EarlierLayer:
    return EarlierLayer(layer.filename, layer.sha256, layer.size_bytes, layer.role, layer.url, version, now)


def _bounded(history: list[EarlierLayer]) -> list[EarlierLayer]:
    count: dict[str, int] = {}
    kept = []
    for layer in reversed(history):
        count[layer.filename] = count.get(layer.filename, 0) + 1
        if count[layer.filename] <= _KEPT_VERSIONS:
            kept.append(layer)
    return kept[::-1]


def _file_name(key: str) -> str:
    try:
        name = f"{quote(key, safe='')}.json"
    except UnicodeEncodeError as exc:
        raise PathError(f"Not a model key: {key[:120]!r} is no text. Give the model another name.") from exc
    if len(name) <= _MAX_NAME_BYTES:
        return name
    # No percent-encoded text begins like this, so no key can be in the way.
    return f"%sha256-{hashlib.sha256(key.encode()).hexdigest()}.json"


def _plain(value: object) -> str:
    """A parsed name, which is a kind of str that msgspec does not know."""
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"{value!r:.120} is no text")


_encoder = msgspec.json.Encoder(enc_hook=_plain)
_decoder = msgspec.json.Decoder(ModelManifest)


def _encoded(manifest: ModelManifest) -> bytes:
    """As JSON that people can read too, and that is known to be readable. Raises UsageError."""
    try:
        content = msgspec.json.format(_encoder.encode(manifest), indent=2) + b"\n"
        _decoder.decode(content)
    except (msgspec.MsgspecError, TypeError, ValueError) as exc:
        raise UsageError(f"The manifest of {manifest.model_key[:120]!r} cannot be: {exc}.") from exc
    if len(content) > _MAX_FILE_BYTES:
        raise UsageError(
            f"The manifest of {manifest.model_key[:120]!r} would have {len(content):,} bytes, with "
            f"{len(manifest.layers):,} files; {_MAX_FILE_BYTES:,} is the most. Choose fewer files."
        )
    return content


def _read(place: Path) -> ModelManifest | Broken | None:
    """What a file is; None where there is none."""
    try:
        fd = open_regular(place, os.O_RDONLY)
        try:
            size = os.fstat(fd).st_size
            if size > _MAX_FILE_BYTES:
                return _broken(place, f"it has more than {_MAX_FILE_BYTES:,} bytes")
            content = os.read(fd, size)
        finally:
            os.close(fd)
        manifest = _decoder.decode(content)
        if _file_name(manifest.model_key) != place.name:
            return _broken(place, f"it is named for another model than {manifest.model_key[:120]!r}")
    except FileNotFoundError:
        return None
    except FileExistsError:
        return _broken(place, "it is no file")
    except OSError as exc:
        return _broken(place, exc.strerror or str(exc), is_unread=True)
    except (msgspec.MsgspecError, EngineError, UnicodeDecodeError, RecursionError) as exc:
        return _broken(place, str(exc))
    return manifest


def _broken(place: Path, why: str, *, is_unread: bool = False) -> Broken:
    clean = printable(why)[:300]
    _log.warning("manifest.broken", path=str(place), why=clean)
    return Broken(place, clean, is_unread)
