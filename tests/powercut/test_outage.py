"""What a cut may leave, and what it may not: the model's own promises, on a tape made by hand."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.powercut.outage import Manner, Outage, State
from tests.powercut.tape import ROOT, Change, Entry, Extent, Resize, Sync, Tape

FOLDER, DATA = 1, 2
OLD, NEW = b"o" * 8192, b"n" * 8192
MANNER = Manner(
    data=(0.5,), names=0.5, grain=4096, has_order=False, is_atomic=True, follows=False, has_noise=False
)

TAPE = Tape(
    Path("/disk"),
    [
        Change(10, 10, (Entry(ROOT, "part", FOLDER),)),
        Change(20, 20, (Entry(FOLDER, "data", DATA),)),
        Sync(30, 30, ROOT),
        Sync(40, 40, FOLDER),
        Extent(50, 50, DATA, 0, OLD),
        Sync(60, 70, DATA),
        Extent(65, 65, DATA, 0, NEW),
        Resize(80, 80, DATA, 10_000),
        Sync(90, 95, DATA),
        Change(100, 100, (Entry(ROOT, "final", DATA), Entry(FOLDER, "data", None))),
        Sync(110, 110, ROOT),
    ],
    {ROOT: {}, FOLDER: {}},
    stop=110,
)


def states(moment: float, manner: Manner = MANNER, count: int = 200) -> list[State]:
    rng = random.Random(moment)
    return [Outage(TAPE, moment, manner, rng).state() for _ in range(count)]


def paths(state: State) -> set[str]:
    return {path for path, _ in state.walk()}


def contents(moment: float, manner: Manner = MANNER) -> set[bytes]:
    return {state.files[DATA] for state in states(moment, manner) if DATA in state.files}


def test_what_was_synced_is_there() -> None:
    """Whatever the luck: names by the sync of their folder, bytes by that of their file."""
    for state in states(95, replace(MANNER, data=(0.0,), names=0.0)):
        assert paths(state) == {"part", "part/data"}
        assert state.files[DATA] == NEW + bytes(10_000 - 8192)


def test_a_sync_speaks_for_what_had_ended_before_it_began() -> None:
    """Not for a write beside it, and for nothing before it has ended."""
    assert contents(69, replace(MANNER, data=(0.0,))) == {b""}
    assert contents(70, replace(MANNER, data=(0.0,))) == {OLD}


def test_unsynced_bytes_are_there_or_lost_or_torn() -> None:
    """By grains, each with its own luck."""
    page = 4096
    torn = {OLD, NEW, OLD[:page] + NEW[page:], NEW[:page] + OLD[page:]}
    assert contents(75) == torn
    fine = contents(75, replace(MANNER, grain=512))
    assert len(fine) > len(torn)
    assert all(len(content) == len(OLD) for content in fine)


def test_a_length_may_be_lost() -> None:
    """Bytes that had reached the disk beyond it are lost with it."""
    assert {len(content) for content in contents(55)} == {0, 8192}
    assert {len(content) for content in contents(85)} == {8192, 10_000}


def test_noise_is_neither_old_nor_new() -> None:
    """Where a grain was being written."""
    assert contents(75, replace(MANNER, has_noise=True)) - contents(75)


@pytest.mark.parametrize(
    ("manner", "allowed"),
    [
        (MANNER, [{"part", "part/data"}, {"part", "final"}]),
        (
            replace(MANNER, is_atomic=False),
            [{"part", "part/data"}, {"part", "final"}, {"part", "part/data", "final"}, {"part"}],
        ),
        (replace(MANNER, has_order=True), [{"part", "part/data"}, {"part", "final"}]),
    ],
)
def test_a_rename_is_whole_where_that_is_promised(manner: Manner, allowed: list[set[str]]) -> None:
    """Else either of its names may change alone, and all of that happens."""
    found = [paths(state) for state in states(100, manner)]
    assert all(names in allowed for names in found)
    assert all(names in found for names in allowed)


def test_names_in_order_are_a_beginning() -> None:
    """No later one without all before it."""
    found = {frozenset(paths(state)) for state in states(25, replace(MANNER, has_order=True))}
    assert found == {frozenset(), frozenset({"part"}), frozenset({"part", "part/data"})}
    assert frozenset({"part"}) in {frozenset(paths(state)) for state in states(35)}


def test_a_new_name_follows_its_file_where_that_is_promised() -> None:
    """The sync of the file is enough then."""
    lucky = replace(MANNER, names=0.0, follows=True)
    assert paths(states(35, lucky, 1)[0]) == {"part"}
    assert paths(states(70, replace(lucky, follows=False), 1)[0]) == {"part", "part/data"}
