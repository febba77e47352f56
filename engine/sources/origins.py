"""Which protocol a custom registry spoke last time: `<root>/origins.json`, an object of origin to "hub" or "oci".

A convenience, so nothing about it can fail a pull: what cannot be read is unknown, what cannot be written is asked
again next time.
"""

import os
import threading
from pathlib import Path

import msgspec

from engine.regular_file import read_small
from engine.telemetry import Log

_log = Log(__name__)
_MAX_BYTES = 1 << 20


class KnownOrigins:
    """The file of one store root."""

    def __init__(self, root: Path, *, may_write: bool = True) -> None:
        self._path = root / "origins.json"
        self._may_write = may_write

    def protocol_of(self, origin: str) -> str | None:
        return self._read().get(origin)

    def remember(self, origin: str, protocol: str) -> None:
        """Atomic; nothing where nothing may be written. Of two who write at once one may be forgotten, which costs a
        request."""
        known = self._read()
        if known.get(origin) == protocol or not self._may_write:
            return
        fresh = self._path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_bytes(msgspec.json.encode({**known, origin: protocol}))
            fresh.replace(self._path)
        except OSError as exc:
            _log.info("origins.unwritten", path=str(self._path), error=str(exc))

    def _read(self) -> dict[str, str]:
        try:
            return msgspec.json.decode(read_small(self._path, _MAX_BYTES), type=dict[str, str])
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return {}
