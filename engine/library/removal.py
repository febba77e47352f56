"""Taking models away: their names first, then what nothing else needs any more.

What is needed is what a manifest names. A blob that no manifest names is swept once it is old enough that no pull can
still be about to name it; a view that is open or linked elsewhere keeps its bytes, whatever is removed here.
"""

import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from engine.errors import PathError, StoreError
from engine.library.lookup import manifests
from engine.library.views import original_of, views_of
from engine.model_manifest import ModelManifest
from engine.settings import home
from engine.store import layout
from engine.store.blobs import Blobs
from engine.store.disk import disk_errors
from engine.store.part import Part
from engine.store.receipts import Receipts

GRACE_S = 3600.0
"""A pull names its blobs in a manifest when its last file is done; so long it may take from the first one."""
STALE_S = 14 * 86400.0
"""Partial downloads that nobody has gone on with."""


class Removed(msgspec.Struct, frozen=True):
    """Something that is gone, or would be."""

    path: Path
    why: str
    freed_bytes: int


def remove_model(manifest: ModelManifest) -> list[Removed]:
    """Take a model's manifest, its files and the blobs that no other model needs away. Raises StoreError."""
    manager, blobs, receipts = manifests(), Blobs(home()), Receipts(layout.receipts(home()))
    manager.delete_manifest(manifest.model_key)
    others, broken = manager.scan()
    shared_views = {path for other in others for path in _views(other)}
    shared = _digests(others)
    removed = []
    for view in _views(manifest):
        if view not in shared_views:
            removed += _unlink(view, "a file of the model")
            receipts.forget(view)
            _remove_empty(view.parent, layout.models(home()))
    if (original := _original(manifest)) is not None:
        removed += _unlink(original, "the registry's manifest of it")
        _remove_empty(original.parent, layout.registry(home()))
    for sha256 in sorted(_digests([manifest]) - shared) if not broken else ():  # who knows what those need
        freed = blobs.remove(sha256)
        removed.append(Removed(blobs.path_of(sha256), "no other model needs it", freed))
    return removed


def collect(*, dry_run: bool = False, grace_s: float = GRACE_S) -> list[Removed]:
    """Sweep the store: blobs that no manifest names, partial downloads that nobody has gone on with. Safe beside a
    pull: what is younger than grace_s is let be, and what is locked, too. Raises StoreError, also where a manifest
    cannot be read: nobody knows what it needs."""
    blobs, now = Blobs(home()), time.time()
    models, broken = manifests().scan()
    if broken:
        raise StoreError(
            f"Nothing was swept: {str(broken[0].path)!r} cannot be read as a manifest ({broken[0].why}), so nobody "
            "knows which contents it needs. Remove it, or pull its model again."
        )
    marked = _digests(models)
    swept = []
    for path in sorted(blobs.all()):
        sha256 = path.name.removeprefix("sha256-")
        with disk_errors("look at", path):
            stat = path.lstat()
        is_young = now - max(stat.st_mtime, stat.st_ctime) < grace_s
        if sha256 in marked or is_young or stat.st_nlink > 1:  # it has a view: a pull is still at the rest
            continue
        freed = stat.st_blocks * 512
        if not dry_run:
            freed = blobs.remove(sha256)
        swept.append(Removed(path, "no model needs it", freed))
    return swept + _collect_partials(now, dry_run=dry_run)


def _collect_partials(now: float, *, dry_run: bool) -> list[Removed]:
    swept = []
    for folder in sorted(_folders(layout.partials(home()))):
        files = [path for path in folder.iterdir() if not path.is_symlink() and path.is_file()]
        newest = max((path.stat().st_mtime for path in files), default=folder.stat().st_mtime)
        if now - newest < STALE_S:
            continue
        nbytes = sum(path.stat().st_blocks * 512 for path in files)
        part = Part.try_open(folder)
        if part is None:
            continue  # somebody is at it
        if dry_run:
            part.close()
        else:
            part.remove()
        swept.append(Removed(folder, "an unfinished file that nobody has gone on with", nbytes))
    return swept


def _folders(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    except FileNotFoundError:
        return []


def _views(manifest: ModelManifest) -> list[Path]:
    try:
        return views_of(manifest)
    except PathError:
        return []  # a manifest that was written by hand may name what is no place in the store


def _original(manifest: ModelManifest) -> Path | None:
    try:
        return original_of(manifest)
    except PathError:
        return None


def _digests(models: Iterable[ModelManifest]) -> set[str]:
    return {layer.sha256 for model in models for layer in model.layers}


def _unlink(path: Path, why: str) -> list[Removed]:
    with disk_errors("remove", path):
        try:
            stat = path.lstat()
        except FileNotFoundError:
            return []
        path.unlink()
    return [Removed(path, why, stat.st_blocks * 512 if stat.st_nlink == 1 else 0)]


def _remove_empty(folder: Path, root: Path) -> None:
    """The folder and those above it, up to root, as long as they are empty."""
    while folder != root and root in folder.parents:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
