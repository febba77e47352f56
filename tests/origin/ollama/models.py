"""Models as the registry keeps them: blobs by digest and the exact bytes of manifests."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.origin.content import Content, as_content
from tests.origin.ollama.rules import MANNERS


@dataclass(frozen=True)
class Layer:
    """One layer; kind is a word of the rules' layer_kinds ("model", "template", …), or a whole media type."""

    kind: str
    content: Content | bytes | Path
    size: int | None = None
    """What the manifest claims instead of the true size."""
    digest: str | None = None
    """What the manifest claims instead of the true digest; the blob is found under it."""

    @property
    def media_type(self) -> str:
        if "/" in self.kind:
            return self.kind
        if self.kind not in MANNERS["layer_kinds"]:
            raise ValueError(f"{self.kind!r} is none of {MANNERS['layer_kinds']}")
        return f"{MANNERS['layer_type']}{self.kind}"

    @cached_property
    def blob(self) -> Content:
        return as_content(self.content)

    @cached_property
    def descriptor(self) -> dict[str, Any]:
        digest = self.digest or f"sha256:{self.blob.sha256()}"
        size = self.blob.size if self.size is None else self.size
        return {"mediaType": self.media_type, "digest": digest, "size": size}


@dataclass(frozen=True)
class Model:
    """NAMESPACE/MODEL under one tag. manifest: these very bytes instead of those made of the layers."""

    name: str
    layers: Sequence[Layer]
    tag: str = "latest"
    config: bytes | None = None
    manifest_type: str = MANNERS["manifest_type"]
    content_type: str | None = None
    """Content-Type of the manifest where it is not its type."""
    is_private: bool = False
    """It opens only with a token, which the registry's token address hands out to known keys."""
    manifest: bytes = field(default=b"", compare=False)

    def __post_init__(self) -> None:
        if self.name.count("/") != 1:
            raise ValueError(f"{self.name!r} is not NAMESPACE/MODEL")
        object.__setattr__(self, "manifest", self.manifest or self._made())

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.manifest).hexdigest()}"

    @cached_property
    def config_layer(self) -> Layer:
        return Layer(MANNERS["config_type"], self.config or self._made_config())

    @property
    def blobs(self) -> dict[str, Content]:
        return {layer.descriptor["digest"]: layer.blob for layer in (self.config_layer, *self.layers)}

    def _made(self) -> bytes:
        document = {
            "schemaVersion": 2,
            "mediaType": self.manifest_type,
            "config": self.config_layer.descriptor,
            "layers": [layer.descriptor for layer in self.layers],
        }
        return json.dumps(document, separators=(",", ":")).encode()

    def _made_config(self) -> bytes:
        diff_ids = [layer.descriptor["digest"] for layer in self.layers]
        document = {
            "model_format": "gguf",
            "model_family": "llama",
            "model_families": ["llama"],
            "model_type": "8.0B",
            "file_type": "Q4_K_M",
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
        return json.dumps(document, separators=(",", ":")).encode()


class Shelf:
    """All models of one registry, found without regard to case, as the clients compare names."""

    def __init__(self, models: Sequence[Model]) -> None:
        self._models: dict[str, list[Model]] = {}
        for model in models:
            self.add(model)

    def add(self, model: Model) -> None:
        """Put a model there; one of the same name and tag makes way."""
        same = [m for m in self.of(model.name) if m.tag.lower() != model.tag.lower()]
        self._models[model.name.lower()] = [*same, model]

    def of(self, name: str) -> list[Model]:
        return self._models.get(name.lower(), [])

    def find(self, name: str, reference: str) -> Model | None:
        """By tag or by the manifest's digest."""
        wanted = reference.lower()
        return next((m for m in self.of(name) if wanted in (m.tag.lower(), m.digest)), None)

    def blob(self, name: str, digest: str) -> Content | None:
        return next((m.blobs[digest] for m in self.of(name) if digest in m.blobs), None)

    def is_private(self, name: str) -> bool:
        return any(model.is_private for model in self.of(name))
