"""Short runs of what the modules of tests/torture do at length."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import ROOT, Command
from tests.torture.run import Run


@pytest.mark.alone
@pytest.mark.row("process/kill-again-and-again", "process/kill-command", "process/kill-worker")
def test_files_that_are_killed_twenty_times_come_out_exact(command: Command, tmp_path: Path) -> None:
    """Nothing is corrupt, nothing is left over, nothing needs a hand, and a kill costs a segment a lane."""
    tally = Run(command, tmp_path / "torture", seed=1).until(kills=20, jobs=3)
    print("\n".join(tally.lines()))
    assert tally.violations == []
    assert tally.counted >= 20
    assert {kill.victim for kill in tally.kills} == {"coordinator", "worker"}


@pytest.mark.alone
def test_a_program_of_many_pulls_does_not_grow(home: Path) -> None:
    """Memory, descriptors, threads, shared memory, objects and children are those of the first pulls, also where some
    fail and are cancelled."""
    words = [sys.executable, "-m", "tests.torture.soak", "--pulls", "64", "--warm-up", "32"]
    result = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.alone
@pytest.mark.parametrize("more", [[], ["--tls"]], ids=["plain", "tls"])
@pytest.mark.row("body/edited-answers")
def test_answers_that_are_edited_at_random_bring_no_wrong_byte(more: list[str]) -> None:
    """Whatever a server says of its bytes: they are the file's, or there is none, and the next pull is done."""
    words = [sys.executable, "-m", "tests.torture.lies", "--pulls", "60", "--seed", "1", *more]
    result = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
