"""What writers that were killed have left of files that were to appear whole: copies, probes, manifests on their way.

Told by names that nothing else in the store has (store/linking.py, store/receipts.py, store/part.py,
manifest_file.py, sources/origins.py), and by nobody having touched them for long.
"""

import re
import time
from collections.abc import Iterator
from pathlib import Path

from engine.library.leftovers import age_s, files_below
from engine.store import layout

_SCRAP = re.compile(
    r"\.[0-9a-f]{16}\.incomplete|\.[0-9]+-[0-9]+\.(?:tmp|probe)|[0-9a-f]{64}\.json\.[0-9]+\.tmp|origins\.[0-9]+-[0-9]+\.tmp"
    r"|\.jarvis-[0-9]+-[0-9]+\.copy"
)


def scraps(root: Path, older_than_s: float) -> Iterator[Path]:
    """Those of a store. Raises nothing: a folder that cannot be read has none to show."""
    now = time.time()
    for path in _candidates(root):
        if _SCRAP.fullmatch(path.name) and not path.is_symlink() and age_s(path, now) >= older_than_s:
            yield path


def _candidates(root: Path) -> Iterator[Path]:
    if root.is_dir():
        yield from (path for path in sorted(root.iterdir()) if path.is_file())
    for folder in (
        layout.models(root),
        layout.blobs(root),
        layout.manifests(root),
        layout.receipts(root),
        layout.registry(root),
    ):
        yield from files_below(folder)
