"""What the layers of a manifest are, by media type, and what their files are called. Pure.

Known are Ollama's types, CNCF ModelPack (modelpack/model-spec), Docker Model Runner
(docker/model-runner, pkg/distribution/types) and KitOps; of any other artifact each layer with a title
(`org.opencontainers.image.title`, as ORAS writes it) is a file. Archives stay archives: nothing is unpacked.
"""

import re
from itertools import count

import msgspec

from engine.digest import Digest
from engine.errors import NotFound
from engine.remote_file import RemoteName
from engine.sources.oci_manifest import Descriptor, Manifest, broken
from engine.sources.selection import check_clashes, named_twice

_TITLE = ("org.cncf.model.filepath", "org.opencontainers.image.title")
_UNPACK = "io.deis.oras.content.unpack"
_EMPTY_JSON = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
"""`{}`: what artifacts without a configuration have for one (OCI image spec, "Guidelines for Artifact Usage")."""

_OLLAMA = "application/vnd.ollama.image."
_DOCKER = "application/vnd.docker.ai."
_CNCF = "application/vnd.cncf.model."
_KITOPS = "application/vnd.kitops.modelkit."
_TYPES: dict[str, tuple[str, str]] = {
    f"{_OLLAMA}model": ("model", ".gguf"),
    f"{_OLLAMA}projector": ("projector", ".mmproj.gguf"),
    f"{_OLLAMA}adapter": ("adapter", ".adapter.gguf"),
    f"{_OLLAMA}template": ("template", ".template"),
    f"{_OLLAMA}prompt": ("template", ".template"),
    f"{_OLLAMA}params": ("params", ".params.json"),
    f"{_OLLAMA}system": ("system", ".system"),
    f"{_OLLAMA}messages": ("messages", ".messages.json"),
    f"{_OLLAMA}license": ("license", ".license"),
    f"{_OLLAMA}json": ("file", ".json"),
    f"{_OLLAMA}tensor": ("file", ".tensor"),
    f"{_OLLAMA}draft": ("file", ".draft.gguf"),
    f"{_DOCKER}gguf.v3": ("model", ".gguf"),
    f"{_DOCKER}gguf.v3.lora": ("adapter", ".adapter.gguf"),
    f"{_DOCKER}safetensors": ("model", ".safetensors"),
    f"{_DOCKER}dduf": ("model", ".dduf"),
    f"{_DOCKER}mmproj": ("projector", ".mmproj.gguf"),
    f"{_DOCKER}license": ("license", ".license"),
    f"{_DOCKER}chat.template.jinja": ("template", ".jinja"),
    f"{_CNCF}weight.v1.gguf": ("model", ".gguf"),
    f"{_CNCF}weight.v1.safetensors": ("model", ".safetensors"),
    f"{_CNCF}weight.v1.raw": ("model", ".gguf"),
}
"""Role, and the end of the name where no annotation gives one."""
_ARCHIVE = re.compile(r"\.tar(?:[+.](?P<coding>gzip|zstd))?$", re.ASCII)
_CODINGS = {None: ".tar", "gzip": ".tar.gz", "zstd": ".tar.zst"}
_IMAGE_LAYER = re.compile(r"application/vnd\.(docker\.image\.rootfs|oci\.image\.layer)\.", re.ASCII)
_RANKS = ("model", "projector", "adapter")


class Layer(msgspec.Struct, frozen=True):
    """A file of the model: a blob with a name."""

    name: RemoteName
    role: str
    digest: Digest
    size: int
    media_type: str


def layers_of(manifest: Manifest, repository: str, label: str, url: str) -> list[Layer]:
    """The files of a model, the main one first, its configuration last.

    repository and label (tag, or the beginning of a digest) name what has no title; url, redacted, is for messages. A
    blob listed twice is one file. Raises PathError for names that may not be, or not beside each other;
    ProtocolViolation for one name of two files; NotFound where no model is in it.
    """
    if not manifest.layers:
        raise NotFound("There is no model in it: its manifest has no layers. Check the name and the tag.")
    if all(_IMAGE_LAYER.match(d.media_type) and not _title(d) for d in manifest.layers):
        raise NotFound("There is no model in it: it is a container image. Check the name and the tag.")
    layers = _distinct(manifest.layers)
    names = _Names(f"{repository}-{label}", {_title(layer) for layer in layers})
    found = [_layer(descriptor, names) for descriptor in layers]
    if manifest.config.digest != _EMPTY_JSON:
        title = _title(manifest.config)
        found.append(_named(manifest.config, "config", title or names.fresh(".config.json")))
    if (double := named_twice(layer.name for layer in found)) is not None:
        raise broken(url, f"it names {double!r} twice, differently")
    check_clashes([layer.name for layer in found])
    main = _main(found)
    return [main, *sorted((layer for layer in found if layer is not main), key=_rank)]


def _distinct(layers: list[Descriptor]) -> list[Descriptor]:
    """Without those that say the same as an earlier one."""
    seen: dict[tuple[str, str, str], Descriptor] = {}
    for layer in layers:
        seen.setdefault((layer.digest, layer.media_type, _title(layer)), layer)
    return list(seen.values())


def _main(layers: list[Layer]) -> Layer:
    """The first model; without one the largest file that is not the configuration."""
    models = [layer for layer in layers if layer.role == "model"]
    rest = [layer for layer in layers if layer.role != "config"]
    return models[0] if models else max(rest, key=lambda layer: layer.size)


def _rank(layer: Layer) -> int:
    if layer.role == "config":
        return len(_RANKS) + 1
    return _RANKS.index(layer.role) if layer.role in _RANKS else len(_RANKS)


def _layer(descriptor: Descriptor, names: "_Names") -> Layer:
    title = _title(descriptor)
    role, suffix = _TYPES.get(descriptor.media_type, ("", ""))
    ending = _archive_ending(descriptor)
    if title:
        path = title + ending if not title.lower().endswith((".tar", ending or ".tar")) else title
        return _named(descriptor, role or _role_by_name(path), path)
    kind = re.sub(r"[^a-z0-9]+", "-", descriptor.media_type.rpartition("/")[2].lower()).strip("-")[:80]
    return _named(descriptor, role or "file", names.fresh(suffix or f".{kind or 'blob'}{ending}"))


def _named(descriptor: Descriptor, role: str, path: str) -> Layer:
    return Layer(RemoteName.parse(path), role, descriptor.sha256, descriptor.size, descriptor.media_type)


def _title(descriptor: Descriptor) -> str:
    return next((note for key in _TITLE if (note := descriptor.note(key))), "") or descriptor.name


def _archive_ending(descriptor: Descriptor) -> str:
    """What an archive of something called otherwise gets at the end of its name. ORAS gives single files the media
    type of an archive unless told, and marks the real ones."""
    match = _ARCHIVE.search(descriptor.media_type)
    is_archive = descriptor.media_type.startswith((_CNCF, _DOCKER, _KITOPS)) or (
        descriptor.note(_UNPACK) == "true"
    )
    return _CODINGS[match["coding"]] if match and is_archive else ""


def _role_by_name(path: str) -> str:
    name = path.lower().rpartition("/")[2]
    if name.endswith(".gguf"):
        return "projector" if "mmproj" in name else "model"
    return "model" if name.endswith((".safetensors", ".dduf")) else "file"


class _Names:
    """Names for what has none, each given once: `m-latest.gguf`, `m-latest-2.gguf`."""

    def __init__(self, stem: str, taken: set[str]) -> None:
        self._stem = stem
        self._taken = {name.casefold() for name in taken}

    def fresh(self, suffix: str) -> str:
        numbers = (f"-{number}" if number > 1 else "" for number in count(1))
        name = next(
            name
            for number in numbers
            if (name := f"{self._stem}{number}{suffix}").casefold() not in self._taken
        )
        self._taken.add(name.casefold())
        return name
