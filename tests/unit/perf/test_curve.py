"""Throughput over time is drawn from what was watched, in the middle of it too."""

from xml.etree import ElementTree

import pytest

from perf import curve, report
from tests.unit.perf.made import block, result, timed


def watched(tool: str, lanes: list[list[float]]) -> list[dict]:
    facts = {"written": [[0.0, 0], [1.0, 1000], [2.0, 3000]], "lanes": lanes}
    told = {"steady_bytes_s": 2_000_000, "tail_s": 0.1}
    return [{"tool": tool, "round": 0, "measured": "trace", "problem": None, **facts, **told}]


def test_rate_of_each_step_is_what_it_added():
    """A kilobyte in the first second, two in the second."""
    assert curve.rates([(0.0, 0), (1.0, 1000), (2.0, 3000)], 1.0) == [
        (0.0, 0.0),
        (1.0, 1000.0),
        (2.0, 2000.0),
    ]


def test_last_step_ends_with_the_run():
    """Half a step with half of the bytes is as fast as a whole one."""
    assert curve.rates([(0.0, 0), (1.5, 1500)], 1.0) == [(0.0, 0.0), (1.0, 1000.0), (1.5, 1000.0)]
    assert curve.rates([(0.0, 0), (1.25, 1250)], 1.0) == [(0.0, 0.0), (1.25, 1000.0)]


def test_lanes_stay_until_they_change():
    """Between two reports nothing is interpolated."""
    assert curve.stairs([(0.0, 4), (1.0, 8)]) == [(0.0, 4), (1.0, 4), (1.0, 8)]


@pytest.mark.parametrize("lanes", [[[0.5, 4], [1.5, 16]], []])
def test_report_shows_growth_and_tail(tmp_path, lanes):
    """Watched runs give two charts more, whose titles say what was found."""
    made = block(timed("jarvis", 2.0), timed("curl", 3.0), watched("jarvis", lanes), watched("curl", []))
    text = report.write(result(http_2g_nohash=made), tmp_path).read_text()
    assert (
        f"jarvis keeps 2 MB/s over the middle half, with up to {16 if lanes else 0} lanes; curl 2 MB/s"
        in text
    )
    assert "jarvis needs 0.100 s for its last 5 %: 1.00 times curl, the fastest peer" in text
    ElementTree.parse(tmp_path / "http-2g-nohash-growth.svg")
    assert (tmp_path / "http-2g-nohash-tail.svg").exists()
