"""A part: the folder of one unfinished file, and the only way from there to a final name.

    <folder>/lock       flock, see part_lock.py
    <folder>/journal    see journal.py; exists before data does
    <folder>/data       preallocated, sparse
    <folder>/rejected-<sha256>   complete content that was not what was asked for, kept for its owner to judge

Whatever happens, a final name appears by one rename of synced data, and nothing else makes one.
"""

import errno
import os
import shutil
from pathlib import Path
from typing import Self

from engine.errors import StoreError
from engine.store.disk import check_space, disk_errors, sync_folder
from engine.store.journal import Header, Journal
from engine.store.part_lock import PartLock, holder_of
from engine.telemetry import Log

_log = Log(__name__)


class Part:
    """An unfinished file under its lock. Close it, or everything stays locked."""

    def __init__(self, folder: Path, lock: PartLock) -> None:
        self.folder = folder
        self.lock = lock
        self.journal: Journal | None = None
        self.fd = -1

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @classmethod
    def try_open(cls, folder: Path) -> Self | None:
        """Lock the folder, making it if need be; None while another process holds it. Raises StoreError."""
        for _ in range(100):
            with disk_errors("make the folder", folder):
                folder.mkdir(parents=True, exist_ok=True)
            try:
                lock = PartLock.try_acquire(folder / "lock")
            except StoreError as exc:
                # The holder before us has just finished and taken the folder away.
                if isinstance(exc.__cause__, FileNotFoundError):
                    continue
                raise
            return cls(folder, lock) if lock else None
        raise StoreError(f"Cannot lock {str(folder)!r}: it keeps vanishing.")

    @staticmethod
    def holder(folder: Path) -> str:
        return holder_of(folder / "lock")

    def resume(self) -> Journal | None:
        """Open what an earlier run left; None where there is nothing that can be trusted."""
        journal = Journal.load(self.folder / "journal")
        if journal is None:
            return None
        try:
            self.fd = self._open_data(os.O_RDWR)
        except FileNotFoundError:
            journal.close()
            return None
        size = os.fstat(self.fd).st_size
        if size != journal.header.size:
            # Allocation was cut short, or somebody touched the file: only segments that are there can be held.
            journal.checks = {
                i: c for i, c in journal.checks.items() if journal.header.grid.span_of(i).stop <= size
            }
            self._allocate(journal.header.size, "sparse")
        self.journal = journal
        return journal

    def start(self, header: Header | None, size: int | None, allocate: str) -> None:
        """Begin anew: journal first, then the data file. Without header nothing can be resumed later.
        size None: the file grows as it comes. Raises NoSpace before anything is written."""
        self.discard()
        check_space(self.folder, size or 0)
        if header is not None:
            self.journal = Journal.create(self.folder / "journal", header)
        self.fd = self._open_data(os.O_RDWR | os.O_CREAT | os.O_EXCL)
        if size:
            self._allocate(size, allocate)

    def discard(self) -> None:
        """Forget what was received: data first, so that no journal ever vouches for data that is gone."""
        self._close_files()
        with disk_errors("clear", self.folder):
            self.data.unlink(missing_ok=True)
            (self.folder / "journal").unlink(missing_ok=True)

    def truncate(self, size: int) -> None:
        """Give the data file its size, once it is known."""
        with disk_errors("resize", self.data):
            os.ftruncate(self.fd, size)

    def sync(self) -> None:
        """Make all data durable. An error here is final: the kernel forgets the pages that it failed to write."""
        with disk_errors("sync", self.data):
            os.fdatasync(self.fd)

    def finish(self, target: Path, *, sync: bool = True) -> os.stat_result:
        """Sync, rename to target, sync both folders, clean up. All writers must have closed the file before.
        Returns the final file's stat. Raises StoreError; the part is then still whole."""
        with disk_errors("finish", target):
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
            if sync:
                os.fsync(self.fd)
            self._move(target)
            if sync:
                sync_folder(target.parent)
                sync_folder(self.folder)
        stat = os.fstat(self.fd)
        self.remove()
        return stat

    def set_aside(self, sha256: str) -> Path:
        """Keep complete but unwanted content under a name that no run mistakes for progress. Returns it."""
        self._close_files()
        kept = self.folder / f"rejected-{sha256}"
        with disk_errors("set aside", self.data):
            self.data.replace(kept)
            (self.folder / "journal").unlink(missing_ok=True)
        return kept

    def adopt(self, sha256: str) -> bool:
        """Take content that was once set aside, if it is what is asked for now."""
        kept = self.folder / f"rejected-{sha256}"
        if not kept.is_file() or kept.is_symlink():
            return False
        self.discard()
        with disk_errors("take up", kept):
            kept.replace(self.data)
            self.fd = self._open_data(os.O_RDWR)
        return True

    def remove(self) -> None:
        """Take the whole folder away, then let go of the lock."""
        self._close_files()
        for name in self.folder.iterdir():
            if name.name != "lock":
                name.unlink()
        self.lock.release(remove=True)
        try:
            self.folder.rmdir()
        except OSError:
            pass  # somebody else is about to lock it: theirs now

    def close(self) -> None:
        """Let go and leave everything for the next run; an empty folder goes. May be called twice."""
        self._close_files()
        if self.lock.fd < 0:
            return
        is_empty = [entry.name for entry in os.scandir(self.folder)] == ["lock"]
        self.lock.release(remove=is_empty)
        if is_empty:
            try:
                self.folder.rmdir()
            except OSError:
                pass  # somebody else is about to lock it: theirs now

    def _open_data(self, flags: int) -> int:
        with disk_errors("open", self.data):
            try:
                return os.open(self.data, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            except FileNotFoundError:
                if flags & os.O_CREAT:
                    raise
        raise FileNotFoundError(self.data)

    def _allocate(self, size: int, allocate: str) -> None:
        with disk_errors("allocate", self.data):
            os.ftruncate(self.fd, size)
            if allocate == "full":
                os.posix_fallocate(self.fd, 0, size)

    def _move(self, target: Path) -> None:
        try:
            self.data.replace(target)
        except OSError as exc:
            if exc.errno != errno.EXDEV:
                raise
            # The store's folders may lie on different file systems; the copy gets its name by a rename too.
            copy = target.with_name(f".{target.name[:200]}.{os.getpid()}.copy")
            shutil.copyfile(self.data, copy)
            with copy.open("rb") as file:
                os.fsync(file.fileno())
            copy.replace(target)

    def _close_files(self) -> None:
        if self.journal is not None:
            self.journal.close()
            self.journal = None
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
