"""The tags of a repository in an OCI registry, and which quantization each stands for (OCI distribution spec, "Listing
Tags").

A tag says it in its own name (`8b-q4_K_M`), else its model's file does, else its configuration: Ollama's `file_type`,
Docker Model Runner's and CNCF ModelPack's `config.quantization`.
"""

from typing import TYPE_CHECKING, Any

import msgspec

from engine.errors import ProtocolViolation
from engine.model_path import OCI_TAG, QUANTIZATION, ModelPath, quantization_of
from engine.sources.listing import next_page
from engine.sources.oci_layers import Layer
from engine.telemetry import redact
from engine.transport.auth import origin_of

if TYPE_CHECKING:
    from engine.transport.client import Client

_MAX_PAGES, _MAX_PAGE_BYTES = 100, 4 << 20
_MAX_CONFIG_BYTES = 1 << 20


class _Tags(msgspec.Struct, frozen=True):
    tags: list[str] | None = None


class Tagged(msgspec.Struct, frozen=True):
    """What a tag stands for."""

    tag: str
    digest: str
    """Of the manifest."""
    quantization: str | None
    layers: list[Layer]
    """Of the model itself, without projectors and texts."""

    @property
    def size(self) -> int:
        return sum(layer.size for layer in self.layers)


def list_tags(client: "Client", path: ModelPath) -> list[str]:
    """All tags in the registry's order; what cannot be one is passed over. Raises NotFound, AccessDenied,
    ProtocolViolation, NetworkError."""
    url = f"{path.scheme}://{path.registry}/v2/{path.model_id}/tags/list"
    found: dict[str, None] = {}
    following, seen = url, set[str]()
    while following:
        if following in seen or len(seen) == _MAX_PAGES:
            raise _broken(url, "its pages never end")
        seen.add(following)
        answer = client.get_json(following, limit_bytes=_MAX_PAGE_BYTES)
        try:
            page = msgspec.json.decode(answer.body, type=_Tags).tags or []
            following = next_page(following, answer.headers, {origin_of(url)}) or ""
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as exc:
            raise _broken(url, str(exc)[:200]) from exc
        found |= dict.fromkeys(tag for tag in page if OCI_TAG.fullmatch(tag))
    return list(found)


def named(tags: list[str], quantization: str) -> list[str]:
    """The tags of this quantization by their names: the one that is called so, else those that end so."""
    exact = [tag for tag in tags if tag.casefold() == quantization.casefold()]
    return exact[:1] or [tag for tag in tags if quantization_of(tag) == quantization.upper()]


def quantization_in(client: "Client", base: str, tag: str, layers: list[Layer]) -> str | None:
    """The quantization of what this tag stands for; base is the repository's address below /v2/."""
    models = [layer for layer in layers if layer.role == "model"]
    names = [tag, *(layer.name for layer in models)]
    said = next((found for name in names if (found := quantization_of(name))), None)
    config = next((layer for layer in layers if layer.role == "config"), None)
    if said or config is None or config.size > _MAX_CONFIG_BYTES:
        return said
    body = client.get_json(f"{base}/blobs/{config.digest}", limit_bytes=_MAX_CONFIG_BYTES, accept="*/*").body
    return _in_config(body)


def ollama_advice(path: ModelPath) -> str:
    """What to do on Ollama's registry, which lists no tags to programs."""
    return (
        f"On the Ollama registry the tag chooses the quantization, and it lists its tags to people only: see "
        f"https://ollama.com/{path.model_id}/tags, and write ollama/{path.model_id.removeprefix('library/')}:TAG."
    )


def _in_config(body: bytes) -> str | None:
    try:
        config: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(config, dict):
        return None
    inner = config.get("config")
    said = [config.get("file_type"), inner.get("quantization") if isinstance(inner, dict) else None]
    return next(
        (text.upper() for text in said if isinstance(text, str) and QUANTIZATION.fullmatch(text)), None
    )


def _broken(url: str, why: str) -> ProtocolViolation:
    return ProtocolViolation(
        f"{redact(url)} is no list of tags: {why}. Check the registry's address.", url=redact(url)
    )
