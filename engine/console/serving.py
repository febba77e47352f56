"""`jarvis serve`: what it prints; the server is engine/server."""

import shlex
from contextlib import suppress
from pathlib import Path

from engine.console.streams import stderr, stdout
from engine.errors import PathError, UsageError
from engine.model_registry import ModelRegistry
from engine.settings import home
from engine.store import layout
from engine.store.foreign import folders_in


def run_serve(root: str | None, host: str, port: int, *, allow_public: bool) -> int:
    """Serve until SIGINT or SIGTERM; 0. Raises UsageError, or Busy when the port is taken."""
    from engine.server.run import serve

    folder = Path(root).expanduser().absolute() if root else layout.models(home())
    if root is None and not folder.is_dir():
        raise UsageError(
            f"Nothing has been pulled to {str(folder)!r} yet. Pull a model, or name a folder with --root."
        )

    def ready(url: str) -> None:
        stdout().say(url)
        stderr().say(f"Serving {str(folder)!r} at {url} until Ctrl-C. From another terminal:")
        example = shlex.quote(f"hf.co/{_example(folder) or 'namespace/repository'}")
        stderr().say(f"  HF_ENDPOINT={url} jarvis pull {example}")

    store = None if root else home()
    serve(folder, host, port, ready=ready, store=store, allow_public=allow_public)
    return 0


def _example(root: Path) -> str | None:
    """The first namespace/repository under root whose name a model may have."""
    for namespace in folders_in(root):
        for repository in folders_in(namespace):
            with suppress(PathError):
                return ModelRegistry.parse(f"hf.co/{namespace.name}/{repository.name}").model_id
    return None
