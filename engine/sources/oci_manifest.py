"""OCI and Docker manifests: a stranger's bytes to checked values. Pure.

Image manifests and indexes of the OCI image specification (manifest.md, image-index.md) and of Docker's schema 2.
Strict on purpose: digests become parts of file names and addresses, sizes become allocations, and where two readers
could see two things in one document (CVE-2021-41190: layers and manifests in one; JSON keys that come twice), there
is none to be trusted.
"""

import json
import re
from typing import Annotated, Any, TypeVar

import msgspec

from engine.digest import Digest
from engine.errors import ProtocolViolation
from engine.plain_text import printable

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
ACCEPT = ", ".join((DOCKER_MANIFEST, OCI_MANIFEST, DOCKER_LIST, OCI_INDEX))
"""All four, Docker's first: registries answer 404 or 400 for a type that is not asked for, and Ollama's knows one."""

MAX_MANIFEST_BYTES = 16 << 20
"""Four times what a registry must take (distribution-spec, "Pushing Manifests")."""
MAX_LAYERS = 1 << 16
_MAX_SIZE = 2**63 - 1
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)

_Size = Annotated[int, msgspec.Meta(ge=0, le=_MAX_SIZE)]
_T = TypeVar("_T")


class Platform(msgspec.Struct, frozen=True):
    os: str = ""
    architecture: str = ""


class Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    """What a manifest says of a blob, or an index of a manifest (OCI image spec, descriptor.md)."""

    media_type: str
    digest: str
    size: _Size
    annotations: dict[str, str] | None = None
    artifact_type: str = ""
    platform: Platform | None = None
    name: str = ""
    """Ollama's own: of a tensor, or of a JSON file."""

    @property
    def sha256(self) -> Digest:
        """The digest, which was checked when the manifest was parsed."""
        return Digest.parse(self.digest)

    def note(self, key: str) -> str:
        """An annotation; empty where there is none."""
        return (self.annotations or {}).get(key, "")


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """An image manifest: a configuration and layers."""

    schema_version: int
    config: Descriptor
    layers: Annotated[list[Descriptor], msgspec.Meta(max_length=MAX_LAYERS)]
    media_type: str = ""
    artifact_type: str = ""
    annotations: dict[str, str] | None = None


class Index(msgspec.Struct, frozen=True, rename="camel"):
    """An index, or Docker's manifest list: several manifests under one tag."""

    schema_version: int
    manifests: Annotated[list[Descriptor], msgspec.Meta(max_length=MAX_LAYERS)]
    media_type: str = ""
    annotations: dict[str, str] | None = None


class _Twice(ValueError):
    """A key that comes twice."""


def parse_manifest(body: bytes, url: str) -> Manifest | Index:
    """The manifest or index that these bytes are. url, redacted, is for messages.

    Raises ProtocolViolation for anything else: other JSON, schema 1, a digest that is no `sha256:<64 lower-case
    hexadecimal digits>`, a size that cannot be one, or not that of its digest, one digest with two sizes, keys that
    come twice.
    """
    document = _strict_json(body, url)
    if not isinstance(document, dict):
        raise broken(url, "it is no JSON object")
    if document.get("schemaVersion") != 2:
        raise broken(url, f"its schemaVersion is {str(document.get('schemaVersion'))[:20]!r}, and must be 2")
    if ("manifests" in document) == ("layers" in document):
        raise broken(url, "it must have either layers or manifests")
    if "manifests" in document:
        index = _converted(document, Index, url)
        _check(index.manifests, url)
        return index
    manifest = _converted(document, Manifest, url)
    _check([manifest.config, *manifest.layers], url)
    return manifest


def broken(url: str, why: str) -> ProtocolViolation:
    return ProtocolViolation(
        f"The manifest at {url} is refused: {why}. Nothing was written. Tell whoever published the model.",
        url=url,
    )


def _check(descriptors: list[Descriptor], url: str) -> None:
    sizes: dict[str, int] = {}
    for descriptor in descriptors:
        if not _SHA256.fullmatch(descriptor.digest):
            raise broken(
                url,
                f"{descriptor.digest[:160]!r} is no digest; that is sha256: and 64 lower-case hexadecimal digits",
            )
        if not descriptor.sha256.may_be_of(descriptor.size):
            raise broken(url, f"{descriptor.digest} is said to have no bytes, and is the digest of some")
        if sizes.setdefault(descriptor.digest, descriptor.size) != descriptor.size:
            raise broken(url, f"{descriptor.digest} has two sizes")
    if sum(sizes.values()) > _MAX_SIZE:
        raise broken(url, "its sizes add up to more than any disk holds")


def _strict_json(body: bytes, url: str) -> Any:
    try:
        return json.loads(body, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        raise broken(url, f"it is no strict JSON: {_clean(exc)}") from exc


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Twice("a key comes twice in one object")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _converted(document: Any, kind: type[_T], url: str) -> _T:
    try:
        return msgspec.convert(document, kind)
    # UnicodeEncodeError comes for a key that is half a surrogate pair.
    except (msgspec.ValidationError, UnicodeEncodeError) as exc:
        raise broken(url, _clean(exc)) from exc


def _clean(exc: BaseException) -> str:
    return printable(str(exc) or type(exc).__name__)[:200]
