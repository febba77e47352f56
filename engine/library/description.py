"""What a model's file says about itself, into the manifest."""

import os
from pathlib import Path

from engine.errors import EngineError
from engine.gguf_header import GgufHeader, read_header
from engine.model_manifest import ModelManifest
from engine.store.disk import open_regular
from engine.telemetry import Log

_log = Log(__name__)
_MAX_TEXT = 120
"""Characters of a name that a stranger's file gives itself."""


def describe(manifest: ModelManifest, path: Path) -> None:
    """Fill in what nobody has said of the model, from the GGUF file at path: name, parameters, context length,
    architecture, quantization. Never fails: a file that is no GGUF, or a broken one, says nothing."""
    if path.suffix.lower() != ".gguf":
        return
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
            header = read_header(file)
    except (OSError, EngineError) as exc:
        _log.info("header.unreadable", path=str(path), why=str(exc))
        return
    for field, value in _facts(header).items():
        if value and getattr(manifest, field) is None:
            setattr(manifest, field, value)


def _facts(header: GgufHeader) -> dict[str, str | int | None]:
    return {
        "display_name": _clean(header.name),
        "parameters": _clean(header.size_label) or _count(header.parameter_count),
        "context_length": header.context_length,
        "architecture": _clean(header.architecture),
        "quantization": header.quantization,
    }


def _clean(text: str | None) -> str | None:
    """A stranger's text as one short line that cannot command a terminal; None where nothing is left."""
    if text is None:
        return None
    kept = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(kept.split())[:_MAX_TEXT].rstrip() or None


def _count(weights: int | None) -> str | None:
    """As makers write it: "7.2B", "70B", "560M", "22.7M"."""
    if not weights:
        return None
    for unit, size in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if weights >= 0.9995 * size:  # 999,960,000 is 1B, and not 1000M
            return f"{weights / size:.1f}".removesuffix(".0") + unit
    return str(weights)
