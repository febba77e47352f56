"""The commands and their options, as click has them. What they do is in the modules beside this one.

Only click is loaded here; everything else is loaded by the command that needs it, since start-up counts.
"""

import sys
from collections.abc import Callable
from typing import Any

import click

from engine import __version__
from engine.console import interrupts

_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 110}

_MAX_TOKEN = 1 << 16
"""As long as the longest that a registry may give."""


def _typed_or_piped(_context: click.Context, _option: click.Parameter, token: str | None) -> str | None:
    """The token; "-" takes it from standard input, because every user of a machine can read a command's words."""
    if token != "-":  # noqa: S105 - the word that stands for one
        return token
    if sys.stdin.isatty():
        return str(click.prompt("Token", hide_input=True, err=True))
    return sys.stdin.readline(_MAX_TOKEN).strip()


@click.group(context_settings=_HELP)
@click.version_option(__version__, prog_name="jarvis", message="%(prog)s %(version)s")
def cli() -> None:
    """Pull large language models: parallel, resumable, and never called done before they are verified."""


@cli.command()
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option(
    "-q",
    "--quant",
    metavar="TAG|auto",
    help="Quantization, such as Q4_K_M; auto takes the largest that fits in memory.",
)
@click.option("--file", metavar="NAME", help="This file of the repository.")
@click.option("--include", metavar="GLOB", multiple=True, help="Files that match; may be repeated.")
@click.option("--exclude", metavar="GLOB", multiple=True, help="Files to leave out; may be repeated.")
@click.option("--revision", metavar="REV", help="Branch, tag or commit.")
@click.option("-d", "--dir", "directory", metavar="DIR", help="Keep the files' own paths below DIR.")
@click.option("-o", "--output", metavar="FILE", help="Name of the one file.")
@click.option(
    "--into",
    type=click.Choice(["hf-cache", "ollama"]),
    help="Put the models where transformers, vLLM and llama.cpp, or Ollama, look for them, too.",
)
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
@click.option(
    "--token",
    metavar="TOKEN",
    callback=_typed_or_piped,
    help="Bearer token for the target's own server; - reads it from standard input.",
)
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
    from engine.console.pulling import run_pull

    return _work(lambda: run_pull(given))


@cli.command()
@click.argument("texts", nargs=-1, metavar="[MODEL|FILE]...")
@click.option("--sha256", metavar="HEX", help="What the one file must hash to, instead of its receipt.")
@click.option("--repair", is_flag=True, help="Fetch again what is damaged, and only that.")
@click.option("--json", is_flag=True, help="One event a line on stdout.")
@click.option("--quiet", is_flag=True, help="Nothing on stderr but errors.")
@click.option("--verbose", is_flag=True, help="Everything that happens, in words.")
def verify(texts: tuple[str, ...], sha256: str | None, repair: bool, **manner: bool) -> int:
    """Hash files that were pulled again, and compare them with their receipts; without any, all models."""
    from engine.console.options import Manner
    from engine.console.verifying import run_verify

    return _work(lambda: run_verify(texts, sha256, Manner(**manner), repair=repair))


@cli.command("rm")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
def rm(models: tuple[str, ...]) -> int:
    """Remove models, and say what that frees. What other models share stays."""
    from engine.console.keeping import run_rm

    return _work(lambda: run_rm(models))


@cli.command("import")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout.")
def import_(paths: tuple[str, ...], as_json: bool) -> int:
    """Take models that are on this machine already into the store: GGUF files, folders of them, a Hugging Face
    cache, an Ollama store. The originals stay."""
    from engine.console.importing import run_import

    return _work(lambda: run_import(paths, as_json=as_json))


@cli.command("gc")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout.")
def gc(dry_run: bool, as_json: bool) -> int:
    """Sweep the store: contents that no model needs, downloads that nobody has gone on with."""
    from engine.console.keeping import run_gc

    return _work(lambda: run_gc(dry_run=dry_run, as_json=as_json))


@cli.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout.")
def outdated(models: tuple[str, ...], as_json: bool) -> int:
    """Ask the registries which models have changed since they were pulled."""
    from engine.console.keeping import run_outdated

    return _work(lambda: run_outdated(models, as_json=as_json))


@cli.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--json", "as_json", is_flag=True, help="One event a line on stdout.")
def update(models: tuple[str, ...], as_json: bool) -> int:
    """Pull models again that have changed; without any, all."""
    from engine.console.keeping import run_update

    return _work(lambda: run_update(models, as_json=as_json))


@cli.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout.")
def list_(as_json: bool) -> int:
    """List the models that are here."""
    from engine.console.listing import run_list

    return _work(lambda: run_list(as_json=as_json))


@cli.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def show(model: str, as_json: bool) -> int:
    """Show all that is known of a model: a shortcut, a model path, or a part of its name."""
    from engine.console.showing import run_show

    return _work(lambda: run_show(model, as_json=as_json))


@cli.command()
@click.argument("name", required=False)
@click.argument("target", required=False)
@click.option("--remove", is_flag=True, help="Forget the alias NAME.")
def alias(name: str | None, target: str | None, remove: bool) -> int:
    """List the shortcuts for models, or make NAME one that stands for TARGET in every later command."""
    from engine.console.aliasing import run_alias

    return _work(lambda: run_alias(name, target, remove=remove))


@cli.command()
@click.argument("model")
@click.option("--revision", metavar="REV", help="Branch, tag or commit.")
@click.option(
    "--token",
    metavar="TOKEN",
    callback=_typed_or_piped,
    help="Bearer token for the model's own server; - reads it from standard input.",
)
@click.option("--json", is_flag=True, help="One variant a line on stdout, as JSON.")
def variants(model: str, revision: str | None, token: str | None, json: bool) -> int:
    """Show a model's quantizations: files, sizes, bits per weight, and which fit in this machine's memory."""
    from engine.console.variants import run_variants

    return _work(lambda: run_variants(model, revision, token, as_json=json))


@cli.command()
@click.option(
    "--root", metavar="DIR", help="Folder of <namespace>/<repository>/<files>.  [default: what was pulled]"
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=int, default=0, help="Port to listen at.  [default: a free one]")
@click.option("--allow-public", is_flag=True, help="Let --host be an address that other machines can reach.")
def serve(root: str | None, host: str, port: int, allow_public: bool) -> int:
    """Hand models out to other machines, with the endpoints of the Hub and of registries."""
    from engine.console.serving import run_serve

    return _work(lambda: run_serve(root, host, port, allow_public=allow_public))


@cli.command()
def demo() -> int:
    """See it work: make a model, serve it, pull it, interrupt that, resume, verify. Needs no network."""
    from engine.console.demo import run_demo

    return _work(run_demo)


@cli.command()
def doctor() -> int:
    """Check proxies, certificates, token, disk, cores and the way to the registries."""
    from engine.console.doctor import run_doctor

    return _work(run_doctor)


def _work(run: Callable[[], int]) -> int:
    """Run what a command does; its exit code. From here on there may be something to put in order."""
    try:
        with interrupts.raised():
            return run()
    except KeyboardInterrupt:
        interrupts.tell()
        return interrupts.INTERRUPTED
