"""Which repositories, revisions and files a folder holds. Knows nothing of any protocol; blocks on the disk.

`root` holds `<namespace>/<repository>/<files>`, or `<repository>/<files>` where files lie directly in a
first-level folder. A repository has one branch, `main`, and its commit is a name for its present listing:
SHA-1 over the names, sizes and modification times, so it is the same after a restart and another one after
a change. Commits that were handed out are remembered, so a client that pinned one goes on reading its
unchanged files while others come and go; a file that has changed is never served under an old commit.

Nothing outside of root is ever opened: links are followed only to regular files inside it, linked
folders not at all. Hidden are names that begin with a dot (but for .gitattributes and its kin), unfinished
downloads, and names that no careful client would take (RemoteName).
"""

import hashlib
import os
import re
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from engine.errors import PathError, UsageError
from engine.remote_file import RemoteName
from engine.telemetry import Log

_log = Log("engine.server.catalogue")
_HIDDEN = re.compile(r"\.(?!git(?:attributes|ignore|keep)$).*|.*\.jarvis-[a-z]+|.*\.incomplete", re.DOTALL)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_BRANCHES = ("main", "refs/heads/main")
_REMEMBERED = 16
"""Commits kept for each repository."""
_FRESH_S = 1.0
"""A listing may be so old when one file of `main` is asked for: lanes come hundreds of times a second."""


class Missing(LookupError):
    """There is no such repository, revision or file (`kind`); the message is fit for a person."""

    def __init__(
        self, kind: Literal["repository", "revision", "entry"], message: str, commit: str | None = None
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.commit = commit
        """Of the listing in which an entry was looked for."""


class Unsettled(Exception):
    """A file changes while it is read; asking again later may help."""


class Stamp(msgspec.Struct, frozen=True):
    """What tells one state of a file from another without reading it."""

    device: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class Entry(msgspec.Struct, frozen=True):
    """A file of a repository as its listing saw it."""

    name: RemoteName
    path: str
    """Where it is: absolute, links resolved, inside root."""
    stamp: Stamp

    @property
    def size(self) -> int:
        return self.stamp.size

    def open(self) -> BinaryIO:
        """Open for reading; the caller closes it. Raises Unsettled when it is no longer the listed file."""
        # NOFOLLOW and the stamp: whoever swaps the file for a link meanwhile gains nothing.
        # NONBLOCK: nor for a FIFO, which would wait here for its writer.
        flags = (
            os.O_RDONLY
            | getattr(os, "O_NOFOLLOW", 0)
            | getattr(os, "O_NONBLOCK", 0)
            | getattr(os, "O_BINARY", 0)
        )
        try:
            descriptor = os.open(self.path, flags)
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise Unsettled(f"{self.name} has just gone") from exc
        except OSError as exc:
            if Path(self.path).is_symlink():
                raise Unsettled(f"{self.name} has just been replaced") from exc
            raise
        file = os.fdopen(descriptor, "rb", buffering=0)
        if not self.is_in(file):
            file.close()
            raise Unsettled(f"{self.name} has just changed")
        return file

    def is_in(self, file: BinaryIO) -> bool:
        """Whether an open file still is what the listing saw."""
        status = os.fstat(file.fileno())
        return stat.S_ISREG(status.st_mode) and Stamp.of(status) == self.stamp


class Listing(msgspec.Struct, frozen=True):
    """One state of one repository."""

    repository: str
    commit: str
    entries: dict[str, Entry]
    """By name, in the order of names."""

    @property
    def mtime_ns(self) -> int:
        return max((entry.stamp.mtime_ns for entry in self.entries.values()), default=0)


_NOTHING: OrderedDict[str, Listing] = OrderedDict()


class Catalogue:
    """The repositories under root. Safe to use from several threads."""

    def __init__(self, root: Path) -> None:
        """Raises UsageError when root is not a folder that can be listed."""
        try:
            with os.scandir(root):
                self.root = Path(os.path.realpath(root))
        except OSError as exc:
            raise UsageError(
                f"Cannot serve {str(root)!r}: {exc.strerror}. "
                "Name a folder that holds <namespace>/<repository>/<files>."
            ) from exc
        self._lock = threading.Lock()
        self._history: dict[str, OrderedDict[str, Listing]] = {}
        self._latest: dict[str, tuple[float, Listing]] = {}

    def repositories(self) -> list[str]:
        """The names of all repositories, sorted."""
        found = []
        for first in _folders(self.root):
            if _holds_files(self.root / first):
                found.append(first)
            found += [f"{first}/{second}" for second in _folders(self.root / first)]
        return sorted(name for name in found if self._folder_of(name))

    def listing(self, repository: str, revision: str = "main", *, max_age_s: float = 0.0) -> Listing:
        """The state that revision names: the branch, or a commit that is or was handed out. Raises Missing.

        With max_age_s the disk is only looked at when nothing younger is known.
        """
        with self._lock:
            known = self._history.get(repository, _NOTHING).get(revision)
            seen_at, latest = self._latest.get(repository, (0.0, None))
        if known and max_age_s:
            return known
        if revision not in _BRANCHES and not is_commit(revision):
            self._scan(repository)  # an unknown repository is what a client wants to be told first
            raise _unknown_revision(repository, revision)
        if revision in _BRANCHES and latest and time.monotonic() - seen_at < max_age_s:
            return latest
        current = self._scan(repository)
        if revision in (*_BRANCHES, current.commit):
            return current
        if known:
            return known
        raise _unknown_revision(repository, revision)

    def find(self, repository: str, revision: str, name: RemoteName) -> tuple[Listing, Entry, BinaryIO]:
        """A file, opened; the caller closes it. Raises Missing, Unsettled."""
        listing = self.listing(repository, revision, max_age_s=_FRESH_S)
        try:
            return _opened(listing, name)
        except (Missing, Unsettled):
            if revision not in _BRANCHES:
                return _opened(self._unchanged(listing, name), name)
        return _opened(self.listing(repository, revision), name)

    def _unchanged(self, pinned: Listing, name: RemoteName) -> Listing:
        """The pinned listing, or Missing when its file is not there any more in that state."""
        if name in pinned.entries and self._scan(pinned.repository).entries.get(name) != pinned.entries[name]:
            raise Missing(
                "revision",
                f"{name} has changed since revision {pinned.commit} of {pinned.repository}. "
                "Ask for main again.",
            )
        return pinned

    def _scan(self, repository: str) -> Listing:
        """Look at the disk, and remember what was seen. Raises Missing."""
        folder = self._folder_of(repository)
        if folder is None:
            raise Missing("repository", f"There is no model {repository[:200]!r} on this server.")
        found = sorted(self._walk(folder, ""), key=lambda entry: entry.name)
        entries: dict[str, Entry] = {entry.name: entry for entry in found}
        state = hashlib.sha1(usedforsecurity=False)
        for entry in entries.values():
            state.update(f"{entry.name}\0{entry.size}\0{entry.stamp.mtime_ns}\n".encode())
        listing = Listing(repository, state.hexdigest(), entries)
        with self._lock:
            past = self._history.setdefault(repository, OrderedDict())
            past[listing.commit] = listing
            past.move_to_end(listing.commit)
            while len(past) > _REMEMBERED:
                past.popitem(last=False)
            self._latest[repository] = (time.monotonic(), listing)
        return listing

    def _folder_of(self, repository: str) -> str | None:
        """Where the repository lies, or None when it is none that may be shown."""
        parts = repository.split("/")
        if len(parts) > 2 or not all(len(part) < 256 and _is_shown(part) for part in parts):
            return None
        folder = os.path.realpath(self.root.joinpath(*parts))
        if not self._contains(folder) or not Path(folder).is_dir():
            return None
        return folder if len(parts) == 2 or _holds_files(Path(folder)) else None

    def _contains(self, path: str) -> bool:
        """Whether a resolved path lies in root and no part of it is hidden."""
        inside = Path(path)
        return inside.is_relative_to(self.root) and all(
            _is_shown(part) for part in inside.relative_to(self.root).parts
        )

    def _walk(self, folder: str, prefix: str) -> Iterator[Entry]:
        try:
            with os.scandir(folder) as found:
                items = [item for item in found if _is_shown(item.name)]
        except OSError as exc:
            _log.warning("folder.skipped", folder=folder, cause=str(exc.strerror))
            return
        for item in items:
            if item.is_dir(follow_symlinks=False):
                yield from self._walk(item.path, f"{prefix}{item.name}/")
            elif entry := self._entry(item, prefix + item.name):
                yield entry

    def _entry(self, item: os.DirEntry[str], text: str) -> Entry | None:
        try:
            name = RemoteName.parse(text)
            path = os.path.realpath(item.path) if item.is_symlink() else item.path
            status = Path(path).lstat()
        except (OSError, PathError) as exc:
            _log.debug("file.skipped", file=text, cause=str(exc))
            return None
        if not stat.S_ISREG(status.st_mode) or (item.is_symlink() and not self._contains(path)):
            return None
        return Entry(name, path, Stamp.of(status))


def _opened(listing: Listing, name: RemoteName) -> tuple[Listing, Entry, BinaryIO]:
    entry = listing.entries.get(name)
    if entry is None:
        message = f"There is no file {name[:200]!r} in {listing.repository} at {listing.commit}."
        raise Missing("entry", message, listing.commit)
    return listing, entry, entry.open()


def is_commit(revision: str) -> bool:
    """Whether a revision is written as a commit's whole name."""
    return _COMMIT.fullmatch(revision) is not None


def _unknown_revision(repository: str, revision: str) -> Missing:
    return Missing("revision", f"There is no revision {revision[:200]!r} of {repository}; there is main.")


@lru_cache(maxsize=16384)
def _is_shown(part: str) -> bool:
    if _HIDDEN.fullmatch(part):
        return False
    try:
        return "/" not in RemoteName.parse(part)
    except PathError:
        return False


def _folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as found:
            return [item.name for item in found if _is_shown(item.name) and item.is_dir()]
    except OSError:
        return []  # a folder that cannot be read is one that is not shown


def _holds_files(folder: Path) -> bool:
    try:
        with os.scandir(folder) as found:
            return any(_is_shown(item.name) and item.is_file() for item in found)
    except OSError:
        return False
