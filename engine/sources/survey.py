"""Which quantizations a model comes in: the files of a Hub's repository, or the tags of an OCI registry's."""

from typing import TYPE_CHECKING

from engine.digest import Digest
from engine.errors import EngineError, NotFound, UsageError
from engine.gguf_header import GgufHeader
from engine.model_path import HUB_REGISTRY, OLLAMA_REGISTRY, ModelPath
from engine.settings import home
from engine.sources.custom import Custom
from engine.sources.huggingface import HuggingFace
from engine.sources.listing import Entry, in_words
from engine.sources.oci import Oci
from engine.sources.oci_tags import Tagged, ollama_advice
from engine.sources.origins import KnownOrigins
from engine.sources.selection import Choice
from engine.sources.variants import Survey, Variant, header_of, memory_for, survey_hub
from engine.telemetry import Log
from engine.transport.auth import hub_endpoint

if TYPE_CHECKING:
    from engine.transport.client import Client

_log = Log(__name__)
_START = 1 << 20
"""Bytes of a model that are read to know what its cache takes: that stands at its start."""
_MAX_STARTS = 16


def survey(client: "Client", path: ModelPath, choice: Choice) -> Survey:
    """All variants of a model. Raises NotFound where there are none, or not the one that path or choice name, and
    what a listing raises; UsageError where nobody lists them."""
    if path.url is not None or (path.pin or "").startswith("sha256:"):
        raise UsageError(f"{path.canonical} is one model, so there is nothing to choose among.")
    if path.registry == OLLAMA_REGISTRY:
        raise UsageError(ollama_advice(path))
    if path.registry == HUB_REGISTRY:
        return survey_hub(client, HuggingFace(hub_endpoint()), path, choice)
    custom = Custom(f"{path.scheme}://{path.registry}", KnownOrigins(home()))
    return custom.ask(
        path,
        lambda source: (
            survey_tags(client, source, path, choice)
            if isinstance(source, Oci)
            else survey_hub(client, source, path, choice)
        ),
    )


def survey_tags(client: "Client", source: Oci, path: ModelPath, choice: Choice) -> Survey:
    """The tags of an OCI registry, the smallest model first. Raises as `survey` does."""
    wanted = choice.revision or path.tag
    found = source.tagged(client, path)
    if not found:
        raise NotFound(f"{path.canonical} has no tag with a model.")
    if wanted is not None and wanted not in {one.tag for one in found}:
        raise NotFound(
            f"{path.canonical} has no model {wanted!r}. There are: {in_words(one.tag for one in found)}."
        )
    headers: dict[Digest, GgufHeader | None] = {}
    for one in found:
        first = one.layers[0]
        if first.digest not in headers and len(headers) < _MAX_STARTS and first.name.endswith(".gguf"):
            headers[first.digest] = _start_of(client, path, one)
    variants = [_variant(one, headers.get(one.layers[0].digest)) for one in found]
    return Survey(sorted(variants, key=lambda variant: variant.size), None)


def _start_of(client: "Client", path: ModelPath, one: Tagged) -> GgufHeader | None:
    layer = one.layers[0]
    url = f"{path.scheme}://{path.registry}/v2/{path.model_id}/blobs/{layer.digest}"
    try:
        return header_of(client, url, Entry(layer.name, layer.size), _START)
    except EngineError as exc:
        _log.warning("header.unreadable", tag=one.tag, error=str(exc))
        return None


def _variant(one: Tagged, header: GgufHeader | None) -> Variant:
    weights = header.parameter_count if header else None
    return Variant(
        name=one.tag,
        quantization=one.quantization,
        files=tuple(str(layer.name) for layer in one.layers),
        size=one.size,
        bits_per_weight=round(8 * one.size / weights, 2) if weights else None,
        memory=memory_for(one.size, header),
        is_default=one.tag == "latest",
        tag=one.tag,
    )
