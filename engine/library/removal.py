"""Taking models, and what their earlier versions left, away: their names first, then what nothing else needs.

What is needed is what a manifest names. A view that is open or linked elsewhere keeps its bytes, whatever is removed
here, so a blob may go at any time; a view only while no pull is at work (store/at_work.py) or by the user's own word.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from engine.errors import PathError
from engine.library.leftovers import left_of_versions, named_digests, named_places, places_of, still_there
from engine.library.lookup import manifests
from engine.library.views import original_of
from engine.manifest_record import ModelManifest
from engine.settings import home
from engine.store import layout
from engine.store.at_work import alone
from engine.store.blobs import Blobs
from engine.store.disk import disk_errors
from engine.store.receipts import Receipts


class Removed(msgspec.Struct, frozen=True):
    """Something that is gone, or would be."""

    path: Path
    why: str
    freed_bytes: int


def remove_model(manifest: ModelManifest) -> list[Removed]:
    """Take a model's files, also what earlier versions left, its manifest, and the blobs that no other model needs
    away. The manifest stays until the files are gone, so that what was interrupted can be done again. Raises
    StoreError."""
    manager = manifests()
    models, broken = manager.scan()
    others = [model for model in models if model.model_key != manifest.model_key]
    kept = named_places(others)
    mine = [*places_of(manifest), *left_of_versions([manifest], kept)]
    removed = [one for view in mine if view not in kept for one in take_view(view, "a file of the model")]
    if (original := _original(manifest)) is not None:
        removed += _unlink(original, "the registry's manifest of it")
        _remove_empty(original.parent, layout.registry(home()))
    manager.delete_manifest(manifest.model_key)
    if not broken:  # else nobody knows what those need
        removed += _take_blobs({*named_digests([manifest]), *_earlier([manifest])} - named_digests(others))
    return removed


def remove_replaced(replaced: Sequence[ModelManifest]) -> list[Removed]:
    """Take away what these manifests named and their successors do not: files as they were put there, and the blobs
    of contents that no model has any more. Nothing while a pull is at work, or where a manifest cannot be read: then
    it is left to `jarvis gc`. Raises StoreError."""
    with alone(home()) as is_alone:
        models, broken = manifests().scan() if is_alone and replaced else ([], [])
        if not models or broken:
            return []
        kept = named_places(models)
        gone = {view for old in replaced for view in still_there(old, old.layers)} - kept
        removed = [one for view in sorted(gone) for one in take_view(view, "a file of the version before")]
        return removed + _take_blobs(named_digests(replaced) - named_digests(models))


def take_view(view: Path, why: str) -> list[Removed]:
    """Remove a file of a model, its receipt, and the folders that it leaves empty; nothing where it is gone already.
    Raises StoreError."""
    removed = _unlink(view, why)
    Receipts(layout.receipts(home())).forget(view)
    _remove_empty(view.parent, layout.models(home()))
    return removed


def _take_blobs(digests: Iterable[str]) -> list[Removed]:
    blobs = Blobs(home())
    there = [sha256 for sha256 in sorted(digests) if blobs.path_of(sha256).exists()]
    return [Removed(blobs.path_of(s), "no other model needs it", blobs.remove(s)) for s in there]


def _earlier(models: Iterable[ModelManifest]) -> set[str]:
    return {layer.sha256 for model in models for layer in model.earlier}


def _original(manifest: ModelManifest) -> Path | None:
    try:
        return original_of(manifest)
    except PathError:
        return None


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
