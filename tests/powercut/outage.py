"""A power cut: of what was done before its moment, what has reached the disk.

What a sync covers has. Of all else any part may have: bytes in any grains, a file's length, a name. What a file system
promises beyond that differs, so each cut chooses the promises that hold (Manner); none of them is one that POSIX makes.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.powercut.tape import ROOT, Change, Entry, Extent, Operation, Resize, Sync, Tape, resized


@dataclass(frozen=True)
class Manner:
    """Of one cut."""

    data: tuple[float, ...]
    """The chance of a grain of unsynced data, and of a length: each file has one of these."""
    names: float
    """The chance of an unsynced name."""
    grain: int
    """What a disk writes whole: a sector or a page."""
    has_order: bool
    """Names reach the disk in their order, as from a journal."""
    is_atomic: bool
    """A rename's two names change together."""
    follows: bool
    """With a file its name is synced where it is new, and so are those of the folders that lead to it."""
    has_noise: bool
    """A grain that is being written may be neither the old nor the new one."""

    @classmethod
    def choose(cls, rng: random.Random) -> "Manner":
        has_order = rng.random() < 0.4
        return cls(
            data=(0.0, 0.1, 0.5, 0.9, 0.99, 1.0),
            names=rng.choice((0.0, 0.5, 0.9, 1.0, 1.0)),
            grain=rng.choice((512, 4096)),
            has_order=has_order,
            is_atomic=has_order or rng.random() < 0.7,
            follows=rng.random() < 0.5,
            has_noise=rng.random() < 0.2,
        )


@dataclass
class State:
    """A disk: files and folders by inode, as far as a name still leads to them."""

    files: dict[int, bytes] = field(default_factory=dict)
    folders: dict[int, dict[str, int]] = field(default_factory=lambda: {ROOT: {}})
    has_times: set[int] = field(default_factory=set)
    """Files whose last time of change has reached the disk."""

    def walk(self, folder: int = ROOT, path: str = "") -> Iterator[tuple[str, int]]:
        """Every path below the root with its inode, folders before what is in them."""
        for name, inode in self.folders[folder].items():
            yield path + name, inode
            if inode in self.folders:
                yield from self.walk(inode, f"{path}{name}/")


class Outage:
    """At one moment of a tape."""

    def __init__(self, tape: Tape, moment: float, manner: Manner, rng: random.Random) -> None:
        self._tape = tape
        self.moment = moment
        self.manner = manner
        self._rng = rng
        self._kinds = tape.folders.keys()
        self._begun = [op for op in tape.operations if op.begin <= moment]
        self._luck = 0.0
        """Of the file that is looked at."""
        self._syncs: dict[int, float] = {}
        """By inode, when the last sync that has ended began."""
        self._followed: dict[int, float] = {}
        """Likewise, of it or of what lies below it."""
        for op in self._begun:
            if isinstance(op, Sync) and op.end <= moment:
                self._note(op)

    def _note(self, sync: Sync) -> None:
        self._syncs[sync.inode] = max(sync.begin, self._syncs.get(sync.inode, -1))
        inode: int | None = sync.inode
        while inode is not None:
            self._followed[inode] = max(sync.begin, self._followed.get(inode, -1))
            inode = self._tape.parents.get(inode)

    def state(self) -> State:
        """A disk that it may leave."""
        state = State()
        for change in self._changes():
            self._apply(change, state)
        wanted = [inode for _, inode in state.walk()]
        for inode in wanted:
            if inode not in self._kinds and inode not in state.files:
                state.files[inode] = bytes(self._image(inode))
                if self._rng.random() < 0.5:
                    state.has_times.add(inode)
        return state

    def _is_synced(self, inode: int, op: Operation) -> bool:
        return op.end <= self._syncs.get(inode, -1)

    # Names

    def _changes(self) -> Iterator[tuple[Entry, ...]]:
        """Those entries that have reached the disk, in order."""
        begun = [op for op in self._begun if isinstance(op, Change)]
        sure = [any(self._is_sure(op, entry) for entry in op.entries) for op in begun]
        if self.manner.has_order:
            last = max((i for i, is_sure in enumerate(sure) if is_sure), default=-1)
            cut = last if self._rng.random() >= self.manner.names else self._rng.randint(last, len(begun) - 1)
            yield from (op.entries for op in begun[: cut + 1])
        elif self.manner.is_atomic:
            yield from (
                op.entries for op, is_sure in zip(begun, sure, strict=True) if is_sure or self._has_luck()
            )
        else:
            for op in begun:
                yield tuple(entry for entry in op.entries if self._is_sure(op, entry) or self._has_luck())

    def _has_luck(self) -> bool:
        return self._rng.random() < self.manner.names

    def _is_sure(self, op: Change, entry: Entry) -> bool:
        """Whether a sync has made the entry durable."""
        follows = self.manner.follows and entry.inode is not None
        return self._is_synced(entry.folder, op) or (
            follows and op.end <= self._followed.get(entry.inode or 0, -1)
        )

    def _apply(self, entries: tuple[Entry, ...], state: State) -> None:
        for entry in entries:
            names = state.folders.setdefault(entry.folder, {})
            if entry.inode is None:
                names.pop(entry.name, None)
                continue
            names[entry.name] = entry.inode
            if entry.inode in self._kinds:
                state.folders.setdefault(entry.inode, {})

    # Data

    def _image(self, inode: int) -> bytearray:
        image = bytearray()
        self._luck = self._rng.choice(self.manner.data)
        for op in self._begun:
            if isinstance(op, Extent) and op.inode == inode:
                if self._is_synced(inode, op):
                    _put(image, op.offset, op.data)
                else:
                    self._put_some(image, op)
            elif (
                isinstance(op, Resize)
                and op.inode == inode
                and (self._is_synced(inode, op) or self._has_reached())
            ):
                image = resized(image, op)
        return image

    def _has_reached(self) -> bool:
        return self._luck == 1 or (self._luck > 0 and self._rng.random() < self._luck)

    def _put_some(self, image: bytearray, op: Extent) -> None:
        """Each grain has its own luck; the length may stay behind what was written."""
        stop = op.offset + len(op.data)
        if stop > len(image):
            if self._has_reached():
                image.extend(bytes(stop - len(image)))
            stop = min(stop, len(image))
        start = op.offset
        while start < stop:
            edge = min(start // self.manner.grain * self.manner.grain + self.manner.grain, stop)
            if self._has_reached():
                image[start:edge] = op.data[start - op.offset : edge - op.offset]
            elif self.manner.has_noise and self._rng.random() < 0.1:
                image[start:edge] = self._rng.randbytes(edge - start)
            start = edge


def _put(image: bytearray, offset: int, data: bytes) -> None:
    image.extend(bytes(max(0, offset + len(data) - len(image))))
    image[offset : offset + len(data)] = data
