"""Reading stores that other tools made, or that somebody prepared: nothing there is believed, and nothing leads out.

Links are followed only to regular files inside the store's own folders; pipes and devices are never opened; what is
read whole is read to a limit. What cannot be read is passed over.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from engine.regular_file import open_regular

MAX_ENTRIES = 100_000
"""Of one folder; what has more is no store of models."""


def file_inside(path: Path, root: Path, size_bytes: int | None = None) -> Path | None:
    """The regular file that path is or leads to, without links on its way, if it lies below root, has that size, and
    may be read; else None."""
    try:
        real, home = path.resolve(strict=True), root.resolve(strict=True)
        found = real.lstat()
    except (OSError, RuntimeError, ValueError):  # RuntimeError: a circle of links; ValueError: a null byte
        return None
    if not stat.S_ISREG(found.st_mode) or size_bytes not in (None, found.st_size):
        return None
    return real if real.is_relative_to(home) and os.access(real, os.R_OK) else None


def read_bounded(path: Path, limit_bytes: int) -> bytes | None:
    """The content of a small regular file, no link; None where it is larger, or cannot be read."""
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
            content = file.read(limit_bytes + 1)
    except (OSError, ValueError):
        return None
    return content if len(content) <= limit_bytes else None


def folders_in(folder: Path) -> Iterator[Path]:
    """Folders in a folder, in order; no links to folders. None where it cannot be read."""
    return (path for path, is_folder in _entries(folder) if is_folder)


def files_in(folder: Path) -> Iterator[Path]:
    """What else is in a folder, in order: files, links to files, and what only looks like one."""
    return (path for path, is_folder in _entries(folder) if not is_folder)


def _entries(folder: Path) -> list[tuple[Path, bool]]:
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                found.append((Path(entry.path), entry.is_dir(follow_symlinks=False)))
                if len(found) > MAX_ENTRIES:
                    return []
    except OSError:
        return []
    return sorted(found)
