"""`jarvis alias`: list, set and remove the user's own shortcuts."""

from engine.console.streams import stderr, stdout
from engine.errors import UsageError
from engine.model_registry import ModelRegistry
from engine.plain_text import printable
from engine.settings import home
from engine.store.aliases import Aliases


def run_alias(name: str | None, target: str | None, *, remove: bool) -> int:
    """What was asked for; 0. Raises UsageError, PathError for a target that cannot be one, StoreError."""
    aliases = Aliases(home())
    if aliases.fault is not None:
        stderr().say(printable(aliases.fault))
    if remove:
        if name is None or target is not None:
            raise UsageError("--remove takes the alias that is to go, and nothing else.")
        aliases.remove(name)
        stderr().say(f"{name} is no alias any more{_built_in(name)}.")
    elif name is None:
        _list(aliases)
    elif target is None:
        raise UsageError(f"Say what {name!r} is to stand for: jarvis alias NAME TARGET.")
    else:
        path = aliases.add(name, target)
        stderr().say(f"{name} now stands for {path.canonical}.")
    return 0


def _list(aliases: Aliases) -> None:
    """Name and target, a tab between them; the built-in shortcuts too, where they are not covered."""
    known = ModelRegistry.known_models()
    built_in = {name: f"huggingface.co/{model.namespace}/{model.repository}" for name, model in known.items()}
    for name, target in sorted({**built_in, **aliases.targets}.items()):
        mark = "" if name in aliases.targets else "\tbuilt in"
        stdout().say(f"{name}\t{target}{mark}")


def _built_in(name: str) -> str:
    model = ModelRegistry.known_models().get(name)
    return f"; it stands for {model.namespace}/{model.repository} again" if model is not None else ""
