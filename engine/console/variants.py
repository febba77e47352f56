"""`jarvis variants`: a model's quantizations as a table or as JSON."""

import os

import msgspec

from engine.console.advice import ADVICE
from engine.console.failing import warn_of_token
from engine.console.interruptibly import interruptibly
from engine.console.sizes import format_size
from engine.console.streams import stderr, stdout
from engine.library.finding import Request, credentials_for, wants_hub_token
from engine.library.fitting import available_memory
from engine.model_path import ModelPath
from engine.plain_text import printable
from engine.settings import Settings, home
from engine.sources import Choice
from engine.sources.survey import survey
from engine.sources.variants import Survey, Variant
from engine.store.aliases import Aliases

_COLUMNS = ("quantization", "size", "bits/weight", "memory", "fits", "quality", "speed", "7B takes", "use")


class VariantLine(msgspec.Struct, frozen=True, tag_field="event", tag="variant", kw_only=True):
    """One line of --json. Sizes are bytes; what is not known is null."""

    quantization: str | None
    tag: str | None
    files: tuple[str, ...]
    size: int
    bits_per_weight: float | None
    memory: int
    fits: bool
    default: bool
    quality: int | None
    speed: int | None
    typical_memory: str | None
    use_case: str | None


def run_variants(text: str, revision: str | None, token: str | None, *, as_json: bool) -> int:
    """Print them; 0. Raises PathError, NotFound, UsageError, and what a listing raises."""
    path = Aliases(home()).parse(text)
    request = Request(targets=(path,), token=token)
    credentials = credentials_for(request)
    if wants_hub_token(request):
        warn_of_token()

    def ask() -> Survey:
        from engine.transport.client import Client

        with Client(Settings(), credentials) as client:
            return survey(client, path, Choice(revision=revision))

    found, available = interruptibly(ask, stderr().say), available_memory()
    if as_json:
        for variant in found.variants:
            stdout().say(os.fsdecode(msgspec.json.encode(_line(variant, available))))
        return 0
    stderr().say(printable(_headline(path, found, available)))
    columns = ("tag", *_COLUMNS) if any(variant.tag for variant in found.variants) else _COLUMNS
    for row in _table([columns, *(_row(_line(variant, available)) for variant in found.variants)]):
        stdout().say(row)
    return 0


def _line(variant: Variant, available: int) -> VariantLine:
    quantization = variant.quantization if variant.tag else variant.name
    advice = ADVICE.get(quantization or "")
    return VariantLine(
        quantization=quantization,
        tag=variant.tag,
        files=variant.files,
        size=variant.size,
        bits_per_weight=variant.bits_per_weight,
        memory=variant.memory,
        fits=variant.memory <= available,
        default=variant.is_default,
        quality=advice.quality if advice else None,
        speed=advice.speed if advice else None,
        typical_memory=advice.memory if advice else None,
        use_case=advice.use_case if advice else None,
    )


def _row(line: VariantLine) -> tuple[str, ...]:
    names = (line.tag, line.quantization or "-") if line.tag else (line.quantization or "-",)
    default = " (default)" if line.default else ""
    return (
        printable(names[0]) + default,
        *names[1:],
        format_size(line.size),
        f"{line.bits_per_weight:.2f}" if line.bits_per_weight is not None else "-",
        format_size(line.memory),
        "yes" if line.fits else "no",
        "*" * (line.quality or 0) or "-",
        "*" * (line.speed or 0) or "-",
        line.typical_memory or "-",
        line.use_case or "-",
    )


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _headline(path: ModelPath, found: Survey, available: int) -> str:
    facts, header = [], found.header
    if header is not None:
        facts += [header.architecture] if header.architecture else []
        facts += [_weights(header.parameter_count)] if header.parameter_count else []
        facts += [f"context {header.context_length}"] if header.context_length else []
    about = f" ({', '.join(facts)})" if facts else ""
    return f"{path.canonical}{about}; {format_size(available)} of memory are available"


def _weights(count: int) -> str:
    return (
        f"{count / 1e9:.2f} billion weights" if count >= 100_000_000 else f"{count / 1e6:.2f} million weights"
    )
