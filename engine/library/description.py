"""What a model says about itself, into its manifest: a GGUF header, or config.json and safetensors headers."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import BinaryIO, TypeVar

from engine.errors import EngineError, FormatError
from engine.gguf_header import Readable, read_header
from engine.library.model_config import ModelConfig, read_config
from engine.manifest_record import ModelManifest
from engine.plain_text import printable
from engine.regular_file import open_regular
from engine.safetensors_header import read_weights
from engine.sources.splits import missing_shards
from engine.telemetry import Log

_log = Log(__name__)
_T = TypeVar("_T")
Facts = dict[str, str | int | None]
_MAX_TEXT = 120
"""Characters of a name that a stranger's file gives itself."""
_MAX_CONFIG = 4 << 20
"""Bytes of a config.json; large ones, with a label for each of thousands of classes, have a few hundred KiB."""
_MAX_FILES = 1000
"""Safetensors files of one model that are looked into; the largest known have about 200."""


def describe(manifest: ModelManifest, files: Mapping[str, Path]) -> None:
    """Fill in what nobody has said of the model, from its files by their names, the main one first: name, parameters,
    context length, architecture, quantization. Never fails: what is no such file, or a broken one, says nothing."""
    main = next(iter(files), "")
    facts = facts_at(files[main]) if main.lower().endswith(".gguf") else _facts_of_safetensors(files)
    for field, value in facts.items():
        if value and getattr(manifest, field) is None:
            setattr(manifest, field, value)


def facts_at(path: Path) -> Facts:
    """What the GGUF file at path says of itself, by the manifest's fields; empty for all others. Never fails."""
    return _read(path, facts_in) or {}


def fault_at(path: Path) -> str | None:
    """Why the file at path is no whole GGUF header, in words; None where it is one. Raises OSError, StoreError."""
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
            read_header(file)
    except FormatError as exc:
        return str(exc)
    return None


def facts_in(file: Readable) -> Facts:
    """The same of a file that is open at its start. Raises FormatError, OSError."""
    header = read_header(file)
    return {
        "display_name": _clean(header.name),
        "parameters": _clean(header.size_label) or _count(header.parameter_count),
        "context_length": header.context_length,
        "architecture": _clean(header.architecture),
        "quantization": header.quantization,
    }


def _facts_of_safetensors(files: Mapping[str, Path]) -> Facts:
    """Of a model as transformers has it; weights are counted where all files are here and none are packed."""
    shards = [name for name in files if name.endswith(".safetensors")]
    if not shards:
        return {}
    place = files.get("config.json")
    config = (place and _read(place, lambda file: read_config(file.read(_MAX_CONFIG)))) or ModelConfig()
    is_countable = not config.quantization and len(shards) <= _MAX_FILES and not missing_shards(shards)
    weights = _weights(files[name] for name in shards) if is_countable else Counter[str]()
    return {
        "parameters": _count(weights.total()),
        "context_length": config.context_length,
        "architecture": _clean(config.architecture),
        "quantization": _clean(config.quantization)
        or next((name for name, _ in weights.most_common(1)), None),
    }


def _weights(paths: Iterable[Path]) -> Counter[str]:
    """Weights by type over all files, without the whole numbers, which are positions and masks; none where one of the
    files cannot be read."""
    total = Counter[str]()
    for path in paths:
        found = _read(path, read_weights)
        if found is None:
            return Counter()
        total += Counter({dtype: n for dtype, n in found.items() if dtype.startswith(("F", "BF"))})
    return total


def _read(path: Path, reader: Callable[[BinaryIO], _T]) -> _T | None:
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
            return reader(file)
    except (OSError, EngineError) as exc:
        _log.info("header.unreadable", path=str(path), why=str(exc))
        return None


def _clean(text: str | None) -> str | None:
    """A stranger's text as one short line that cannot command a terminal; None where nothing is left."""
    if text is None:
        return None
    return " ".join(printable(text, " ").split())[:_MAX_TEXT].rstrip() or None


def _count(weights: int | None) -> str | None:
    """As makers write it: "7.2B", "70B", "560M", "22.7M"."""
    if not weights:
        return None
    for unit, size in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if weights >= 0.9995 * size:  # 999,960,000 is 1B, and not 1000M
            return f"{weights / size:.1f}".removesuffix(".0") + unit
    return str(weights)
