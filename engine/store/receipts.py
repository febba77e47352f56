"""Receipts: what success leaves. They make a second pull instant and any file that we made verifiable.

One JSON file per final path (docs/formats.md), named by the SHA-256 of the absolute path. A receipt speaks
for the file only while size, inode and modification time are the same; when they are not, hash again.
"""

import hashlib
import os
from pathlib import Path

import msgspec

from engine.spans import Grid
from engine.store.disk import disk_errors


class Checks(msgspec.Struct, frozen=True, kw_only=True):
    """Segment checks: 16 hexadecimal digits each, one after the other."""

    algorithm: str
    segment_size: int
    values: str

    def value(self, index: int) -> int:
        return int(self.values[16 * index : 16 * index + 16], 16)


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Proof of one finished file."""

    format: str = "jarvis-receipt"
    version: int = 1
    path: str
    url: str
    """Redacted; `url_hash` tells whether it is the same one."""
    url_hash: int
    revision: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    size: int
    inode: int
    mtime_ns: int
    sha256: str | None
    digest: str | None = None
    """The digest that was promised, where one was."""
    checks: Checks | None = None

    def fits(self, stat: os.stat_result) -> bool:
        """Whether the file is still the one that was verified, as far as its stat can tell."""
        return (self.size, self.inode, self.mtime_ns) == (stat.st_size, stat.st_ino, stat.st_mtime_ns)

    @property
    def grid(self) -> Grid | None:
        return Grid(self.size, self.checks.segment_size) if self.checks else None


class Receipts:
    """The receipts of one store root."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, path: Path) -> Receipt | None:
        """The receipt for path, whether it still fits or not; None where there is none that can be read."""
        try:
            return msgspec.json.decode(self._place(path).read_bytes(), type=Receipt)
        except (OSError, msgspec.DecodeError):
            return None

    def write(self, receipt: Receipt) -> None:
        """Replace the receipt for its path; atomic. A lost receipt costs a hash run, so nothing is synced."""
        place = self._place(Path(receipt.path))
        with disk_errors("write the receipt", place):
            self._folder.mkdir(parents=True, exist_ok=True)
            fresh = place.with_suffix(f".{os.getpid()}.tmp")
            fresh.write_bytes(msgspec.json.encode(receipt))
            fresh.replace(place)

    def forget(self, path: Path) -> None:
        """Without error where there is none."""
        self._place(path).unlink(missing_ok=True)

    def _place(self, path: Path) -> Path:
        name = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()
        return self._folder / f"{name}.json"


def hex_values(checks: dict[int, int], count: int) -> str:
    """Checks of all segments in order, as a receipt keeps them."""
    return "".join(f"{checks[index]:016x}" for index in range(count))
