"""`jarvis list`: the models of the store, a line each. It looks which files are there, and hashes nothing."""

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from engine.console.sizes import format_size
from engine.console.streams import stderr, stdout
from engine.errors import PathError
from engine.library.lookup import manifests
from engine.library.views import folder_name, views_of
from engine.manifest_file import Broken
from engine.manifest_record import Layer, ModelManifest
from engine.model_path import quantization_of
from engine.plain_text import printable
from engine.settings import home
from engine.store import layout

_TITLES = ("MODEL", "QUANT", "SIZE", "VERIFIED", "UPDATED")
_WIDEST = 60
"""Characters that a column is filled up to; what is longer moves the rest of its line."""


class Listed(msgspec.Struct, frozen=True, tag_field="event", tag="model"):
    """A model in a list, as --json prints it."""

    model: str
    quantization: str | None
    size: int
    files: int
    verified: bool
    missing: list[str]
    """Files that are not where they were put."""
    updated_at: datetime
    version: int


def run_list(*, as_json: bool) -> int:
    """Print all models of the store; the exit code. Manifests that cannot be read are named, and cost nothing."""
    known, broken = manifests().scan()
    root = str(layout.models(home()))
    models = [listed(manifest, root) for manifest in known]
    if as_json:
        _print_json(models, broken)
    else:
        _print_table(models)
        _print_broken(broken)
    return 0


def listed(manifest: ModelManifest, root: str) -> Listed:
    """What the list says of a model. root: the store's folder of models."""
    return Listed(
        model=manifest.model_key,
        quantization=quantization(manifest),
        size=manifest.size_bytes,
        files=len(manifest.layers),
        verified=manifest.verified,
        missing=_missing(manifest, root),
        updated_at=manifest.updated_at,
        version=manifest.version,
    )


def files_of(manifest: ModelManifest) -> list[tuple[Layer, Path]]:
    """The files of a model and where they belong; none for a manifest that names no place in the store."""
    try:
        return list(zip(manifest.layers, views_of(manifest), strict=True))
    except PathError:
        return []


def _missing(manifest: ModelManifest, root: str) -> list[str]:
    """As files_of would tell, without making a Path of each: a thousand models are listed at once."""
    try:
        folder = folder_name(manifest)
    except PathError:
        return []
    return [
        layer.filename
        for layer in manifest.layers
        if not os.path.isfile(f"{root}/{os.fsdecode(f'{folder}/{layer.filename}'.encode())}")  # noqa: PTH113 - see above
    ]


def quantization(manifest: ModelManifest) -> str | None:
    """As the manifest has it, else by the name of the main file."""
    if manifest.quantization or not manifest.layers:
        return manifest.quantization
    return quantization_of(manifest.layers[0].filename)


def local_time(moment: datetime) -> str:
    """ "2026-11-24 18:05", in the time zone of this machine."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def state_of(model: Listed) -> str:
    """What the column VERIFIED says."""
    if model.missing or not model.files:
        return "missing"
    return "yes" if model.verified else "no"


def _print_json(models: Sequence[Listed], broken: Sequence[Broken]) -> None:
    out = stdout()
    for model in models:
        out.say(msgspec.json.encode(model).decode())
    for fault in broken:
        fields = {"event": "broken", "path": printable(str(fault.path)), "why": fault.why}
        out.say(msgspec.json.encode(fields).decode())


def _print_table(models: Sequence[Listed]) -> None:
    if not models:
        stderr().say("No models are here yet. `jarvis pull MODEL` fetches one.")
        return
    rows = [_TITLES, *(_row(model) for model in models)]
    widths = [min(_WIDEST, max(len(row[column]) for row in rows)) for column in range(len(_TITLES))]
    lines = (
        "  ".join(cell.rjust(width) if title == "SIZE" else cell.ljust(width) for cell, width, title in cells)
        for cells in (zip(row, widths, _TITLES, strict=True) for row in rows)
    )
    stdout().say("\n".join(line.rstrip() for line in lines))
    total = format_size(sum(model.size for model in models))
    stderr().say(f"{len(models)} model{'' if len(models) == 1 else 's'}, {total}")


def _row(model: Listed) -> tuple[str, ...]:
    return (
        printable(model.model) or '""',
        printable(model.quantization or "-"),
        format_size(model.size),
        state_of(model),
        local_time(model.updated_at),
    )


def _print_broken(broken: Sequence[Broken]) -> None:
    for fault in broken:
        stderr().say(printable(f"warning: {fault}"))
