"""`jarvis gc`: mark what manifests name, sweep the rest of what is ours.

Swept are files that earlier versions of models left below llm/, those of pulls that never ended, blobs that no manifest
names and no view holds, partial downloads that nobody goes on with, and scraps of killed writers. Safe beside a pull:
touched only while none is at work, a blob only when it is older than the grace period, a partial only unlocked.
"""

import os
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.errors import StoreError
from engine.library.leftovers import left_of_pulls, left_of_versions, named_digests, named_places
from engine.library.lookup import manifests
from engine.library.removal import Removed, take_view
from engine.library.scraps import scraps
from engine.manifest_record import ModelManifest
from engine.settings import home
from engine.store import layout
from engine.store.at_work import alone
from engine.store.blobs import Blobs
from engine.store.disk import disk_errors
from engine.store.part import Part

GRACE_S = 3600.0
"""A pull names its blobs in a manifest when its last file is done; so long it may take from the first one."""
STALE_S = 14 * 86400.0
"""Partial downloads and models that nobody has gone on with."""


class Sweep(msgspec.Struct, frozen=True):
    """What a sweep took, or would take."""

    removed: list[Removed]
    faults: list[StoreError]
    """Of unfinished files that could not be looked at or removed; each cost nothing but itself."""
    was_alone: bool
    """Whether no pull was at work; else files below llm/ were left be."""


def collect(*, dry_run: bool = False, grace_s: float = GRACE_S, stale_s: float = STALE_S) -> Sweep:
    """Sweep the store. Raises StoreError, also where a manifest cannot be read: nobody knows what it needs."""
    with alone(home()) as is_alone:
        models, broken = manifests().scan()
        if broken:
            raise StoreError(
                f"Nothing was swept: {str(broken[0].path)!r} cannot be read as a manifest ({broken[0].why}), so "
                "nobody knows which contents it needs. Remove it, or pull its model again."
            )
        views, loosened = _sweep_views(models, stale_s, dry_run=dry_run) if is_alone else ([], Counter[int]())
        views += _sweep_scraps(stale_s, dry_run=dry_run)
        swept = views + _sweep_blobs(named_digests(models), loosened, grace_s, dry_run=dry_run)
        partials, faults = _sweep_partials(stale_s, dry_run=dry_run)
        return Sweep(swept + partials, faults, is_alone)


def _sweep_views(
    models: list[ModelManifest], stale_s: float, *, dry_run: bool
) -> tuple[list[Removed], Counter[int]]:
    """What is taken, and how many names each file loses by that, by inode."""
    kept = named_places(models)
    old = left_of_versions(models, kept)
    reasons = dict.fromkeys(left_of_pulls(kept, stale_s), "of a pull that nobody has gone on with")
    reasons |= dict.fromkeys(old, "a file of an earlier version")
    removed, loosened = list[Removed](), Counter[int]()
    for view, why in sorted(reasons.items()):
        with disk_errors("look at", view):
            stat = view.lstat()
        loosened[stat.st_ino] += 1
        removed += [Removed(view, why, _freed(stat, loosened))] if dry_run else take_view(view, why)
    return removed, loosened


def _sweep_blobs(marked: set[str], loosened: Counter[int], grace_s: float, *, dry_run: bool) -> list[Removed]:
    blobs, now, swept = Blobs(home()), time.time(), list[Removed]()
    for path in sorted(blobs.all()):
        sha256 = path.name.removeprefix("sha256-")
        with disk_errors("look at", path):
            stat = path.lstat()
        if sha256 in marked or stat.st_nlink - (loosened[stat.st_ino] if dry_run else 0) > 1:
            continue  # it has a view: a pull is still at the rest
        is_young = now - max(stat.st_mtime, stat.st_ctime) < grace_s
        if is_young and not loosened[stat.st_ino]:  # losing a name has made it look young
            continue
        freed = stat.st_blocks * 512 if dry_run else blobs.remove(sha256)
        swept.append(Removed(path, "no model needs it", freed))
    return swept


def _sweep_scraps(stale_s: float, *, dry_run: bool) -> list[Removed]:
    swept = list[Removed]()
    for path in scraps(home(), stale_s):
        with disk_errors("sweep", path):
            swept.append(Removed(path, "what a killed command has left", path.lstat().st_blocks * 512))
            if not dry_run:
                path.unlink(missing_ok=True)
    return swept


def _freed(stat: os.stat_result, loosened: Counter[int]) -> int:
    """What the last name of a file gives back; the others give nothing."""
    return stat.st_blocks * 512 if stat.st_nlink <= loosened[stat.st_ino] else 0


def _sweep_partials(stale_s: float, *, dry_run: bool) -> tuple[list[Removed], list[StoreError]]:
    before, swept, faults = time.time() - stale_s, list[Removed](), list[StoreError]()
    for folder in _folders(layout.partials(home())):
        try:
            with disk_errors("sweep", folder), suppress(FileNotFoundError):  # its pull has just ended
                swept += _sweep_partial(folder, before, dry_run=dry_run)
        except StoreError as exc:
            faults.append(exc)
    return swept, faults


def _sweep_partial(folder: Path, before: float, *, dry_run: bool) -> list[Removed]:
    files = [path for path in folder.iterdir() if not path.is_symlink() and path.is_file()]
    newest = max((path.stat().st_mtime for path in files), default=folder.stat().st_mtime)
    if newest > before:
        return []
    nbytes = sum(path.stat().st_blocks * 512 for path in files)
    if dry_run:
        if Part.is_held(folder):
            return []
    elif (part := Part.try_open(folder)) is not None:
        part.remove()
    else:
        return []  # somebody is at it
    return [Removed(folder, "an unfinished file that nobody has gone on with", nbytes)]


def _folders(folder: Path) -> list[Path]:
    """In order. Raises StoreError."""
    with disk_errors("look for unfinished files in", folder):
        try:
            return sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
        except FileNotFoundError:
            return []
