"""`jarvis show`: all that is known of one model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from engine.console.listing import files_of, listed, local_time, quantization, state_of
from engine.console.sizes import format_size
from engine.console.streams import stdout
from engine.library.lookup import find_model, manifests
from engine.manifest_record import EarlierLayer, Layer, ModelManifest
from engine.plain_text import printable
from engine.settings import home
from engine.store import layout


def run_show(text: str, *, as_json: bool) -> int:
    """Print what is known of the model that is meant; the exit code. Raises NotFound."""
    manifest = find_model(text)
    out = stdout()
    if as_json:
        out.say(msgspec.json.encode(_fields(manifest)).decode())
    else:
        out.say("\n".join(_indented(line) for line in _lines(manifest)))
    return 0


def _fields(manifest: ModelManifest) -> dict[str, Any]:
    """The manifest, and what follows from it; each layer with its path, and whether a file is there."""
    places = [
        {**msgspec.to_builtins(layer), "path": _shown(path), "is_there": path.is_file()}
        for layer, path in files_of(manifest)
    ]
    known = listed(manifest, str(layout.models(home())))
    return {
        "event": "model",
        **msgspec.to_builtins(manifest),
        "quantization": known.quantization,
        "size": known.size,
        "missing": known.missing,
        "layers": places or msgspec.to_builtins(manifest.layers),
        "manifest": _shown(manifests().path_of(manifest.model_key)),
    }


def _shown(path: Path) -> str:
    """A path as JSON can hold it: bytes that are no UTF-8 as \\xff."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def _lines(manifest: ModelManifest) -> Iterator[str]:
    yield manifest.model_key
    for title, value in _facts(manifest):
        if value:
            yield f"  {title:<14}{value}"
    yield ""
    yield "Files"
    for layer, path in files_of(manifest):
        yield f"  {path}{'' if path.is_file() else ' (missing)'}"
        yield f"    {_content(layer)}"
    if not manifest.layers:
        yield "  none"
    if manifest.earlier:
        yield ""
        yield "Earlier versions, the latest first"
    for layer in reversed(manifest.earlier):
        yield f"  {layer.filename}"
        yield f"    {_until(layer)}, {_content(layer)}"


def _indented(line: str) -> str:
    """A line that cannot command a terminal, behind its own indentation."""
    text = line.lstrip(" ")
    return " " * (len(line) - len(text)) + printable(text)


def _facts(manifest: ModelManifest) -> list[tuple[str, str | None]]:
    tokens = manifest.context_length
    model_id = "/".join(part for part in (manifest.registry, manifest.namespace, manifest.repository) if part)
    count = len(manifest.layers)
    return [
        ("name", manifest.display_name),
        ("architecture", manifest.architecture),
        ("parameters", manifest.parameters),
        ("quantization", quantization(manifest)),
        ("context", f"{tokens:,} tokens" if tokens else None),
        ("size", f"{format_size(manifest.size_bytes)} in {count} file{'' if count == 1 else 's'}"),
        ("verified", state_of(listed(manifest, str(layout.models(home()))))),
        ("from", model_id),
        ("tag", manifest.tag),
        ("revision", manifest.revision),
        ("version", str(manifest.version)),
        ("created", local_time(manifest.created_at)),
        ("updated", local_time(manifest.updated_at)),
    ]


def _content(layer: Layer) -> str:
    role = "" if layer.role == "file" else f", {layer.role}"
    return f"{format_size(layer.size_bytes)}{role}, sha256:{layer.sha256}"


def _until(layer: EarlierLayer) -> str:
    when = f" until {local_time(layer.replaced_at)}" if layer.replaced_at else ""
    return f"version {layer.version}{when}"
