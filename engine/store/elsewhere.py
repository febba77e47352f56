"""Contents that other tools have on this machine: the Hugging Face cache, and Ollama's stores."""

from collections.abc import Iterator
from pathlib import Path

from engine.digest import Digest
from engine.store.hf_cache import HubCache, hub_cache
from engine.store.ollama_store import OllamaStore, ollama_stores


def find_elsewhere(digest: Digest, size_bytes: int | None = None) -> Iterator[Path]:
    """Files that are said to have this digest. Nothing has been read: whoever believes one hashes it first.

    Regular files that may be read, of that size where one is given. Where no such store exists, this costs a look
    for each.
    """
    if (cache := hub_cache()).is_dir():
        yield from HubCache(cache).find(digest, size_bytes)
    for root in ollama_stores():
        if root.is_dir():
            yield from OllamaStore(root).find(digest, size_bytes)
