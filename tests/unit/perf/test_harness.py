"""The whole harness on small files, with the real nginx and the baseline."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from perf.servers import nginx_program

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.skipif(nginx_program() is None, reason="nginx is not installed")
def test_small_run_writes_result_and_report_without_a_trace_of_the_machine(tmp_path):
    """HTTP, TLS and verified pulls are sound; what is absent is unmeasured; no path of this machine is told."""
    pulls = [
        "--scenario",
        "http-2g",
        "--scenario",
        "tls-2g-nohash",
        "--only",
        "single,jarvis",
        "--rounds",
        "1",
    ]
    places = ["--results", str(tmp_path / "results"), "--memory-dir", str(tmp_path), "--dir", str(tmp_path)]
    absent = ["--jarvis", str(tmp_path / "no-jarvis")]
    words = [
        sys.executable,
        "-m",
        "perf",
        "--quick",
        "--size",
        "4M",
        "--name",
        "small",
        *pulls,
        *places,
        *absent,
    ]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "results" / "small.json").read_text()
    for name, block in json.loads(text)["scenarios"].items():
        assert [run["problem"] for run in block["runs"]] == [None], name
        assert block["missing"] == {"jarvis": "not installed"}
    report = (tmp_path / "results" / "small" / "report.md").read_text()
    for told in (text, report):
        assert str(tmp_path) not in told
        assert str(ROOT) not in told
        assert sys.executable not in told
    assert "0 met, 0 missed" in report
    assert {path.name for path in tmp_path.iterdir()} == {"results"}
