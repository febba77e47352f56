"""What a file's growth tells of a run."""

import os
import sys

import pytest

from perf import trace

MIB = 1 << 20


def test_steady_rate_leaves_out_start_and_end():
    """A slow start and a slow end do not count: the middle half came at 10 bytes a second."""
    written = [(0.0, 0), (4.0, 25), (9.0, 75), (20.0, 95), (21.0, 100)]
    told = trace.derive(written, 100)
    assert (told["steady_bytes_s"], told["tail_s"]) == (10.0, 1.0)


def test_time_after_the_last_byte_is_that_until_the_exit():
    """What is still done when everything lies on the disk: hashing, syncs, the exit."""
    written = [(0.0, 0), (1.0, 50), (2.0, 100), (2.1, 100), (2.5, 100)]
    assert trace.derive(written, 100)["after_s"] == pytest.approx(0.5)


def test_file_that_appears_at_once_has_no_steady_rate():
    """Between two looks nothing is known."""
    assert trace.derive([(0.0, 0), (1.0, 100)], 100)["steady_bytes_s"] == pytest.approx(100.0)
    assert trace.derive([(0.0, 0), (1.0, 10)], 100) == {}


def test_window_of_ten_seconds():
    """It begins a second after the first byte, and is not told of runs that are shorter."""
    written = [(0.0, 0), (2.0, 0), (3.0, 100), (13.0, 1100), (14.0, 1700)]
    assert trace.derive(written, 1700)["window_bytes"] == pytest.approx(1000, rel=0.01)
    assert "window_bytes" not in trace.derive(written[:4], 1100)


def test_series_keep_their_last_point():
    """Thinned series are short, and still end where they ended."""
    series = [(float(n), n) for n in range(1001)]
    kept = trace.thinned(series)
    assert len(kept) <= trace.POINTS + 1
    assert kept[0] == [0.0, 0]
    assert kept[-1] == [1000.0, 1000]


TOOL = """
import json, sys, time
with open(sys.argv[1], "wb") as file:
    for step in range(8):
        file.write(bytes(1 << 20))
        file.flush()
        print(json.dumps({"event": "progress", "lanes": step + 1}), flush=True)
        time.sleep(0.1)
print(json.dumps({"event": "file", "hash_s": 0.25, "fetched_bytes": 8, "discarded_bytes": 1, "size": 8}))
"""


def test_watched_run_tells_growth_and_lanes(tmp_path):
    """Blocks on disk and events both carry the moment they were seen."""
    folder = tmp_path / "target"
    folder.mkdir()
    words = [sys.executable, "-c", TOOL, str(folder / "file")]
    done, told = trace.traced(words, dict(os.environ), tmp_path / "log", 20.0, folder, 8 * MIB)
    assert done.code == 0
    assert [lanes for _, lanes in told["lanes"]] == list(range(1, 9))
    assert told["hash_s"] == 0.25
    assert told["written"][-1][1] == 8 * MIB
    assert 5 * MIB < told["steady_bytes_s"] < 12 * MIB
