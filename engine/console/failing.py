"""An error that ends a command, or one of its targets: a line for people, an event for programs."""

import sys
from functools import cache

from engine.console.exit_codes import exit_code
from engine.console.json_lines import JsonLines
from engine.console.streams import stderr, stdout
from engine.console.words import of_model
from engine.errors import EngineError
from engine.plain_text import printable
from engine.transfer.events import Failed
from engine.transport.auth import token_fault


@cache
def warn_of_token() -> None:
    """Once: that the Hub's token cannot be read, before a model that needs it is refused for want of one."""
    if fault := token_fault():
        stderr().say(printable(f"warning: {fault}"))


def tell(exc: EngineError, about: str = "") -> int:
    """Say it on stderr and, with --json, as an `error` event (docs/errors.md); its exit code. about: the model or file,
    where the text does not say it."""
    stderr().say(printable(f"error: {of_model(about, exc)}"))
    code = exit_code(exc)
    if "--json" in sys.argv:
        event = Failed(
            file=about, path="", error=type(exc).__name__, message=str(exc), exit_code=code, kept_bytes=0
        )
        JsonLines(stdout())(event)
    return code
