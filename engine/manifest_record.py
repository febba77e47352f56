"""What is known of a model: its files by digest, the choice that brought them, and what it had before."""

import re
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from engine.digest import Digest
from engine.errors import PathError
from engine.remote_file import RemoteName

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


def succeed(manifest: ModelManifest, stored: ModelManifest) -> None:
    """Make manifest what follows the stored one: what that had and this has not becomes history."""
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
