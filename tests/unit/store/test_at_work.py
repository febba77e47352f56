"""engine.store.at_work: who removes files does it while no pull is at work."""

import subprocess
import sys
from pathlib import Path

from engine.store.at_work import alone, at_work


def test_pulls_work_side_by_side_and_nobody_is_alone_then(tmp_path: Path) -> None:
    """Two at once; alone is who comes after both."""
    with at_work(tmp_path):
        with at_work(tmp_path), alone(tmp_path) as is_alone:
            assert not is_alone
        with alone(tmp_path) as is_alone:
            assert not is_alone
    with alone(tmp_path) as is_alone:
        assert is_alone


def test_a_pull_waits_for_who_removes(tmp_path: Path) -> None:
    """In another process: it begins when the other one is done, and not before."""
    program = (
        "import sys; from pathlib import Path; from engine.store.at_work import at_work\n"
        "print('here', flush=True)\n"
        "with at_work(Path(sys.argv[1])): print('at work', flush=True); sys.stdin.read()\n"
    )
    with alone(tmp_path) as is_alone:
        assert is_alone
        pull = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert pull.stdout is not None
        assert pull.stdout.readline() == "here\n"
        (tmp_path / "removed").touch()
    assert pull.stdout.readline() == "at work\n"
    with alone(tmp_path) as is_alone:
        assert not is_alone
    pull.communicate()
    with alone(tmp_path) as is_alone:
        assert is_alone


def test_a_folder_in_the_way_is_no_failure(tmp_path: Path) -> None:
    """Nobody can tell whether a pull is at work, so nobody is alone."""
    (tmp_path / "at-work.lock").mkdir()
    with at_work(tmp_path), alone(tmp_path) as is_alone:
        assert not is_alone


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """Whoever only looks leaves nothing behind."""
    with alone(tmp_path / "home") as is_alone:
        assert is_alone
    assert not (tmp_path / "home").exists()
