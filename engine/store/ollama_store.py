"""Ollama's store: what its server opens.

    <root>/manifests/<host>/<namespace>/<model>/<tag>   the registry's manifest, byte for byte
    <root>/manifests-v2/…                               the same, as links to blobs, in newer versions; read first
    <root>/blobs/sha256-<64 hex>                        config and layers

Source: github.com/ollama/ollama, manifest/paths.go, types/model/name.go, server/images.go, server/create.go. When its
server starts it deletes every blob that no manifest names, unless one is broken: what we put there are further names
of our blobs, never the only ones, and nothing is put there without its manifest.
"""

import errno
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Self

import msgspec

from engine.digest import Digest
from engine.errors import PathError, UsageError
from engine.settings import home
from engine.store.disk import disk_errors
from engine.store.foreign import file_inside, files_in, folders_in, read_bounded
from engine.store.linking import Place, place, write_whole
from engine.telemetry import Log

_log = Log(__name__)
_MAX_MANIFEST = 4 << 20
"""What registries accept at most (the OCI distribution specification asks for 4 MiB)."""

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.ollama.image."
"""Begins the media types of layers; "model", "projector", "adapter", "template", "params", "license" end them."""

_VERSIONS = ("manifests-v2", "manifests")
"""Folders of manifests; the first that has a name decides."""

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}")
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
_MODEL = _TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")


class Descriptor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A content that a manifest names."""

    media_type: str
    digest: str
    """sha256:<hex>; judged by `sha256`."""
    size: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

    @property
    def sha256(self) -> Digest:
        """Raises PathError for any other text."""
        digest = Digest.parse(self.digest)
        if digest.algorithm != "sha256":
            raise PathError(f"Ollama's store has sha256 digests only, not {self.digest[:80]!r}.")
        return digest


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """What a model consists of. Fields that are not here are kept in the file's bytes."""

    schema_version: int
    media_type: str
    config: Descriptor
    layers: list[Descriptor]

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Raises PathError for what is none, its digests included."""
        try:
            manifest = msgspec.json.decode(content, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            raise PathError(f"Not a registry's manifest: {exc}") from exc
        for part in manifest.parts:
            part.sha256  # noqa: B018 - raises
        return manifest

    @property
    def parts(self) -> list[Descriptor]:
        """Config and layers; a digest may come twice."""
        return [self.config, *self.layers]


class OllamaName(msgspec.Struct, frozen=True):
    """A fully qualified name (types/model/name.go). Raises PathError for what Ollama would not take."""

    host: str
    namespace: str
    model: str
    tag: str

    def __post_init__(self) -> None:
        rules = zip((_HOST, _NAMESPACE, _MODEL, _TAG), self.parts, strict=True)
        fault = next((part for rule, part in rules if not rule.fullmatch(part)), None)
        if fault is not None:
            raise PathError(
                f"Ollama cannot have a model called {'/'.join(self.parts)[:200]!r}: {fault[:100]!r} is empty, too "
                "long, or has characters that no name has."
            )

    @property
    def parts(self) -> tuple[str, str, str, str]:
        return self.host, self.namespace, self.model, self.tag

    def __str__(self) -> str:
        """As one types it to Ollama."""
        named = f"{self.host}/{self.namespace}/{self.model}:{self.tag}"
        return named.removeprefix("registry.ollama.ai/").removeprefix("library/")


class OllamaModel(msgspec.Struct, frozen=True):
    """A model of somebody's store. Nothing has been verified."""

    name: OllamaName
    content: bytes
    """Of the manifest."""
    manifest: Manifest
    files: dict[str, Path]
    """By digest ("sha256:<hex>"): those blobs that are there."""


class Unusable(msgspec.Struct, frozen=True):
    """What lies where a model's manifest belongs, and why it is none."""

    name: str
    why: str


def ollama_stores(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Where Ollama keeps models on this machine, whether there are any or not: OLLAMA_MODELS, the user's, and that of
    the Linux service."""
    named = [environ["OLLAMA_MODELS"]] if environ.get("OLLAMA_MODELS") else []
    places = [*named, "~/.ollama/models", "/usr/share/ollama/.ollama/models"]
    return list(dict.fromkeys(_absolute(text) for text in places))


def ollama_target(environ: Mapping[str, str] = os.environ) -> Path:
    """Where models are put for Ollama: OLLAMA_MODELS, else a root of its own in our store, which Ollama has to be
    told of."""
    text = environ.get("OLLAMA_MODELS")
    return _absolute(text) if text else home() / "ollama"


def _absolute(text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:  # there is no home folder to expand
        return Path(text).absolute()


class OllamaStore:
    """One such store. Nothing of it is made before something is written."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, digest: Digest, size_bytes: int | None = None) -> Iterator[Path]:
        """The blob of this digest, if it is there. Its content is for the caller to hash."""
        if digest.algorithm == "sha256":
            # The folder may be a link to another disk; its files lead nowhere else.
            found = file_inside(self._blob(digest), self.root / "blobs", size_bytes)
            if found is not None:
                yield found

    def fault_of(self, digest: Digest, size_bytes: int) -> str:
        """Why `find` has no such blob, in words."""
        path = self._blob(digest)
        try:
            found = path.stat()
        except OSError as exc:
            return f"{path.name} is missing" if exc.errno == errno.ENOENT else f"{path.name}: {exc.strerror}"
        if found.st_size != size_bytes:
            return f"{path.name} has {found.st_size:,} bytes, not {size_bytes:,}"
        return f"{path.name} is no file of this store that may be read"

    def models(self) -> Iterator[OllamaModel | Unusable]:
        """Every model, and what is none; hidden files are nobody's models."""
        seen = set[OllamaName]()
        for path in self._manifests():
            try:
                name = OllamaName(*path.parts[-4:])
                if name not in seen:
                    yield self._model(name, path)
                seen.add(name)
            except PathError as exc:
                _log.info("ollama.unusable", path=str(path), why=str(exc))
                if not path.name.startswith("."):
                    yield Unusable("/".join(path.parts[-4:]), str(exc))

    def write(
        self,
        name: OllamaName,
        content: bytes,
        blobs: Mapping[Digest, Path | bytes],
        put: Place = place,
    ) -> Path:
        """Put a verified model where Ollama finds it. content: the manifest, kept byte for byte; blobs: what
        each digest that it names is, a file or, for small ones, the content. Returns the manifest's path.

        A crash leaves at worst blobs that no manifest names, which Ollama sweeps. Raises PathError for what is no
        manifest, UsageError for a blob that is missing, StoreError where the disk refuses.
        """
        manifest = Manifest.parse(content)
        digests = list(dict.fromkeys(part.sha256 for part in manifest.parts))
        if missing := [str(digest) for digest in digests if digest not in blobs]:
            raise UsageError(
                f"The manifest of {name} names contents that are not here: {', '.join(missing)}."
            )
        target = self._place_of(name)
        with disk_errors("write to Ollama's store", self.root):
            (self.root / "blobs").mkdir(parents=True, exist_ok=True)
            for digest in digests:
                self._add(digest, blobs[digest], put)
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, content, scratch=self.root / "blobs")
            for digest in digests:  # a server that started just now has swept what had no manifest yet
                if not self._blob(digest).exists():
                    self._add(digest, blobs[digest], put)
        return target

    def _add(self, digest: Digest, blob: Path | bytes, put: Place) -> None:
        if isinstance(blob, bytes):
            write_whole(self._blob(digest), blob)
        else:
            put(blob, self._blob(digest))

    def _blob(self, digest: Digest) -> Path:
        return self.root / "blobs" / f"sha256-{digest.hex}"

    def _manifests(self) -> Iterator[Path]:
        for version in _VERSIONS:
            for host in folders_in(self.root / version):
                for namespace in folders_in(host):
                    for model in folders_in(namespace):
                        yield from files_in(model)

    def _model(self, name: OllamaName, path: Path) -> OllamaModel:
        """Raises PathError."""
        file = file_inside(path, self.root)
        content = None if file is None else read_bounded(file, _MAX_MANIFEST)
        if content is None:
            raise PathError(f"It is no file of at most {_MAX_MANIFEST:,} bytes that can be read.")
        manifest = Manifest.parse(content)
        found = {str(part.sha256): list(self.find(part.sha256, part.size)) for part in manifest.parts}
        return OllamaModel(name, content, manifest, {key: paths[0] for key, paths in found.items() if paths})

    def _place_of(self, name: OllamaName) -> Path:
        """The manifest's file: the one that Ollama reads already, or a new one where every version looks."""
        newest, oldest = (self._spelt(self.root / version, name) for version in _VERSIONS)
        return newest if newest.exists() else oldest

    @staticmethod
    def _spelt(folder: Path, name: OllamaName) -> Path:
        """The name as it is on the disk already, where only its case differs: to Ollama they are the same."""
        for part in name.parts:
            there = [path.name for path in (*folders_in(folder), *files_in(folder))]
            same = [text for text in there if text.casefold() == part.casefold()]
            folder /= part if part in same or not same else same[0]
        return folder


class Facts(msgspec.Struct, frozen=True):
    """What Ollama shows of a model. It reads the file itself when it runs it."""

    architecture: str = ""
    parameters: str = ""
    """As people say it: 7B."""
    quantization: str = ""


def synthesise(layers: Sequence[tuple[str, Digest, int]], facts: Facts) -> tuple[bytes, bytes]:
    """Manifest and config of a model that comes from no registry, as `ollama create` makes them (server/create.go).
    layers: kind ("model", "projector", "adapter"), SHA-256 and size of each; the model comes first.

    There is no template: Ollama then takes the one in the file where it knows it, else none.
    """
    config = _encoded(config_of(facts, [str(digest) for _, digest, _ in layers]))
    sha256 = Digest("sha256", "")
    hasher = sha256.start(len(config))
    hasher.update(config)
    manifest = Manifest(
        2,
        MANIFEST,
        Descriptor(CONFIG, f"sha256:{hasher.hexdigest()}", len(config)),
        [Descriptor(f"{LAYER}{kind}", str(digest), size) for kind, digest, size in layers],
    )
    return _encoded(manifest), config


def config_of(facts: Facts, digests: Sequence[str], model_format: str = "gguf") -> dict[str, object]:
    """The fields of a config, as Ollama's registry has them (types/model/config.go)."""
    return {
        "model_format": model_format,
        "model_family": facts.architecture,
        "model_families": [facts.architecture] if facts.architecture else None,
        "model_type": facts.parameters,
        "file_type": facts.quantization,
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": list(digests)},
    }


def _encoded(content: object) -> bytes:
    """Compact, with a line break, as Go's encoder writes it."""
    return msgspec.json.encode(content) + b"\n"
