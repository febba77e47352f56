"""A Hub that is nothing but files: the two answers that a pull of a model asks for, and its files by their commit.

nginx serves them as they lie (huggingface.co/docs/hub/api); so many files are verified against digests that somebody
publishes, as those of a real model are.
"""

import hashlib
import json
from pathlib import Path

from perf.payload import Payload

MODEL = "bench/many"
COMMIT = "0" * 40


def publish(folder: Path, payload: Payload) -> None:
    """Make folder the endpoint of a Hub whose one model holds the payload's files."""
    api, files = folder / "api/models" / MODEL, folder / MODEL / "resolve"
    for place in (api / "revision", api / "tree", files):
        place.mkdir(parents=True)
    (api / "revision" / "main").write_text(json.dumps({"sha": COMMIT}))
    (api / "tree" / COMMIT).write_text(json.dumps([_node(path) for path in sorted(payload.path.iterdir())]))
    (files / COMMIT).symlink_to(payload.path)


def _node(path: Path) -> dict[str, object]:
    data = path.read_bytes()
    large = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data)}
    return {"type": "file", "path": path.name, "size": len(data), "lfs": large}
