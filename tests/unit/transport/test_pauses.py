"""engine.transport.pauses: what one pull is told holds for all of them, and for no other origin."""

import os
import time
from pathlib import Path

import pytest

from engine.transport.pauses import Pauses
from engine.transport.retry import MAX_WAIT_S

HUB = "https://hub.example/a/resolve/main/x"


def test_a_pause_is_of_the_origin(tmp_path: Path) -> None:
    """Whatever the path; not of another port."""
    pauses = Pauses(tmp_path / "pauses")
    pauses.note(HUB, 30)
    assert 29 < pauses.left_s("https://HUB.example:443/other?q") <= 30
    assert pauses.left_s("https://hub.example:8443/other") == 0


def test_another_process_hears_of_it(tmp_path: Path) -> None:
    """Through the folder; one that has looked already looks again."""
    ours, other = Pauses(tmp_path / "pauses"), Pauses(tmp_path / "pauses")
    assert ours.left_s(HUB) == 0
    other.note(HUB, 30)
    assert 29 < Pauses(tmp_path / "pauses").left_s(HUB) <= 30
    deadline = time.monotonic() + 10
    while not ours.left_s(HUB) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ours.left_s(HUB) > 0


def test_a_shorter_pause_takes_nothing_back(tmp_path: Path) -> None:
    """Neither here nor from another process."""
    first = Pauses(tmp_path)
    first.note(HUB, 30)
    first.note(HUB, 2)
    Pauses(tmp_path).note(HUB, 2)
    assert first.left_s(HUB) > 29
    assert Pauses(tmp_path).left_s(HUB) > 29


def test_a_pause_ends(tmp_path: Path) -> None:
    """Without anybody taking it back."""
    Pauses(tmp_path).note(HUB, 30)
    (place,) = tmp_path.iterdir()
    os.utime(place, (time.time() - 1,) * 2)
    assert Pauses(tmp_path).left_s(HUB) == 0


def test_nobody_is_stopped_for_longer_than_is_granted(tmp_path: Path) -> None:
    """A clock that was wrong, or a hand in the folder."""
    Pauses(tmp_path).note(HUB, 30)
    (place,) = tmp_path.iterdir()
    os.utime(place, (time.time() + 10 * MAX_WAIT_S,) * 2)
    assert Pauses(tmp_path).left_s(HUB) == 0


@pytest.mark.parametrize("folder", [None, "file/below"])
def test_without_a_folder_a_pull_knows_what_it_was_told_itself(tmp_path: Path, folder: str | None) -> None:
    """No error: a pause is a courtesy."""
    (tmp_path / "file").write_bytes(b"")
    pauses = Pauses(tmp_path / folder if folder else None)
    pauses.note(HUB, 30)
    assert pauses.left_s(HUB) > 29
