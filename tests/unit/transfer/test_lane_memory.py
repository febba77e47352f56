"""engine.transfer.lane_memory: what one pull finds out about an origin is where the next begins."""

import os
import time
from pathlib import Path

import pytest

from engine.transfer.lane_memory import LaneMemory

HUB = "https://hub.example/a/resolve/main/x"


def test_a_number_is_of_the_origin(tmp_path: Path) -> None:
    """Whatever the path, the last one counts; nothing is known of another port."""
    folder = tmp_path / "lanes"
    memory = LaneMemory(folder, HUB)
    assert memory.recall() is None
    memory.note(16)
    LaneMemory(folder, "https://HUB.example:443/other?q").note(32)
    assert memory.recall() == 32
    assert LaneMemory(folder, "https://hub.example:8443/other").recall() is None
    assert len(list((tmp_path / "lanes").iterdir())) == 1


@pytest.mark.parametrize("text", ["", "many", "0", "-3", "99999999", "\xff"])
def test_what_is_no_number_of_lanes_is_nothing(tmp_path: Path, text: str) -> None:
    """Whoever wrote it."""
    memory = LaneMemory(tmp_path, HUB)
    memory.note(16)
    (file,) = tmp_path.iterdir()
    file.write_bytes(text.encode("latin-1"))
    assert memory.recall() is None


def test_an_old_number_is_forgotten(tmp_path: Path) -> None:
    """A week is long for a link; and what comes from the future is no memory."""
    memory = LaneMemory(tmp_path, HUB)
    for age_s, expected in ((6 * 86400, 16), (8 * 86400, None), (-3600, None)):
        memory.note(16)
        (file,) = tmp_path.iterdir()
        os.utime(file, (time.time() - age_s, time.time() - age_s))
        assert memory.recall() == expected


def test_where_nothing_can_be_written_nothing_is_remembered(tmp_path: Path) -> None:
    """And nobody is bothered."""
    (tmp_path / "lanes").write_text("a file")
    memory = LaneMemory(tmp_path / "lanes", HUB)
    memory.note(16)
    assert memory.recall() is None
