"""One process measured with everything it started; run in a process of its own, which becomes a subreaper."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from perf import measure

ROOT = Path(__file__).resolve().parents[3]
HARNESS = """
import json, os, sys
from dataclasses import asdict
from pathlib import Path
from perf import measure
how, folder, *command = sys.argv[1:]
done = getattr(measure, how)(command, dict(os.environ), Path(folder) / "log", 5.0)
print(json.dumps(asdict(done)))
"""
SPIN = "import time\nwhile time.process_time() < 0.4: pass"


def measured(how: str, folder: Path, *command: str) -> dict:
    words = [sys.executable, "-c", HARNESS, how, str(folder), *command]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def test_cpu_of_children_is_counted(tmp_path):
    """A tool that works in other processes has used their CPU."""
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SPIN!r}])"
    done = measured("timed", tmp_path, sys.executable, "-c", parent)
    assert done["user_s"] + done["sys_s"] >= 0.4
    assert done["wall_s"] >= 0.4
    assert (done["code"], done["leftovers"]) == (0, 0)


def test_process_that_outlives_its_parent_is_reported_and_ended(tmp_path):
    """What is left behind a second after the end is counted, and does not disturb the next run."""
    done = measured("timed", tmp_path, "/bin/sh", "-c", "sleep 60 & exit 3")
    assert (done["code"], done["leftovers"]) == (3, 1)


def test_command_that_hangs_is_ended(tmp_path):
    """The harness goes on after a peer that does not."""
    done = measured("timed", tmp_path, "/bin/sh", "-c", "sleep 60")
    assert done["code"] == -9
    assert 5.0 <= done["wall_s"] < 20


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the kernel shows no PSS")
def test_peak_memory_is_that_of_the_whole_tree(tmp_path):
    """Two processes of 64 MiB each are 128 MiB and a little."""
    hold = "import time; data = bytearray(b'x') * (64 << 20); time.sleep(0.5)"
    both = f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {hold!r}]); {hold}; child.wait()"
    peak = measured("sampled", tmp_path, sys.executable, "-c", both)["peak_pss_bytes"]
    assert 128 << 20 <= peak < 256 << 20


def test_target_of_the_last_run_is_held_in_place_of_memory_and_goes_when_that_is_released(tmp_path):
    """Its pages are warm already; only what is lacking is held beside it."""
    warm = measure.WarmMemory()
    warm.hold(8 << 20)
    warm.release()
    left = tmp_path / "run-1"
    left.mkdir()
    (left / "target").write_bytes(bytes(6 << 20))
    warm.hold_again(left)
    assert left.exists()
    warm.hold(8 << 20)
    assert left.exists()
    warm.release()
    assert not left.exists()
    warm.release()
