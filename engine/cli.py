"""The command `jarvis`: its options, and how it ends. What the commands do is in console/.

Only click is loaded here; everything else is loaded by the command that needs it, since start-up counts.
"""

import os
import signal
import sys
import time
from typing import Any, NoReturn

import click

from engine import __version__

_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
_INTERRUPTED = 130
_PATIENCE_S = 2.0


def main() -> NoReturn:
    """Run the command of sys.argv and exit with its code (docs/errors.md)."""
    _open_standard_streams()
    _act_on_signals()
    _tolerate_strange_names()
    code = _run()
    from engine.console.streams import detach, results_were_lost

    if code == 0 and results_were_lost():
        code = 1
    detach()
    if code == _INTERRUPTED:
        # A thread may be stuck in a name lookup, which nothing can end but the end of the process.
        os._exit(code)
    sys.exit(code)


def _run() -> int:
    try:
        return int(cli.main(prog_name="jarvis", standalone_mode=False) or 0)
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except click.Abort:
        return _INTERRUPTED
    except Exception as exc:  # noqa: BLE001 - the last resort: one line instead of a traceback
        return _explain(exc)


def _explain(exc: Exception) -> int:
    """An error that ends the command, in one paragraph on stderr; its exit code."""
    from engine.console.exit_codes import exit_code
    from engine.console.streams import printable, stderr
    from engine.errors import EngineError

    if isinstance(exc, EngineError):
        stderr().say(printable(f"error: {exc}"))
        return exit_code(exc)
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


def _act_on_signals() -> None:
    """The first SIGINT, SIGTERM or SIGHUP ends the command in order. Further ones must not disturb that, unless
    it takes too long: then they end the process as it is, which costs nothing that is on disk."""
    first: list[float] = []

    def interrupt(_number: int, _frame: object) -> None:
        if not first:
            first.append(time.monotonic())
            raise KeyboardInterrupt
        if time.monotonic() - first[0] > _PATIENCE_S:
            os._exit(_INTERRUPTED)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # What the caller ignores (nohup, a background job of a script) stays ignored.
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, interrupt)


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


@click.group(context_settings=_HELP)
@click.version_option(__version__, prog_name="jarvis", message="%(prog)s %(version)s")
def cli() -> None:
    """Pull large language models: parallel, resumable, and never called done before they are verified."""


@cli.command()
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option("-q", "--quant", metavar="TAG", help="Quantization, such as Q4_K_M.")
@click.option("--file", metavar="NAME", help="This file of the repository.")
@click.option("--include", metavar="GLOB", multiple=True, help="Files that match; may be repeated.")
@click.option("--exclude", metavar="GLOB", multiple=True, help="Files to leave out; may be repeated.")
@click.option("--revision", metavar="REV", help="Branch, tag or commit.")
@click.option("-d", "--dir", "directory", metavar="DIR", help="Keep the files' own paths below DIR.")
@click.option("-o", "--output", metavar="FILE", help="Name of the one file.")
@click.option("--sha256", metavar="HEX", help="What the file must hash to.")
@click.option(
    "--hash",
    type=click.Choice(["sha256", "none"]),
    default="sha256",
    show_default=True,
    help="none trusts the connection; only for URLs with -o or -d.",
)
@click.option(
    "--force", is_flag=True, help="Start at zero; the old file stays until the new one is verified."
)
@click.option("--repair", is_flag=True, help="On a wrong digest, fetch every segment once more.")
@click.option("-c", "--connections", metavar="auto|N", help="Connections at once.")
@click.option("-p", "--processes", metavar="auto|N", help="Worker processes; 0 means threads only.")
@click.option("--segment-size", metavar="SIZE", help="Unit of journal and checks.  [default: 8MiB]")
@click.option("--limit-rate", metavar="RATE", help="All connections together, such as 10MB/s.")
@click.option("--token", metavar="TOKEN", help="Bearer token for the target's own server.")
@click.option(
    "--header", metavar="'K: V'", multiple=True, help="Header for the target's own server; may be repeated."
)
@click.option("--cacert", metavar="FILE", help="Certificates (PEM) to trust instead of the system's.")
@click.option("--insecure", is_flag=True, help="Check no certificates.")
@click.option("--proxy", metavar="URL", help="HTTP proxy, instead of the environment's.")
@click.option(
    "--retries",
    metavar="N",
    type=int,
    default=3,
    show_default=True,
    help="Further attempts without progress.",
)
@click.option(
    "--stall-timeout",
    metavar="S",
    type=float,
    default=10.0,
    show_default=True,
    help="Seconds without a byte until a connection is replaced.",
)
@click.option(
    "--allocate",
    type=click.Choice(["sparse", "full"]),
    default="sparse",
    show_default=True,
    help="How the file's room is reserved.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be fetched.")
@click.option("--json", is_flag=True, help="One event a line on stdout.")
@click.option("--quiet", is_flag=True, help="Nothing on stderr but errors.")
@click.option("--verbose", is_flag=True, help="Everything that happens, in words.")
@click.option("--log-file", metavar="FILE", help="Write a log as JSON lines.")
def pull(**given: Any) -> int:
    """Fetch models or files: a shortcut, a model path (hf.co/ns/repo:Q4_K_M), or a URL.

    The same command, typed again, goes on where the last one ended.
    """
    if given["processes"] != "0" and not given["dry_run"]:
        from engine.transfer.spawn import start_ahead

        start_ahead()
    from engine.console.pulling import run_pull

    return run_pull(given)


@cli.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--sha256", metavar="HEX", help="What the one file must hash to, instead of its receipt.")
@click.option("--json", is_flag=True, help="One event a line on stdout.")
@click.option("--quiet", is_flag=True, help="Nothing on stderr but errors.")
@click.option("--verbose", is_flag=True, help="Everything that happens, in words.")
def verify(files: tuple[str, ...], sha256: str | None, **manner: bool) -> int:
    """Hash files that were pulled again, and compare them with their receipts."""
    from engine.console.options import Manner
    from engine.console.verifying import run_verify

    return run_verify(files, sha256, Manner(**manner))


@cli.command()
@click.option(
    "--root", metavar="DIR", help="Folder of <namespace>/<repository>/<files>.  [default: what was pulled]"
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=int, default=0, help="Port to listen at.  [default: a free one]")
@click.option("--allow-public", is_flag=True, help="Let --host be an address that other machines can reach.")
def serve(root: str | None, host: str, port: int, allow_public: bool) -> int:
    """Hand models out to other machines, with the Hub's endpoints."""
    from engine.console.serving import run_serve

    return run_serve(root, host, port, allow_public=allow_public)


@cli.command()
def demo() -> int:
    """See it work: make a model, serve it, pull it, interrupt that, resume, verify. Needs no network."""
    from engine.console.demo import run_demo

    return run_demo()


@cli.command()
def doctor() -> int:
    """Check proxies, certificates, token, disk, cores and the way to the registries."""
    from engine.console.doctor import run_doctor

    return run_doctor()
