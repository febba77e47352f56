"""A state laid out as real files, where the recorded ones were: receipts and parts are known by their paths."""

import os
import shutil
from pathlib import Path

import msgspec

from engine.store.receipts import Receipt
from tests.powercut.outage import State
from tests.powercut.tape import Tape


def lay_out(state: State, tape: Tape) -> None:
    """Replace what is below the tape's root."""
    clear(tape.root)
    placed: dict[int, Path] = {}
    for name, inode in state.walk():
        path = tape.root / name
        if inode in state.folders:
            path.mkdir()
        elif inode in placed:
            os.link(placed[inode], path)
        else:
            path.write_bytes(state.files[inode])
            placed[inode] = path
    _stamp(state, tape, placed)


def clear(folder: Path) -> None:
    """Nothing is left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _stamp(state: State, tape: Tape, placed: dict[int, Path]) -> None:
    """A receipt names an inode and a time, which files made anew cannot have: files get the time, where it had reached
    the disk, and receipts the number. Those whose bytes are torn stay as they are."""
    numbers: dict[int, int] = {}
    for inode, stamp in tape.stamps.items():
        if inode in placed and inode in state.has_times:
            os.utime(placed[inode], ns=(stamp.mtime_ns, stamp.mtime_ns))
            numbers[stamp.inode] = placed[inode].stat().st_ino
    for path in placed.values():
        if path.parent.name == "receipts" and path.suffix == ".json":
            _renumber(path, numbers)


def _renumber(path: Path, numbers: dict[int, int]) -> None:
    try:
        receipt = msgspec.json.decode(path.read_bytes(), type=Receipt)
    except msgspec.DecodeError:
        return
    known = msgspec.structs.replace(receipt, inode=numbers.get(receipt.inode, 0))
    path.write_bytes(msgspec.json.encode(known))
