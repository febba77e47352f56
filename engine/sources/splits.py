"""Models that were cut into files, `model-00001-of-00003.gguf`: what of a set is missing. Pure."""

import re
from collections.abc import Iterable
from itertools import islice

SHARD = re.compile(r"(?P<stem>.+)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})(?P<suffix>\.\w+)", re.ASCII)
"""As llama.cpp and transformers name them, perhaps with folders before it."""
_MOST = 1000


def set_of(name: str) -> tuple[str, int, str] | None:
    """What the shards of one set have in common: stem, count and suffix; None for a file that is whole."""
    match = SHARD.fullmatch(name)
    return (match["stem"], int(match["count"]), match["suffix"]) if match else None


def missing_shards(names: Iterable[str]) -> list[str]:
    """Names of the files that the sets among these names lack, in order; the first thousand of them, for a name may
    claim that 99,999 belong to its set."""
    there = set(names)
    sets = sorted({found for name in there if (found := set_of(name)) is not None})
    wanted = (
        f"{stem}-{number:05d}-of-{count:05d}{suffix}"
        for stem, count, suffix in sets
        for number in range(1, count + 1)
    )
    return list(islice((name for name in wanted if name not in there), _MOST))
