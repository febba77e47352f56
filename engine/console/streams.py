"""stdout for results, stderr for everything else. A reader that has gone away ends neither with a traceback."""

import errno
import os
import sys
from typing import TextIO

_lost: list[OSError | ValueError] = []
"""Why results could not be written; a reader that has gone (`| head -1`) had what it wanted, and does not count."""


class Lines:
    """Whole lines to one stream, until nobody reads them any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_broken = False
        """Nobody reads, or nothing can be written."""

    def say(self, text: str) -> None:
        self._write(text + "\n")

    def flush(self) -> bool:
        """Whether what somebody else wrote to the stream has gone out; if not, that is told as for say()."""
        self._write("")
        return not self.is_broken

    def _write(self, text: str) -> None:
        if self.is_broken:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError) as exc:
            self.is_broken = True
            if self._stream is sys.stdout and getattr(exc, "errno", None) not in (errno.EPIPE, None):
                _lost.append(exc)
                Lines(sys.stderr).say(f"error: Cannot write to stdout: {exc}.")


def stdout() -> Lines:
    """For results."""
    return Lines(sys.stdout)


def results_were_lost() -> bool:
    """Whether stdout refused a result, so that the command must not be called done."""
    return bool(_lost)


def stderr() -> Lines:
    """For people."""
    return Lines(sys.stderr)


def is_terminal(stream: TextIO | None = None) -> bool:
    """Whether a stream, stderr unless told otherwise, is a terminal that can redraw lines."""
    try:
        return (stream or sys.stderr).isatty() and os.environ.get("TERM", "") != "dumb"
    except (AttributeError, ValueError):
        return False


def detach() -> None:
    """Let the interpreter's last flush go nowhere, so that it does not complain of a broken pipe."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(null, stream.fileno())
    os.close(null)
