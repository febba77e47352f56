"""The command `jarvis`: how it begins and how it ends. Its options are in console/commands.py.

Nothing is loaded here before signals have their handler, click included: a Ctrl-C may come at any moment.
"""

import atexit
import gc
import os
import sys
from typing import NoReturn

from engine.console import interrupts
from engine.console.ahead import asks_for_url

_MANY_OBJECTS = 50_000
"""Until then nothing is looked through for garbage: what a start makes is modules, and those stay."""


def main() -> NoReturn:
    """Run the command of sys.argv and exit with its code (docs/errors.md)."""
    gc.set_threshold(_MANY_OBJECTS)
    interrupts.act_on_signals()
    _open_standard_streams()
    _tolerate_strange_names()
    code = _run()
    from engine.console.streams import detach, results_were_lost

    if code == 0 and results_were_lost():
        code = 1
    detach()
    if code != interrupts.INTERRUPTED:
        atexit._run_exitfuncs()
    # Neither taking apart every module, a tenth of a short command's time, nor waiting for a thread that may be stuck
    # in a name lookup, which nothing can end but the end of the process.
    os._exit(code)


def _run() -> int:
    if asks_for_url(sys.argv):
        from engine.transfer.spawn import start_ahead

        start_ahead()
    import click

    from engine.console.commands import cli

    try:
        return int(cli.main(prog_name="jarvis", standalone_mode=False) or 0)
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except Exception as exc:  # noqa: BLE001 - the last resort: one line instead of a traceback
        return _explain(exc)


def _explain(exc: Exception) -> int:
    """An error that ends the command, in one paragraph on stderr; its exit code."""
    from engine.console.failing import tell
    from engine.console.streams import stderr, stdout
    from engine.errors import EngineError
    from engine.plain_text import printable
    from engine.store.disk import SHORTAGES, disk_error

    if isinstance(exc, EngineError):
        return tell(exc)
    if isinstance(exc, OSError) and not stdout().flush():
        return 1  # --help, which click prints, to a full disk
    if isinstance(exc, OSError) and exc.filename and exc.errno:
        return _explain(disk_error("use", os.fsdecode(exc.filename), exc.errno))
    if isinstance(exc, OSError) and exc.errno in SHORTAGES:
        return _explain(disk_error("go on", None, exc.errno))
    _log_unexpected(exc)
    stderr().say(
        printable(
            f"error: Something went wrong that should not: {type(exc).__name__}: {exc}. Run again with "
            "--verbose or --log-file FILE: they tell where, and that is what a report should hold."
        )
    )
    return 1


def _log_unexpected(exc: Exception) -> None:
    import traceback

    from engine.console.streams import stderr
    from engine.telemetry import Log

    trace = "".join(traceback.format_exception(exc))
    Log("engine.cli").warning("command.failed", error=type(exc).__name__, traceback=trace)
    if "--verbose" in sys.argv:
        stderr().say(trace)


def _open_standard_streams() -> None:
    """What the caller closed (`>&-`) leads nowhere. Otherwise sys.stdout is None, and the next file that is
    opened, a part or a pipe to a worker, gets its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY
            os.open(os.devnull, flags)  # the lowest free number is this one: those below are open by now
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 - stays open to the end
            setattr(sys, name, stream)


def _tolerate_strange_names() -> None:
    """Paths may hold bytes that are no UTF-8: they come out as they went in."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="surrogateescape")
