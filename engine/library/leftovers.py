"""Files below llm/ that no model has any more: what earlier versions had, and what pulls that never ended brought.

Only what is certainly ours counts: the receipt of exactly that path fits the file, and the content is the one that an
earlier version of a model had there, or the file is a blob of ours under a second name. All else is somebody's own.
"""

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from engine.errors import PathError
from engine.library.views import place_of, views_of
from engine.manifest_record import Layer, ModelManifest
from engine.settings import home
from engine.store import layout
from engine.store.blobs import Blobs
from engine.store.receipts import Receipt, Receipts


def named_places(models: Iterable[ModelManifest]) -> set[Path]:
    """Where the files of models belong, whether they are there or not."""
    return {place for model in models for place in places_of(model)}


def places_of(model: ModelManifest) -> list[Path]:
    """Those of one; none for a manifest that somebody wrote by hand and that names no place in the store."""
    try:
        return views_of(model)
    except PathError:
        return []


def named_digests(models: Iterable[ModelManifest]) -> set[str]:
    """SHA-256 of every file of the models."""
    return {layer.sha256 for model in models for layer in model.layers}


def left_of_versions(models: Iterable[ModelManifest], kept: set[Path]) -> list[Path]:
    """Files that earlier versions of these models had, still with that very content, at places that are not kept."""
    found = {place for model in models for place in still_there(model, model.earlier)}
    return sorted(found - kept)


def still_there(model: ModelManifest, layers: Iterable[Layer]) -> Iterator[Path]:
    """The places where these layers of a model lie, untouched since they were put there."""
    receipts = Receipts(layout.receipts(home()))
    for layer in layers:
        try:
            place = place_of(model, layer)
        except PathError:
            continue
        receipt = _fitting(receipts, place)
        if receipt is not None and receipt.sha256 == layer.sha256:
            yield place


def left_of_pulls(kept: set[Path], older_than_s: float) -> list[Path]:
    """Files that pulls and imports brought which never came to name them in a manifest, and which nothing has touched
    for so long. Told by their receipt and by being one file with their blob: a file of a user's own that was imported
    is one with a blob, too, and has no receipt of ours."""
    receipts, blobs, now = Receipts(layout.receipts(home())), Blobs(home()), time.time()
    return [
        path
        for path in files_below(layout.models(home()))
        if path not in kept and age_s(path, now) >= older_than_s and _is_blob(path, receipts, blobs)
    ]


def _is_blob(path: Path, receipts: Receipts, blobs: Blobs) -> bool:
    receipt = _fitting(receipts, path)
    if receipt is None or receipt.sha256 is None:
        return False
    try:
        return path.samefile(blobs.path_of(receipt.sha256))
    except OSError:
        return False


def _fitting(receipts: Receipts, path: Path) -> Receipt | None:
    receipt = receipts.find(path)
    try:
        return receipt if receipt is not None and receipt.fits(path.lstat()) else None
    except OSError:
        return None


def files_below(folder: Path) -> Iterator[Path]:
    """In order."""
    for at, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            yield Path(at, name)


def age_s(path: Path, now: float) -> float:
    """Seconds since it was written, or got or lost a name."""
    try:
        stat = path.lstat()
    except OSError:
        return 0.0
    return now - max(stat.st_mtime, stat.st_ctime)
