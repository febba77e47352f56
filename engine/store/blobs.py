"""Blobs: verified contents by their SHA-256, each once, for all models and sources.

A blob and the views of it below llm/ share their bytes wherever the file system can (linking.place). What was
imported, or found in another tool's store, may share them with that file, too, which keeps its mode: a file that
turns read-only surprises its owner more than its changes would us, since a receipt notices them. A blob is
believed while its receipt fits it, and hashed again when it does not; one whose content is another is put aside.
"""

import os
from pathlib import Path

import msgspec

from engine.digest import Digest
from engine.store import layout
from engine.store.disk import disk_errors
from engine.store.linking import HARDLINK, place
from engine.store.receipts import Receipt, Receipts
from engine.telemetry import Log

_log = Log(__name__)
_READ_ONLY = 0o444


class Blobs:
    """The blobs of one store root."""

    def __init__(self, root: Path) -> None:
        self._folder = layout.blobs(root)
        self._receipts = Receipts(layout.receipts(root))

    def path_of(self, sha256: str) -> Path:
        """Where a content is kept, whether it is there or not. sha256: 64 hexadecimal digits."""
        return self._folder / f"sha256-{Digest.parse(sha256).hex}"

    def find(self, sha256: str) -> Receipt | None:
        """The receipt of a blob that is there and still what was verified; None for all others."""
        path = self.path_of(sha256)
        try:
            stat = path.lstat()
        except OSError:
            return None
        receipt = self._receipts.find(path)
        return receipt if receipt and receipt.sha256 == sha256 and receipt.fits(stat) else None

    def adopt(self, receipt: Receipt, *, is_ours: bool = True) -> None:
        """Keep the verified file that this receipt is for as a blob; where one of that content is kept already, the
        file becomes a view of it. The blob is read-only, unless it is one file with something of somebody else's: the
        file itself, where it is not ours, or another name that it had before. Raises StoreError."""
        sha256, path = receipt.sha256, Path(receipt.path)
        if sha256 is None:
            return
        kept = self.find(sha256)
        if kept is not None:
            if kept.inode != receipt.inode:
                self.view(kept, path, receipt)
            return
        blob = self.path_of(sha256)
        with disk_errors("keep the blob", blob):
            blob.parent.mkdir(parents=True, exist_ok=True)
            is_free = is_ours and path.lstat().st_nlink == 1
            if place(path, blob) != HARDLINK or is_free:
                blob.chmod(_READ_ONLY)
        self._receipts.write(_moved(receipt, blob))

    def view(self, blob: Receipt, target: Path, known: Receipt | None = None) -> Receipt:
        """Make target a view of a blob, replacing what is there; its receipt. known: what else is known of target.
        Raises StoreError."""
        with disk_errors("make a view of a blob at", target):
            target.parent.mkdir(parents=True, exist_ok=True)
            place(Path(blob.path), target)
        self._receipts.write(fresh := _moved(known or blob, target))
        return fresh

    def all(self) -> list[Path]:
        """Every blob, in no order; what else lies in the folder is nobody's blob."""
        try:
            return [p for p in self._folder.iterdir() if p.name.startswith("sha256-") and len(p.name) == 71]
        except OSError:
            return []

    def remove(self, sha256: str) -> int:
        """Take a blob away; the bytes that this gives back to the disk, as far as links tell. Raises StoreError."""
        path = self.path_of(sha256)
        with disk_errors("remove", path):
            try:
                stat = path.lstat()
            except FileNotFoundError:
                return 0
            path.unlink()
        self._receipts.forget(path)
        return stat.st_blocks * 512 if stat.st_nlink == 1 else 0


def _moved(receipt: Receipt, path: Path) -> Receipt:
    """The same proof for the same content at another path."""
    with disk_errors("look at", path):
        stat = os.lstat(path)
    return msgspec.structs.replace(
        receipt, path=str(path), size=stat.st_size, inode=stat.st_ino, mtime_ns=stat.st_mtime_ns
    )
