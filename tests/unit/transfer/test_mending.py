"""The wrong-digest procedure: which step follows which, and which segments are fetched again."""

import pytest

from engine.spans import Grid
from engine.transfer.mending import SAMPLE_SEGMENTS, SMALL_BYTES, Mending

SEGMENT = 8 << 20
LARGE = Grid(SMALL_BYTES * 2, SEGMENT)
SMALL = Grid(SMALL_BYTES, SEGMENT)


def checks_of(grid: Grid) -> dict[int, int]:
    return {index: index * 7 for index in range(grid.count)}


def steps(mending: Mending, grid: Grid, *, differing: int = -1) -> list[str]:
    """All steps to the end, while the digest stays wrong; `differing` comes otherwise each time."""
    taken = []
    while True:
        step = mending.next_step()
        taken.append(step)
        if step == "give up":
            return taken
        if step in ("sample", "all"):
            for index in mending.refetch(step, checks_of(grid)):
                mending.arrived(index, index * 7 + (index == differing))


TABLE = [
    ("large", LARGE, False, False, -1, ["reread", "ask", "sample", "give up"]),
    ("large, a sample differs", LARGE, False, False, 0, ["reread", "ask", "sample", "all", "give up"]),
    ("large, another differs", LARGE, False, False, 1, ["reread", "ask", "sample", "give up"]),
    ("large, --repair", LARGE, True, False, -1, ["reread", "ask", "all", "give up"]),
    ("large, one stream", LARGE, False, True, -1, ["reread", "ask", "all", "give up"]),
    ("small", SMALL, False, False, -1, ["reread", "ask", "all", "give up"]),
    ("no bytes", Grid(0, SEGMENT), True, False, -1, ["reread", "ask", "give up"]),
    ("small, differs", SMALL, False, False, 3, ["reread", "ask", "all", "give up"]),
]


@pytest.mark.parametrize(
    ("grid", "repair", "stream", "differing", "expected"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_steps(grid, repair, stream, differing, expected):
    """Each step is taken once: the disk, the source, a sample, then all if the sample differs or all are few."""
    assert steps(Mending(grid, repair=repair, is_stream=stream), grid, differing=differing) == expected


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 300, 5000])
def test_sample(count):
    """At most eight segments, spread from the first to the last, in order, none twice."""
    grid = Grid(count * SEGMENT - 5, SEGMENT)
    chosen = Mending(grid, repair=False, is_stream=False).refetch("sample", checks_of(grid))
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(count, SAMPLE_SEGMENTS)
    assert (chosen[0], chosen[-1]) == (0, count - 1)


def test_all():
    """Everything means every segment."""
    assert Mending(SMALL, repair=True, is_stream=False).refetch("all", checks_of(SMALL)) == list(
        range(SMALL.count)
    )


def test_differing_are_noted():
    """Only segments that were fetched again for comparison, and came otherwise, are to blame."""
    mending = Mending(LARGE, repair=False, is_stream=False)
    mending.arrived(1, 12345)
    chosen = mending.refetch("sample", checks_of(LARGE))
    mending.arrived(chosen[0], chosen[0] * 7)
    mending.arrived(chosen[1], 1)
    mending.arrived(chosen[1] + 1, 1)
    assert mending.differing == {chosen[1]}
