"""`jarvis pull --into`: the models that came, where another tool looks for them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.console.options import PullOptions
from engine.console.reporter import Reporter
from engine.errors import EngineError
from engine.library.finding import Found
from engine.library.sharing import Tool, share
from engine.model_downloader import Outcome


def share_all(
    into: Tool,
    found: Sequence[Found],
    outcomes: Mapping[Path, Outcome],
    options: PullOptions,
    reporter: Reporter,
) -> None:
    """Share each model that is complete; one that cannot be shared fails like one that cannot be fetched."""
    roots = set()
    for one in found:
        try:
            shared = share(into, one, outcomes, options.choice) if one.error is None else None
        except EngineError as exc:
            reporter.failed(exc, file=one.target.canonical)
            continue
        if shared is not None:
            roots.add(shared.root)
            reporter(shared)
    if into == "ollama" and roots and not os.environ.get("OLLAMA_MODELS"):
        reporter.say(
            f"Ollama looks there once its server is started with it: OLLAMA_MODELS='{roots.pop()}' ollama serve"
        )
