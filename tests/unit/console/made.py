"""Values that the console's tests are about, with what does not matter filled in."""

from typing import Any

import click

from engine.console.commands import pull
from engine.console.options import PullOptions, parse_options
from engine.transfer.events import FileDone, Progress


def given(*words: str) -> dict[str, Any]:
    """What click makes of the words after `jarvis pull`."""
    with pull.make_context("pull", [*words]) as context:
        assert isinstance(context, click.Context)
        return dict(context.params)


def options(*words: str) -> PullOptions:
    """As the command gets them."""
    return parse_options(given(*words))


def file_done(name: str = "m.gguf", **changes: Any) -> FileDone:
    defaults: dict[str, Any] = {
        "file": name,
        "path": f"/models/{name}",
        "size": 2_100_000_000,
        "sha256": "ab" * 32,
        "verified": True,
        "fetched_bytes": 2_100_000_000,
        "held_bytes": 0,
        "discarded_bytes": 0,
        "seconds": 3.0,
    }
    return FileDone(**{**defaults, **changes})


def progress(name: str = "m.gguf", **changes: Any) -> Progress:
    defaults: dict[str, Any] = {
        "file": name,
        "path": f"/models/{name}",
        "phase": "downloading",
        "done_bytes": 500_000_000,
        "hashed_bytes": 400_000_000,
        "size": 2_000_000_000,
        "bytes_per_s": 310e6,
        "eta_s": 5.0,
        "lanes": 8,
    }
    return Progress(**{**defaults, **changes})
