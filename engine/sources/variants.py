"""A repository's quantizations: what each takes on the disk and in memory. One listing, and the start of one file.

Memory is the rule of thumb that `--quant auto` goes by: the files, the key-value cache at min(context, 8192) tokens,
and a tenth of both for buffers. Where a header does not say what a cache takes, the files count alone.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from engine.errors import EngineError, NotFound
from engine.gguf_header import GgufHeader, read_header
from engine.model_path import ModelPath
from engine.plain_text import printable
from engine.remote_file import RemoteName
from engine.sources.gguf import Model, default, is_model, models_in, with_tag
from engine.sources.huggingface import HuggingFace
from engine.sources.listing import Entry, in_words
from engine.sources.selection import Choice, Wish, matches
from engine.spans import Span
from engine.telemetry import Log

if TYPE_CHECKING:
    from engine.transport.client import Client

_log = Log(__name__)
CACHE_TOKENS = 8192
_FIRST_STEP = 1 << 20
_MAX_READ = 24 << 20
"""Bytes of a file's start that are fetched to know its number of weights; what they do not show stays unknown."""


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One GGUF model of a repository."""

    name: str
    """Its quantization; the file's name where that says none."""
    quantization: str | None
    files: tuple[str, ...]
    size: int
    bits_per_weight: float | None
    memory: int
    """Bytes, by the rule above."""
    is_default: bool
    tag: str | None = None
    """Under which it is pulled from an OCI registry; None on a Hub, where the quantization says it."""


class Survey(msgspec.Struct, frozen=True):
    """A repository's variants, the smallest first, and what their headers say."""

    variants: list[Variant]
    header: GgufHeader | None

    def largest_within(self, available_bytes: int) -> Variant:
        """The largest that fits in memory. Raises EngineError, which lists what each would take."""
        fitting = [variant for variant in self.variants if variant.memory <= available_bytes]
        if not fitting:
            needs = ", ".join(
                f"{printable(variant.name)} {_gb(variant.memory)} (files {_gb(variant.size)})"
                for variant in self.variants[:20]
            )
            raise EngineError(
                f"No quantization fits in the {_gb(available_bytes)} of memory that are available. They take: "
                f"{needs}. Close something, or name one with -q."
            )
        return fitting[-1]


def survey_hub(client: "Client", source: HuggingFace, path: ModelPath, choice: Choice) -> Survey:
    """All variants of a Hub's model. Raises NotFound where there are none, or not the one that path or choice name,
    and what a listing raises."""
    wish = Wish.of(path, choice)
    commit = source.resolve(client, path.model_id, wish.revision)
    entries = [
        entry
        for entry in source.list_tree(client, path.model_id, commit)
        if is_model(entry.path) and not matches(entry.path, wish.exclude)
    ]
    for entry in entries:
        RemoteName.parse(entry.path)  # refused here as it would be by a pull
    if not entries:
        raise NotFound(f"{path.canonical} has no GGUF files, so it has no quantizations to choose among.")
    models = models_in(entries)
    if path.quantization and with_tag(models, path.quantization) is None:
        names = in_words(model.quantization or model.stem for model in models)
        raise NotFound(f"{path.canonical} does not exist. There are: {names}.")
    base = f"{source.endpoint}/{path.model_id}/resolve/{commit}"
    header = _header(client, base, models)
    return Survey(variants_of(models, header), header)


def variants_of(models: list[Model], header: GgufHeader | None) -> list[Variant]:
    """The smallest first. Pure."""
    weights = header.parameter_count if header else None
    usual = default(models)
    found = [
        Variant(
            name=model.quantization or model.stem,
            quantization=model.quantization,
            files=tuple(entry.path for _, entry in sorted(model.shards.items())),
            size=model.size,
            bits_per_weight=round(8 * model.size / weights, 2) if weights else None,
            memory=memory_for(model.size, header),
            is_default=model is usual,
        )
        for model in models
        if len(model.shards) == model.count
    ]
    return sorted(found, key=lambda variant: variant.size)


def memory_for(size_bytes: int, header: GgufHeader | None) -> int:
    """Bytes, by the rule above, of files of this size."""
    context = (header and header.context_length) or CACHE_TOKENS
    cache = (header and header.cache_bytes(min(context, CACHE_TOKENS))) or 0
    return (size_bytes + cache) * 11 // 10


def header_of(client: "Client", url: str, entry: Entry, limit_bytes: int = _MAX_READ) -> GgufHeader:
    """What the start of a file says, as far as it is fetched. Raises EngineError."""
    return read_header(_Remote(client, url, min(entry.size, limit_bytes)), partial=True)


def _header(client: "Client", base: str, models: Iterable[Model]) -> GgufHeader | None:
    """What one file says of all: one that is whole, since a shard knows but its own weights."""
    model = min(models, key=lambda model: (model.count > 1, model.size))
    entry = next(iter(sorted(model.shards.items())))[1]
    try:
        return header_of(client, f"{base}/{quote(entry.path)}", entry)
    except EngineError as exc:
        # Sizes are worth something without it, and a gated repository lists what it does not hand out.
        _log.warning("header.unreadable", file=entry.path, error=str(exc))
        return None


class _Remote:
    """The start of a file on a server, fetched as it is read, in steps that double."""

    def __init__(self, client: "Client", url: str, size_bytes: int) -> None:
        self._client = client
        self._url = url
        self._size = size_bytes
        self._held = b""
        self._at = 0
        self._step = _FIRST_STEP

    def read(self, size: int, /) -> bytes:
        if not self._held and self._at < self._size:
            span = Span(self._at, min(self._at + self._step, self._size))
            self._held = self._client.get_span(self._url, span)
            self._at += len(self._held)
            self._step *= 2
        taken, self._held = self._held[:size], self._held[size:]
        return taken


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 50_000_000 else f"{size_bytes / 1e6:.1f} MB"
