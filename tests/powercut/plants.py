"""Mistakes that the engine does not make. Those of order are made in the recording, those of judgement in the
engine."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.transfer import proof
from engine.transfer.frontier import Frontier
from tests.powercut.scenes import Scene
from tests.powercut.strace import STEP
from tests.powercut.tape import Change, Extent, Operation, Resize, Sync, Tape

Plant = Callable[[Scene], Tape]


def rename_before_sync(scene: Scene) -> Tape:
    """The data gets its name first, and is synced just after."""
    data, rename = _data_and_rename(scene)
    after = rename.end + STEP / 4

    def late(op: Operation) -> Operation:
        return replace(op, begin=after, end=after + 1) if _is_last_sync(op, data, scene, rename) else op

    return _changed(scene, late)


def rename_and_receipt_before_sync(scene: Scene) -> Tape:
    """And so is the receipt: the data is synced when all else is over."""
    data, rename = _data_and_rename(scene)

    def late(op: Operation) -> Operation:
        at = scene.done - STEP / 4
        return replace(op, begin=at, end=at + 1) if _is_last_sync(op, data, scene, rename) else op

    return _changed(scene, late)


def receipt_before_folder_sync(scene: Scene) -> Tape:
    """The receipt is written when the rename has not yet reached the disk; the data has."""
    _, rename = _data_and_rename(scene)
    return _receipt_moved(scene, rename.end + 1)


def receipt_before_all_syncs(scene: Scene) -> Tape:
    """The receipt is there before the data is synced; the rename still comes after that."""
    data, rename = _data_and_rename(scene)
    first = min(op.begin for op in scene.tape.operations if _is_last_sync(op, data, scene, rename))
    return _receipt_moved(scene, first - STEP / 2)


def journal_without_sync(scene: Scene) -> Tape:
    """The journal's header is not synced before data comes."""
    journals = scene.tape.inodes("journal")
    return _without(scene, lambda op: isinstance(op, Sync) and op.inode in journals)


def no_folder_sync(scene: Scene) -> Tape:
    """No folder is synced after the rename."""
    _, rename = _data_and_rename(scene)
    return _without(
        scene, lambda op: isinstance(op, Sync) and op.inode in scene.tape.folders and op.begin >= rename.end
    )


@contextmanager
def belief() -> Iterator[None]:
    """Held segments are believed because the journal names them."""

    class Believer(Frontier):
        def __init__(
            self, fd: int, grid: Any, algorithms: Any, _: Mapping[int, Any], chunk_size: int
        ) -> None:
            super().__init__(fd, grid, algorithms, {}, chunk_size)

    kept = proof.Frontier
    proof.Frontier = Believer  # type: ignore[misc]
    try:
        yield
    finally:
        proof.Frontier = kept  # type: ignore[misc]


@contextmanager
def planted(scene: Scene, plant: Plant) -> Iterator[None]:
    """The scene with another tape, for as long as the block lasts."""
    kept = scene.tape
    scene.tape = plant(scene)
    try:
        yield
    finally:
        scene.tape = kept


ORDER: dict[str, Plant] = {
    "rename before the data's sync": rename_before_sync,
    "rename and receipt before the data's sync": rename_and_receipt_before_sync,
    "receipt before the folder's sync": receipt_before_folder_sync,
    "receipt before all syncs": receipt_before_all_syncs,
    "journal without a sync": journal_without_sync,
    "no sync of folders after the rename": no_folder_sync,
}


# Finding one's way on a tape


def _data_and_rename(scene: Scene) -> tuple[int, Change]:
    """The inode that got the final name, and the rename."""
    data = scene.tape.find(scene.target)
    name = Path(scene.target).name
    renames = [
        op
        for op in scene.tape.operations
        if isinstance(op, Change) and any(e.inode == data and e.name == name for e in op.entries)
    ]
    return data, renames[-1]


def _is_last_sync(op: Operation, data: int, scene: Scene, rename: Change) -> bool:
    """A sync of the data after its last byte was written: what the rename relies on."""
    last = max(o.end for o in scene.tape.operations if isinstance(o, Extent) and o.inode == data)
    return isinstance(op, Sync) and op.inode == data and op.begin >= last and op.end <= rename.begin


def _receipt(scene: Scene) -> int:
    place = scene.jobs[0].receipts._place(str(scene.target))
    return scene.tape.find(place)


def _is_of(op: Operation, inode: int) -> bool:
    if isinstance(op, Change):
        return any(entry.inode == inode for entry in op.entries)
    return isinstance(op, Extent | Resize) and op.inode == inode


def _receipt_moved(scene: Scene, start: float) -> Tape:
    """The receipt's operations, one after the other, all within a step from start."""
    receipt = _receipt(scene)
    moved = [op for op in scene.tape.operations if _is_of(op, receipt)]
    places = {id(op): start + number * STEP / 4 / len(moved) for number, op in enumerate(moved)}

    def early(op: Operation) -> Operation:
        at = places.get(id(op))
        return op if at is None else replace(op, begin=at, end=at)

    return _changed(scene, early)


def _changed(scene: Scene, change: Callable[[Operation], Operation]) -> Tape:
    operations = sorted((change(op) for op in scene.tape.operations), key=lambda op: op.end)
    return replace(scene.tape, operations=operations)


def _without(scene: Scene, is_left_out: Callable[[Operation], bool]) -> Tape:
    return replace(scene.tape, operations=[op for op in scene.tape.operations if not is_left_out(op)])
