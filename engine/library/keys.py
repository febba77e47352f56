"""What a model is called in the store: the key of its manifest."""

import hashlib

from engine.model_path import ModelPath
from engine.telemetry import redact


def key_of(path: ModelPath) -> str:
    """The path's one spelling. A URL's query may hold a secret: a hash stands for it, so that two stay two."""
    if path.url is None or "?" not in path.url:
        return path.canonical
    return f"{redact(path.url)}#{hashlib.sha256(path.url.encode()).hexdigest()[:12]}"
