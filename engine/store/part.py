"""A part: the folder of one unfinished file, and the only way from there to a final name.

    <folder>/lock       flock, see part_lock.py
    <folder>/journal    see journal.py; exists before data does
    <folder>/pieces     see pieces.py; only while somebody pulls, or after a kill
    <folder>/data       preallocated, sparse
    <folder>/rejected-<sha256>   complete content that was not what was asked for, kept for its owner to judge

Whatever happens, a final name appears by one rename of synced data, and nothing else makes one.
"""

import errno
import os
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

from engine.errors import StoreError
from engine.regular_file import open_regular
from engine.store.disk import (
    UNSUPPORTED,
    check_space,
    close_quietly,
    disk_errors,
    make_folders,
    sync_folder,
    write_all,
)
from engine.store.journal import Header, Journal
from engine.store.part_lock import PartLock, content_of, holder_of, is_locked
from engine.store.pieces import PIECES, Pieces
from engine.telemetry import Log

_log = Log(__name__)
_MAX_TRIES = 1000
"""To make and lock a folder that others finish and take away at the same time."""


class Part:
    """An unfinished file under its lock. Close it, or everything stays locked."""

    def __init__(self, folder: Path, lock: PartLock, *, is_fresh: bool = False) -> None:
        self.folder = folder
        self._is_made = is_fresh
        self._is_bare = False
        """Nothing but the lock is left."""
        self.data = folder / "data"
        self.lock = lock
        self.journal: Journal | None = None
        self.pieces: Pieces | None = None
        """Where lanes note what the journal does not name yet, of a part with a journal."""
        self.fd = -1

    @classmethod
    def try_open(cls, folder: Path, content: str = "") -> Self | None:
        """Lock the folder, making it if need be; None while another process holds it. Raises StoreError."""
        for _ in range(_MAX_TRIES):
            with disk_errors("make the folder", folder):
                is_fresh = _make(folder)
            try:
                lock = PartLock.try_acquire(folder / "lock", content)
            except StoreError as exc:
                # The holder before us has just finished and taken the folder away.
                if isinstance(exc.__cause__, FileNotFoundError):
                    continue
                raise
            return cls(folder, lock, is_fresh=is_fresh) if lock else None
        raise StoreError(
            f"Cannot lock {str(folder)!r}: it keeps vanishing. "
            "Check that no folder above it is a link that leads nowhere."
        )

    @staticmethod
    def holder(folder: Path) -> str:
        return holder_of(folder / "lock")

    @staticmethod
    def is_held(folder: Path) -> bool:
        """Whether somebody is at work on it; looking leaves no trace. Raises StoreError."""
        return is_locked(folder / "lock")

    @staticmethod
    def held_for(folder: Path) -> str:
        """What the holder gave as content; "" where it has not said it yet."""
        return content_of(folder / "lock")

    @property
    def is_fresh(self) -> bool:
        """Whether nobody has left anything here."""
        return self._is_made or self._entries() == ["lock"]

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left but what a finished file leaves behind where its pull was killed after the rename."""
        return set(self._entries()) <= {"lock", "journal", PIECES}

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
        except BaseException:
            journal.close()
            raise
        size = os.fstat(self.fd).st_size
        if size != journal.header.size:
            # Allocation was cut short, or somebody touched the file: only segments that are there can be held.
            journal.checks = {
                i: c for i, c in journal.checks.items() if journal.header.grid.span_of(i).stop <= size
            }
            self._allocate(journal.header.size, "sparse")
        self._keep(journal)
        return journal

    def start(self, header: Header | None, size: int | None, allocate: str) -> None:
        """Begin anew: journal first, then the data file. Without header nothing can be resumed later.
        size None: the file grows as it comes. Raises NoSpace before anything is written."""
        self.discard()
        check_space(self.folder, size or 0)
        if header is not None:
            self._keep(Journal.create(self.folder / "journal", header))
        self.fd = self._open_data(os.O_RDWR | os.O_CREAT | os.O_EXCL)
        if size:
            self._allocate(size, allocate)

    def _keep(self, journal: Journal) -> None:
        self.journal = journal
        self.pieces = Pieces.create(self.folder / PIECES, journal.seed)

    def forget_pieces(self) -> None:
        """All that lanes have written is in the journal now."""
        if self.pieces is not None:
            self.pieces.close()
            self.pieces = None
            _unlink(self.folder / PIECES)

    def write_whole(self, data: bytes) -> None:
        """All of a small file at once, in a part that nothing was received into. Raises StoreError; what did not get
        there whole is of no use to anybody, and goes."""
        with disk_errors("write", self.data):
            if self.fd < 0:
                self.fd = self._open_fresh()
            try:
                write_all(self.fd, data, 0)
            except OSError:
                self.discard()
                raise

    def _open_fresh(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        try:
            return open_regular(self.data, flags)
        except FileExistsError:
            self.discard()
            return open_regular(self.data, flags)

    def discard(self) -> None:
        """Forget what was received: data first, so that no journal ever vouches for data that is gone."""
        self._close_files()
        with disk_errors("clear", self.folder):
            for path in (self.data, self.folder / "journal", self.folder / PIECES):
                path.unlink(missing_ok=True)

    def truncate(self, size: int) -> None:
        """Give the data file its size, once it is known."""
        with disk_errors("resize", self.data):
            os.ftruncate(self.fd, size)

    def sync(self) -> None:
        """Make all data durable. An error here is final: the kernel forgets the pages that it failed to write."""
        with disk_errors("sync", self.data):
            os.fdatasync(self.fd)

    def finish(
        self, target: Path, *, sync: bool = True, witness: Callable[[os.stat_result], None] | None = None
    ) -> os.stat_result:
        """Sync, rename to target, sync both folders, clean up. All writers must have closed the file before.
        Returns the final file's stat, and shows it to witness. Raises StoreError; the part is then still whole,
        unless it was the last sync. Its steps, for whoever takes them with many parts at once, are below."""
        self.check_for(target)
        if sync:
            self.sync_for(target)
        final = self.place(target)
        if sync:
            with disk_errors("finish", target):
                for folder in self.folders_to_sync(target):
                    sync_folder(folder)
        self.leave_behind(final, witness)
        return final

    def check_for(self, target: Path, size: int | None = None) -> None:
        """Before the rename: there is a folder for it, nothing is in the way, and what is renamed is what was
        written."""
        with disk_errors("finish", target):
            if not target.parent.is_dir():
                make_folders(target.parent)
            if target.is_dir():
                raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
            self._check_data(target, size)

    def begin_sync(self) -> None:
        """Let the disk begin; whoever syncs many files later waits for one journal, not for each."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_DONTNEED)  # dirty pages are written back, and stay

    def sync_for(self, target: Path) -> None:
        """The data is durable before it gets its name."""
        with disk_errors("finish", target):
            os.fsync(self.fd)

    def place(self, target: Path) -> os.stat_result:
        """The one rename. Returns the final file's stat."""
        with disk_errors("finish", target):
            self._move(target)
            self._is_bare = self._is_made and self.journal is None
            return os.lstat(target)

    def folders_to_sync(self, target: Path) -> tuple[Path, ...]:
        """Those that make the rename durable. A part without a journal is no promise to anybody, so it may well
        come back after a power cut: whoever begins there clears it."""
        return (target.parent, self.folder) if self.journal is not None else (target.parent,)

    def leave_behind(
        self, final: os.stat_result, witness: Callable[[os.stat_result], None] | None = None
    ) -> None:
        """Clean up, after witness has seen the final stat while the lock is still held: whoever waits for that must
        find the receipt."""
        try:
            if witness is not None:
                witness(final)
        finally:
            self.remove()

    def set_aside(self, sha256: str) -> Path:
        """Keep complete but unwanted content under a name that no run mistakes for progress. Returns it."""
        self._close_files()
        kept = self.folder / f"rejected-{sha256}"
        with disk_errors("set aside", self.data):
            self.data.replace(kept)
            for name in ("journal", PIECES):
                (self.folder / name).unlink(missing_ok=True)
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
        """Take away what is ours, then let go of the lock; the folder goes unless somebody has put something there.
        May be called twice."""
        self._close_files()
        if self.lock.fd < 0:
            return
        for name in [] if self._is_bare else self._entries():
            if name in ("journal", PIECES, "data") or name.startswith("rejected-"):
                _unlink(self.folder / name)
        self._leave(is_empty=True)

    def close(self) -> None:
        """Let go and leave everything for the next run; an empty folder goes. May be called twice."""
        self._close_files()
        if self.lock.fd >= 0:
            self._leave(is_empty=self._entries() == ["lock"])

    def _leave(self, *, is_empty: bool) -> None:
        self.lock.release(remove=is_empty)
        if is_empty:
            try:
                self.folder.rmdir()
            except OSError:
                pass  # somebody else is about to lock it, or has put something there: theirs now

    def _entries(self) -> list[str]:
        try:
            return os.listdir(self.folder)  # noqa: PTH208 - names are all that is needed
        except OSError:
            return []  # somebody has taken it away under us

    def _open_data(self, flags: int) -> int:
        with disk_errors("open", self.data):
            try:
                return open_regular(self.data, flags)
            except FileNotFoundError:
                if flags & os.O_CREAT:
                    raise
        raise FileNotFoundError(self.data)

    def _allocate(self, size: int, allocate: str) -> None:
        with disk_errors("allocate", self.data):
            os.ftruncate(self.fd, size)
            if allocate == "full":
                self._reserve(size)

    def _reserve(self, size: int) -> None:
        try:
            os.posix_fallocate(self.fd, 0, size)
        except OSError as exc:
            if exc.errno not in UNSUPPORTED:
                raise
            _log.warning("part.unreserved", path=str(self.data), error=exc.strerror or "")

    def _check_data(self, target: Path, size: int | None) -> None:
        """What is renamed is a path, what was received and hashed is a descriptor: they must be one file."""
        mine, there = os.fstat(self.fd), os.lstat(self.data)
        if (mine.st_dev, mine.st_ino) != (there.st_dev, there.st_ino):
            raise StoreError(
                f"{str(self.data)!r} has been replaced while it was written, so {str(target)!r} was not made from it. "
                "Find out who else writes there, and run the same command again."
            )
        if size is not None and mine.st_size != size:
            raise StoreError(
                f"{str(self.data)!r} has {mine.st_size} bytes, but {size} were written: somebody else writes there. "
                "Find out who, and run the same command again."
            )

    def _move(self, target: Path) -> None:
        try:
            self.data.replace(target)
        except OSError as exc:
            if exc.errno != errno.EXDEV:
                raise
            # The store's folders may lie on different file systems; the copy gets its name by a rename too.
            copy = target.with_name(f".jarvis-{os.getpid()}-{threading.get_ident()}.copy")
            try:
                shutil.copyfile(self.data, copy)
                with copy.open("rb") as file:
                    os.fsync(file.fileno())
                copy.replace(target)
            except BaseException:
                copy.unlink(missing_ok=True)
                raise

    def _close_files(self) -> None:
        if self.journal is not None:
            self.journal.close()
            self.journal = None
        if self.pieces is not None:
            self.pieces.close()
            self.pieces = None
        if self.fd >= 0:
            close_quietly(self.fd)
            self.fd = -1


def _make(folder: Path) -> bool:
    """mkdir -p, also while somebody takes the folder away: mkdir finds it, and a moment later it is gone. Whether it
    was made just now.
    A link to a folder is none: what we write and take away there would be somebody else's."""
    try:
        try:
            folder.mkdir()
        except FileNotFoundError:
            make_folders(folder.parent)
            folder.mkdir()
    except FileExistsError:
        _check_folder(folder)
        return False
    return True


def _check_folder(folder: Path) -> None:
    # One look only: between two, the next holder may have made the folder or taken it away.
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode):
        number = errno.ELOOP if stat.S_ISLNK(found.st_mode) else errno.ENOTDIR
        raise OSError(number, os.strerror(number))


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        _log.warning("part.leftover", path=str(path), error=str(exc))
