"""The journals of pulls that are running: they come and go while one looks."""

import os
from collections.abc import Iterator
from pathlib import Path


def journals_below(folder: Path) -> Iterator[bytes]:
    """What each journal under the folder holds now. A part that ends meanwhile is passed over: `Path.rglob` raises
    FileNotFoundError for a folder that goes before it is read (Pythons 3.11, 3.12); os.walk does not."""
    for path, _, names in os.walk(folder):
        if "journal" in names:
            try:
                yield (Path(path) / "journal").read_bytes()
            except FileNotFoundError:
                continue
