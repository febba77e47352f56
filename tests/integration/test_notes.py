"""What lanes note of unfinished segments: no byte that was written is fetched again, whoever is killed."""

import signal

import pytest

from engine.store.journal import Claim
from tests.integration.trial import LANES, Trial, flip, wait_gone, wait_until

BLOCK = 16 << 10
"""What a lane takes in before it notes it, to begin with."""


@pytest.mark.parametrize(
    ("processes", "victim"), [(0, "command"), (1, "command"), (2, "all"), (1, "worker"), (2, "worker")]
)
@pytest.mark.row("process/kill-in-mid-segment")
def test_what_is_on_disk_of_an_unfinished_segment_survives_a_kill(
    trial: Trial, processes: int, victim: str
) -> None:
    """SIGKILL of whomever while each lane is in the midst of a segment: no byte that was written is fetched again."""
    trial.origin.fault("stall", after_bytes=BLOCK + 10, times=LANES)
    running = trial.spawn("-p", processes)
    trial.origin.wait_fired("stall", LANES)
    wait_until(lambda: bytes_held(trial) == LANES * BLOCK, "a block of each lane")
    if victim == "worker":
        for worker in running.children():
            worker.kill()
        running.wait().check()
    else:
        workers = running.children()
        running.kill_tree() if victim == "all" else running.kill()
        running.wait()
        wait_gone(workers)
        assert bytes_held(trial) == LANES * BLOCK
        result = trial.pull("--json")
        assert result.events_named("file")[0]["held_bytes"] == LANES * BLOCK
    trial.origin.wait_idle()
    asked = [r.range for r in trial.origin.requests if r.range]
    assert all(start >= BLOCK for start, _ in asked[LANES:])
    assert trial.origin.bytes_sent() == trial.content.size + LANES * 10
    trial.assert_exact()


@pytest.mark.row("process/kill-in-mid-segment")
def test_an_orderly_end_keeps_what_a_stuck_worker_had_noted(trial: Trial) -> None:
    """It has no time to tell of it: its notes do."""
    trial.origin.fault("stall", after_bytes=BLOCK + 10, times=LANES)
    running = trial.spawn("-p", 1)
    trial.origin.wait_fired("stall", LANES)
    wait_until(lambda: bytes_held(trial) == LANES * BLOCK, "a block of each lane")
    (worker,) = running.children()
    worker.suspend()
    running.send(signal.SIGINT)
    running.wait(10).check(130)
    wait_gone([worker])
    assert bytes_held(trial) == LANES * BLOCK
    assert not (trial.part / "pieces").exists()
    trial.pull()
    trial.assert_exact()


def test_a_noted_piece_that_is_not_on_disk_is_fetched(trial: Trial) -> None:
    """A power cut may have left the note and not the bytes."""
    trial.origin.fault("stall", after_bytes=BLOCK + 10, times=LANES)
    running = trial.spawn("-p", 0)
    wait_until(lambda: bytes_held(trial) == LANES * BLOCK, "a block of each lane")
    running.kill()
    running.wait()
    flip(trial.part / "data", 100)
    (done,) = trial.pull("--json").events_named("file")
    assert done["held_bytes"] == (LANES - 1) * BLOCK
    trial.assert_exact()


def bytes_held(trial: Trial) -> int:
    claim = Claim.read(trial.part / "journal")
    return claim.nbytes if claim else 0
