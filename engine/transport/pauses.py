"""Origins that have asked to be left alone for a while, remembered for all processes of this user.

A rate limit is of a person, not of a process (the Hub counts requests by address or account in windows of five
minutes), so what one pull is told, by a refusal or by the last answer of a window, holds for its other files and for
every other pull. One empty file an origin: its modification time is the moment from which it may be asked again. Where
nothing can be written, each pull knows what it was told itself.
"""

import os
import time
from pathlib import Path
from urllib.parse import quote

from engine.telemetry import Log
from engine.transport.auth import origin_of
from engine.transport.retry import MAX_WAIT_S

_log = Log(__name__)
_LOOK_EVERY_S = 0.5


class Pauses:
    """folder is made when something is to be remembered; None remembers in this process alone."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._until: dict[str, float] = {}
        """By origin, by the wall clock: it is the one that processes share."""
        self._looked: dict[str, float] = {}

    def note(self, url: str, seconds: float) -> None:
        """The origin of url wants so long a pause. A shorter one never takes back a longer one."""
        origin, until = origin_of(url), time.time() + seconds
        if until <= self._known(origin):
            return
        self._until[origin] = until
        if self._folder is None or seconds > MAX_WAIT_S:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            place = self._folder / file_name(origin)
            os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            os.utime(place, (until, until))
        except OSError as exc:
            _log.info("pause.unshared", origin=origin, error=str(exc))

    def left_s(self, url: str) -> float:
        """Seconds until the origin of url may be asked again; 0 when it may be asked now. Never more than what is
        granted: a clock that was wrong, or a hand in the folder, must not stop pulls for ever."""
        left = self._known(origin_of(url)) - time.time()
        return left if 0 < left <= MAX_WAIT_S else 0.0

    def _known(self, origin: str) -> float:
        now = time.monotonic()
        if self._folder is not None and now - self._looked.get(origin, float("-inf")) >= _LOOK_EVERY_S:
            self._looked[origin] = now
            try:
                told = (self._folder / file_name(origin)).lstat().st_mtime
            except OSError:
                told = 0.0
            self._until[origin] = max(self._until.get(origin, 0.0), told)
        return self._until.get(origin, 0.0)


def file_name(origin: str) -> str:
    """What a file about an origin is called: a name in any file system."""
    return quote(origin, safe="")[:200]
