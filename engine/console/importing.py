"""`jarvis import`: a line for each model that came into the store."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.console.exit_codes import combined
from engine.console.failing import tell
from engine.console.sizes import format_size
from engine.console.streams import stderr, stdout
from engine.errors import EngineError, UsageError
from engine.library.importing import Imported, import_from
from engine.plain_text import printable


def run_import(paths: Sequence[str], *, as_json: bool) -> int:
    """Import what is at the paths; the exit code."""
    codes = []
    for text in paths:
        try:
            if not text:
                raise UsageError("An empty path is none. A dot stands for the folder where you are.")
            for one in import_from(Path(text).expanduser().absolute()):
                codes.append(_tell(one, as_json=as_json))
        except EngineError as exc:
            codes.append(tell(exc))
    return combined(code for code in codes if code)


def _tell(one: Imported, *, as_json: bool) -> int:
    if one.error is not None:
        return tell(one.error, one.key)
    if as_json:
        fields = {"model": one.key, "size": one.size, "paths": [str(path) for path in one.paths]}
        stdout().say(msgspec.json.encode(fields).decode())
    else:
        files = f"{len(one.paths)} file{'' if len(one.paths) == 1 else 's'}"
        stdout().say(printable(f"{one.key}: imported, {files}, {format_size(one.size)}"))
    for note in one.notes:
        stderr().say(printable(f"{one.key}: {note}"))
    return 0
