"""A manifest as a file: its name, its JSON (docs/formats.md), and what else may lie in its place."""

import hashlib
import os
import threading
from pathlib import Path
from urllib.parse import quote

import msgspec

from engine.errors import EngineError, PathError, UsageError
from engine.manifest_record import ModelManifest
from engine.plain_text import printable
from engine.regular_file import open_regular
from engine.store.disk import sync_folder
from engine.telemetry import Log

_log = Log(__name__)

_MAX_FILE_BYTES = 16 << 20
"""Of one manifest: some 40,000 layers. What is larger was not written by us."""
_MAX_NAME_BYTES = 255


class Broken(msgspec.Struct, frozen=True):
    """A file among the manifests that is none, and why."""

    path: Path
    why: str
    is_unread: bool = False
    """It may be sound: the disk refused to hand it out."""

    def __str__(self) -> str:
        """For people, in whole sentences."""
        path, why = str(self.path), self.why.rstrip(".")
        if self.is_unread:
            return f"{path!r} cannot be read: {why}. See that it may be, and that its disk is well."
        return f"{path!r} is no manifest: {why}. Move it away, and pull its model again."


def file_name(key: str) -> str:
    """The key percent-encoded, or its SHA-256 where that is too long. Raises PathError for a key that is no text (lone
    surrogates)."""
    try:
        name = f"{quote(key, safe='')}.json"
    except UnicodeEncodeError as exc:
        raise PathError(f"Not a model key: {key[:120]!r} is no text. Give the model another name.") from exc
    if len(name) <= _MAX_NAME_BYTES:
        return name
    # No percent-encoded text begins like this, so no key can be in the way.
    return f"%sha256-{hashlib.sha256(key.encode()).hexdigest()}.json"


def _plain(value: object) -> str:
    """A parsed name, which is a kind of str that msgspec does not know."""
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"{value!r:.120} is no text")


_encoder = msgspec.json.Encoder(enc_hook=_plain)
_decoder = msgspec.json.Decoder(ModelManifest)


def encoded(manifest: ModelManifest) -> bytes:
    """As JSON that people can read too, and that is known to be readable. Raises UsageError."""
    try:
        content = msgspec.json.format(_encoder.encode(manifest), indent=2) + b"\n"
        _decoder.decode(content)
    except (msgspec.MsgspecError, TypeError, ValueError) as exc:
        raise UsageError(f"The manifest of {manifest.model_key[:120]!r} cannot be: {exc}.") from exc
    if len(content) > _MAX_FILE_BYTES:
        raise UsageError(
            f"The manifest of {manifest.model_key[:120]!r} would have {len(content):,} bytes, with "
            f"{len(manifest.layers):,} files; {_MAX_FILE_BYTES:,} is the most. Choose fewer files."
        )
    return content


def read(place: Path) -> ModelManifest | Broken | None:
    """What a file is; None where there is none."""
    try:
        fd = open_regular(place, os.O_RDONLY)
        try:
            size = os.fstat(fd).st_size
            if size > _MAX_FILE_BYTES:
                return _broken(place, f"it has more than {_MAX_FILE_BYTES:,} bytes")
            content = os.read(fd, size)
        finally:
            os.close(fd)
        manifest = _decoder.decode(content)
        if file_name(manifest.model_key) != place.name:
            return _broken(place, f"it is named for another model than {manifest.model_key[:120]!r}")
    except FileNotFoundError:
        return None
    except FileExistsError:
        return _broken(place, "it is no file")
    except OSError as exc:
        return _broken(place, exc.strerror or str(exc), is_unread=True)
    except (msgspec.MsgspecError, EngineError, UnicodeDecodeError, RecursionError) as exc:
        return _broken(place, str(exc))
    return manifest


def replace(place: Path, content: bytes) -> None:
    """Durable when it returns; a reader sees the old file or this one, whole. Raises OSError."""
    fresh = place.parent / f".{os.getpid()}-{threading.get_ident()}.tmp"
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(place)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    sync_folder(place.parent)


def _broken(place: Path, why: str, *, is_unread: bool = False) -> Broken:
    clean = printable(why)[:300]
    _log.warning("manifest.broken", path=str(place), why=clean)
    return Broken(place, clean, is_unread)
