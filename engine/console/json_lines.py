"""Results on stdout: the final path of each file, or every event as one line of JSON."""

import os
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
        # Names are a kind of str that msgspec does not know.
        self._encoder = msgspec.json.Encoder(enc_hook=str)

    def __call__(self, event: Event) -> None:
        try:
            line = self._encoder.encode(event)
        except UnicodeEncodeError:
            line = self._encoder.encode(_readable(event))
        # JSON is UTF-8, whatever the locale: its bytes come out as they are.
        self._out.say(os.fsdecode(line))


def _readable(event: Event) -> dict[str, object]:
    """The event without bytes of a file name that are no UTF-8, which JSON cannot hold."""
    fields: dict[str, object] = msgspec.to_builtins(event, enc_hook=str)
    return {
        key: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for key, value in fields.items()
    }
