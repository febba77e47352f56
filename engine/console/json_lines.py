"""Results on stdout: the final path of each file, or every event as one line of JSON."""

from typing import Protocol

import msgspec

from engine.console.streams import Lines
from engine.transfer.events import Event, FileDone


class Results(Protocol):
    """What scripts read."""

    def __call__(self, event: Event) -> None:
        """Something happened."""


class Paths:
    """The final path of each file, one a line."""

    def __init__(self, out: Lines) -> None:
        self._out = out

    def __call__(self, event: Event) -> None:
        if isinstance(event, FileDone):
            self._out.say(event.path)


class JsonLines:
    """One event a line; `event` is its name (docs/telemetry.md)."""

    def __init__(self, out: Lines) -> None:
        self._out = out
        self._encoder = msgspec.json.Encoder()

    def __call__(self, event: Event) -> None:
        self._out.say(self._encoder.encode(event).decode())
