"""Whether `jarvis pull` will need a worker, guessed before anybody can know: a worker takes 0.1 s to load, and so does
the command. A wrong guess costs a worker that is not used, or one that is started later. Loads nothing."""

import os
from collections.abc import Sequence

_AGAINST = ("-p", "--processes", "--dry-run", "-h", "--help")
"""Options that speak against it, also with a value at them; what exactly they say is judged later."""


def asks_for_url(words: Sequence[str]) -> bool:
    """Whether a command line pulls a file of which nothing is known but its address: a worker asks for it at once,
    unless it is there already. words: as in sys.argv."""
    return (
        list(words[1:2]) == ["pull"]
        and any(word.startswith(("http://", "https://")) for word in words[2:])
        and not any(word.startswith(_AGAINST) for word in words[2:])
        and not any(map(_is_there, words, words[1:]))
    )


def _is_there(option: str, value: str) -> bool:
    return option in ("-o", "--output") and os.path.exists(value)  # noqa: PTH110 - pathlib loads slowly
