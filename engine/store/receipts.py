"""Receipts: what success leaves. They make a second pull instant and any file that we made verifiable.

One JSON file per final path (docs/formats.md), named by the SHA-256 of the absolute path. A receipt speaks
for the file only while size, inode and modification time are the same; when they are not, hash again.
"""

import hashlib
import os
import re
import threading
from pathlib import Path

import msgspec

from engine.digest import Digest
from engine.errors import PathError
from engine.regular_file import read_small
from engine.spans import Grid
from engine.store.disk import disk_errors, write_all
from engine.store.journal import CHECK

_NEVER = -(2**63)
"""A modification time that no file has."""


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
    """Absolute. In the file, bytes that are no UTF-8 are written as \\xff: it is for people, the file's name tells."""
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

    @property
    def folder(self) -> Path:
        return self._folder

    def find(self, path: Path) -> Receipt | None:
        """The receipt for path, whether it still fits or not; None where there is none that can be read."""
        text = str(path.absolute())
        try:
            receipt = msgspec.json.decode(read_small(self._place(text)), type=Receipt)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if not _makes_sense(receipt):
            return None
        return receipt if receipt.path == text else msgspec.structs.replace(receipt, path=text)

    def prepare(self) -> None:
        """Make the folder, and raise StoreError where nothing can be written to it: a pull finds out before its
        first byte, not after its last."""
        with disk_errors("write receipts below JARVIS_HOME, into", self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            probe = self._folder / f".{os.getpid()}-{threading.get_ident()}.probe"
            os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            probe.unlink(missing_ok=True)

    def write(self, receipt: Receipt) -> None:
        """Replace the receipt for its path; atomic. A lost receipt costs a hash run, so nothing is synced."""
        place = self._place(receipt.path)
        with disk_errors("write the receipt", place):
            fresh = f"{place}.{os.getpid()}.tmp"
            shown = os.fsencode(receipt.path).decode("utf-8", "backslashreplace")
            if shown != receipt.path:
                receipt = msgspec.structs.replace(receipt, path=shown)
            fd = self._open_fresh(fresh)
            try:
                write_all(fd, msgspec.json.encode(receipt), 0)
            finally:
                os.close(fd)
            os.replace(fresh, place)  # noqa: PTH105 - see _place

    def _open_fresh(self, path: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(path, flags, 0o666)
        except FileNotFoundError:
            self._folder.mkdir(parents=True, exist_ok=True)
            return os.open(path, flags, 0o666)

    def doubt(self, path: Path) -> None:
        """From now on the receipt for path vouches for no file, but still tells which segments have changed."""
        if receipt := self.find(path):
            self.write(msgspec.structs.replace(receipt, path=str(path.absolute()), mtime_ns=_NEVER))

    def forget(self, path: Path) -> None:
        """Without error where there is none. Raises StoreError."""
        place = self._place(str(path.absolute()))
        with disk_errors("remove the receipt", place):
            Path(place).unlink(missing_ok=True)

    def _place(self, path: str) -> str:
        """Where the receipt of an absolute path lies. No Paths: a pull of a thousand files comes by here often."""
        return f"{self._folder}/{hashlib.sha256(os.fsencode(path)).hexdigest()}.json"


def _makes_sense(receipt: Receipt) -> bool:
    """Whether it is of this format and version, and its figures agree with each other."""
    try:
        for digest in (receipt.sha256, receipt.digest):
            if digest is not None:
                Digest.parse(digest)
    except PathError:
        return False
    if (receipt.format, receipt.version) != ("jarvis-receipt", 1) or receipt.size < 0:
        return False
    checks = receipt.checks
    if checks is None:
        return True
    if checks.algorithm != CHECK or checks.segment_size <= 0:
        return False
    count = Grid(receipt.size, checks.segment_size).count
    return len(checks.values) == 16 * count and re.fullmatch("[0-9a-f]*", checks.values) is not None


def hex_values(checks: dict[int, int], count: int) -> str:
    """Checks of all segments in order, as a receipt keeps them."""
    return "".join(f"{checks[index]:016x}" for index in range(count))
