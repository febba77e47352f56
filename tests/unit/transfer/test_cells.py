"""Cells: one writer each, seen by another process, and no descriptor left."""

import os
import subprocess
import sys
import time

from engine.transfer.cells import BODY, IDLE, UNLIMITED, WAITING, Cells

CHILD = """
import sys
from engine.transfer.cells import BODY, Cells
cells = Cells(3, int(sys.argv[1]))
cell = cells[1]
cell.set_state(BODY)
cell.add_received(5)
cell.add_received(7)
cell.set_unreported(9)
cell.add_taken(11)
print(cell.room, cells[0].room, cell.receive_buffer, cells[0].receive_buffer)
"""


def test_two_processes_share_one_mapping():
    """What a lane counts in its process is read in the coordinator's, and the allowance goes the other way."""
    fd = Cells.shared_fd(3)
    try:
        cells = Cells(3, fd)
        cells[1].set_allowance(111)
        cells[1].set_receive_buffer(222)
        cells[0].set_allowance(UNLIMITED)
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(fd)], pass_fds=(fd,), capture_output=True, text=True, check=True
        )
    finally:
        os.close(fd)
    assert done.stdout.split() == ["100", str(UNLIMITED), "222", "0"]
    cell = cells[1]
    assert (cell.received, cell.unreported, cell.taken, cell.room, cell.state) == (12, 9, 11, 100, BODY)
    assert 0 <= cell.silent_s < 60
    assert (cells[0].received, cells[2].received, cells[2].state) == (0, 0, IDLE)


def test_private_cells_start_at_zero():
    """Cells of the calling process need no descriptor."""
    cells = Cells(2)
    assert len(cells) == 2
    assert [cells[0].received, cells[0].taken, cells[0].room, cells[0].state] == [0, 0, 0, IDLE]


def test_receives_and_states_are_signs_of_life():
    """Silence is counted from the last byte of a body or change of state, on a clock that all processes share."""
    cell = Cells(1)[0]
    for touch in (lambda: cell.set_state(BODY), lambda: cell.add_received(1)):
        while cell.silent_s < 0.01:
            pass
        before = time.monotonic()
        touch()
        assert cell.silent_s <= time.monotonic() - before


def test_what_comes_before_a_body_is_no_sign_of_life():
    """Headers may drip for ever: while an answer is waited for, bytes are counted, and time goes on."""
    cell = Cells(1)[0]
    cell.set_state(WAITING)
    while cell.silent_s < 0.01:
        pass
    cell.add_received(1)
    assert cell.received == 1 and cell.silent_s >= 0.01


def test_large_counts_fit():
    """A lane may receive far more than 4 GiB."""
    cell = Cells(1)[0]
    cell.add_received(1 << 40)
    cell.add_received(1 << 40)
    assert cell.received == 1 << 41
