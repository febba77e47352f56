"""How many lanes were found to pay for an origin, remembered between runs, so that the next pull need not climb again.

One small file an origin, with the number in it. It is only where the next pull begins: what it finds itself counts.
Where nothing can be written, nothing is remembered.
"""

import os
import time
from pathlib import Path

from engine.telemetry import Log
from engine.transport.auth import origin_of
from engine.transport.pauses import file_name

_log = Log(__name__)
_KEPT_S = 7 * 24 * 3600.0
"""Links and servers change."""
_MAX_LANES = 1024


class LaneMemory:
    """Of the origin of url. folder is made when something is to be remembered."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._place = folder / file_name(origin_of(url))

    def recall(self) -> int | None:
        """The number; None where there is none, or an old one."""
        try:
            with self._place.open(encoding="ascii") as file:
                age_s = time.time() - os.fstat(file.fileno()).st_mtime
                lanes = int(file.read(8))
        except (OSError, ValueError):
            return None
        return lanes if 0 <= age_s < _KEPT_S and 1 <= lanes <= _MAX_LANES else None

    def note(self, lanes: int) -> None:
        """So many paid."""
        fresh = self._place.with_name(f".{os.getpid()}~")  # no origin's name: theirs have a scheme
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            fresh.write_text(str(lanes), encoding="ascii")
            fresh.replace(self._place)
        except OSError as exc:
            _log.info("lanes.forgotten", error=str(exc))
