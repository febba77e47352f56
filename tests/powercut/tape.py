"""What was done to the files below one folder, as operations on inodes and folder entries.

Every operation has the positions of its begin and end in the recording. A sync makes durable what had ended when it
began, and has done so when it has ended.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import msgspec

from engine.store.receipts import Receipt
from tests.powercut.strace import Call, path_of, text_of

ROOT = 0
"""The folder's own inode; it has been there for ever."""


@dataclass(frozen=True)
class Operation:
    begin: float
    end: float


@dataclass(frozen=True)
class Extent(Operation):
    """Bytes written into a file."""

    inode: int
    offset: int
    data: bytes


@dataclass(frozen=True)
class Resize(Operation):
    """A file's new length; what is new is zeros."""

    inode: int
    size: int
    only_grows: bool = False


@dataclass(frozen=True)
class Sync(Operation):
    """Of a file or a folder."""

    inode: int


@dataclass(frozen=True)
class Entry:
    """A name in a folder leads to an inode, or to none any more."""

    folder: int
    name: str
    inode: int | None


@dataclass(frozen=True)
class Change(Operation):
    """Of folder entries; a rename changes two."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Stamp:
    """What a receipt says of the inode that it vouches for, as it was numbered when that was recorded."""

    inode: int
    mtime_ns: int


@dataclass
class Tape:
    """The operations in the order of their ends, and the folders among the inodes."""

    root: Path
    operations: list[Operation] = field(default_factory=list)
    folders: dict[int, dict[str, int]] = field(default_factory=lambda: {ROOT: {}})
    """As they are at the end of the tape."""
    stamps: dict[int, Stamp] = field(default_factory=dict)
    """By the inode of a finished file."""
    stop: float = 0
    """Behind the last line."""
    _awaited: dict[tuple[int, str], Stamp] = field(default_factory=dict)
    """By folder and name: of a receipt that came before its file had the name."""
    _last: int = ROOT
    _positions: dict[str, int] = field(default_factory=dict)
    """Of descriptors that are written in order: by path."""

    def record(self, calls: Iterable[Call]) -> None:
        """Add what calls did. ValueError for one that changes files below root in a way that has no place here."""
        mark = "".join(f"\\x{byte:02x}" for byte in os.fsencode(self.root))
        for call in calls:
            self.stop = max(self.stop, call.begin)
            if call.end < float("inf"):
                self.stop = max(self.stop, call.end)
            if call.result != -1 and any(mark in text for text in (*call.arguments, call.opened)):
                handler = _HANDLERS.get(call.name)
                if handler is None:
                    _refuse(call)
                handler(self, call)

    def find(self, path: str | Path) -> int:
        """The inode at a path, at the end of the tape. KeyError where there is none."""
        inode = ROOT
        for name in Path(path).relative_to(self.root).parts:
            inode = self.folders[inode][name]
        return inode

    @cached_property
    def parents(self) -> dict[int, int]:
        """Of every inode, the folder in which it was first."""
        changes = [entry for op in self.operations if isinstance(op, Change) for entry in op.entries]
        return {entry.inode: entry.folder for entry in reversed(changes) if entry.inode is not None}

    @cached_property
    def turns(self) -> list[Operation]:
        """Those that promise something, or change a name."""
        return [op for op in self.operations if isinstance(op, Change | Sync)]

    def inodes(self, name: str) -> set[int]:
        """Of all files that ever had this name, in whatever folder."""
        changes = (entry for op in self.operations if isinstance(op, Change) for entry in op.entries)
        return {entry.inode for entry in changes if entry.name == name and entry.inode is not None}

    # Steps of what is recorded

    def place(self, path: str) -> tuple[int, str]:
        """The folder's inode and the name."""
        whole = Path(path)
        return self.find(whole.parent), whole.name

    def is_ours(self, path: str | None) -> bool:
        return path is not None and Path(path).is_relative_to(self.root)

    def add(self, operation: Operation) -> None:
        self.operations.append(operation)

    def change(self, call: Call, *entries: Entry) -> None:
        if call.result is None:
            _refuse(call)
        for entry in entries:
            if entry.inode is None:
                del self.folders[entry.folder][entry.name]
            else:
                self.folders[entry.folder][entry.name] = entry.inode
                if (place := (entry.folder, entry.name)) in self._awaited:
                    self.stamps[entry.inode] = self._awaited.pop(place)
        self.add(Change(call.begin, call.end, entries))

    def new_inode(self) -> int:
        self._last += 1
        return self._last

    def whole(self, inode: int) -> bytes:
        """A file as it is when everything reaches the disk."""
        image = bytearray()
        for op in self.operations:
            if isinstance(op, Extent) and op.inode == inode:
                image.extend(bytes(max(0, op.offset + len(op.data) - len(image))))
                image[op.offset : op.offset + len(op.data)] = op.data
            elif isinstance(op, Resize) and op.inode == inode:
                image = resized(image, op)
        return bytes(image)

    def note_receipt(self, inode: int) -> None:
        """A file has got its name among the receipts. It speaks for what has its path and no receipt yet, else for
        what gets the path next."""
        receipt = msgspec.json.decode(self.whole(inode), type=Receipt)
        if self.is_ours(receipt.path):
            folder, name = self.place(receipt.path)
            stamp, there = Stamp(receipt.inode, receipt.mtime_ns), self.folders[folder].get(name)
            if there is None or there in self.stamps:
                self._awaited[folder, name] = stamp
            else:
                self.stamps[there] = stamp

    def rewind(self, path: str) -> None:
        self._positions[path] = 0

    def advance(self, path: str, nbytes: int) -> int:
        """Where a plain write went."""
        at = self._positions[path]
        self._positions[path] = at + nbytes
        return at


def resized(image: bytearray, op: Resize) -> bytearray:
    if op.size >= len(image):
        return image + bytes(op.size - len(image))
    return image if op.only_grows else image[: op.size]


def _refuse(call: Call) -> NoReturn:
    raise ValueError(f"A pull is not known to do this: {call.name}{call.arguments} = {call.result}")


def _named(folder: str, name: str) -> str:
    """A path as a call has it: relative to a descriptor, or absolute."""
    return os.path.join(path_of(folder) or "", os.fsdecode(text_of(name)))  # noqa: PTH118 - as the kernel does


def _open(tape: Tape, call: Call) -> None:
    path, flags = _named(*call.arguments[:2]), call.arguments[2].split("|")
    if not tape.is_ours(path) or "O_DIRECTORY" in flags:
        return
    folder, name = tape.place(path)
    is_new = name not in tape.folders[folder]
    if is_new and "O_CREAT" not in flags:
        raise ValueError(f"Nobody has made {path!r}")
    if is_new:
        tape.change(call, Entry(folder, name, tape.new_inode()))
    elif "O_TRUNC" in flags:
        tape.add(Resize(call.begin, call.end, tape.find(path), 0))
    tape.rewind(path)


def _pwrite(tape: Tape, call: Call) -> None:
    fd, data, _, offset = call.arguments
    if tape.is_ours(path := path_of(fd)):
        written = text_of(data)[: call.result]
        tape.add(Extent(call.begin, call.end, tape.find(path), int(offset), written))


def _write(tape: Tape, call: Call) -> None:
    fd, data, _ = call.arguments
    if tape.is_ours(path := path_of(fd)):
        written = text_of(data)[: call.result]
        tape.add(Extent(call.begin, call.end, tape.find(path), tape.advance(path, len(written)), written))


def _ftruncate(tape: Tape, call: Call) -> None:
    if tape.is_ours(path := path_of(call.arguments[0])):
        tape.add(Resize(call.begin, call.end, tape.find(path), int(call.arguments[1])))


def _fallocate(tape: Tape, call: Call) -> None:
    fd, mode, offset, nbytes = call.arguments
    if mode != "0":
        _refuse(call)
    if tape.is_ours(path := path_of(fd)):
        tape.add(Resize(call.begin, call.end, tape.find(path), int(offset) + int(nbytes), only_grows=True))


def _sync(tape: Tape, call: Call) -> None:
    if tape.is_ours(path := path_of(call.arguments[0])) and call.result is not None:
        tape.add(Sync(call.begin, call.end, tape.find(path)))


def _rename(tape: Tape, call: Call) -> None:
    old, new = (os.fsdecode(text_of(argument)) for argument in call.arguments)
    inode = tape.find(old)
    if (folder_and_name := tape.place(new))[1] in tape.folders[folder_and_name[0]] and tape.find(
        new
    ) == inode:
        return  # rename(2) does nothing with two names of one file
    tape.change(call, Entry(*folder_and_name, inode), Entry(*tape.place(old), None))
    if Path(new).parent.name == "receipts":
        tape.note_receipt(inode)


def _linkat(tape: Tape, call: Call) -> None:
    old, new = _named(*call.arguments[:2]), _named(*call.arguments[2:4])
    tape.change(call, Entry(*tape.place(new), tape.find(old)))


def _remove(tape: Tape, call: Call) -> None:
    tape.change(call, Entry(*tape.place(os.fsdecode(text_of(call.arguments[0]))), None))


def _mkdir(tape: Tape, call: Call) -> None:
    path = os.fsdecode(text_of(call.arguments[0]))
    if tape.is_ours(path):
        inode = tape.new_inode()
        tape.folders[inode] = {}
        tape.change(call, Entry(*tape.place(path), inode))


_HANDLERS: dict[str, Callable[[Tape, Call], None]] = {
    "openat": _open,
    "pwrite64": _pwrite,
    "write": _write,
    "ftruncate": _ftruncate,
    "fallocate": _fallocate,
    "fsync": _sync,
    "fdatasync": _sync,
    "rename": _rename,
    "linkat": _linkat,
    "unlink": _remove,
    "rmdir": _remove,
    "mkdir": _mkdir,
}
