"""The report says what was found, marks ours, and hides nothing."""

from xml.etree import ElementTree

import pytest

from perf import compare, report
from perf.findings import finding
from perf.sheet import shown
from perf.targets import FASTEST_PEERS
from tests.unit.perf.made import block, result, sampled, timed


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (
            block(timed("jarvis", 1.5), timed("curl", 2.0)),
            "jarvis takes 1.50 s: 0.75 of curl, the fastest peer",
        ),
        (
            block(timed("jarvis", 3.0), timed("curl", 2.0)),
            "jarvis takes 3.00 s: 1.50 times curl, the fastest peer",
        ),
        (
            block(timed("curl", 2.0), timed("axel", 1.0)),
            "axel is the fastest of 2 at 1.00 s; jarvis is unmeasured",
        ),
        (block(timed("jarvis", 3.0)), "jarvis takes 3.00 s; no peer measured"),
        (block(), "Nothing measured"),
    ],
)
def test_title_states_the_finding(made, sentence):
    """Ahead, behind, or not known: the title says which."""
    assert finding(made) == sentence


def test_chart_is_well_formed_and_marks_ours():
    """Ours is bold, each round is a dot, and an absent tool says so."""
    made = block(timed("jarvis", 1.0, 1.2), timed("<curl>", 2.0), missing={"axel": "not installed"})
    svg = ElementTree.fromstring(report.charts(result(http_2g_nohash=made))["http-2g-nohash.svg"])
    space = "{http://www.w3.org/2000/svg}"
    bold = [text.text for text in svg.iter(f"{space}text") if "strong" in text.get("class", "")]
    assert bold == ["jarvis", "1.10 s"]
    assert len(list(svg.iter(f"{space}circle"))) == 3
    assert "unmeasured: not installed" in [text.text for text in svg.iter(f"{space}text")]


def test_report_keeps_missed_rows_commands_and_failures(tmp_path):
    """What went wrong stands in the report beside what went well."""
    made = block(
        timed("jarvis", 9.0),
        timed("curl", 2.0),
        timed("aria2", 3.0),
        timed("rclone", 3.0),
        timed("hf_transfer", 3.0),
        timed("wget2", 3.0),
        timed("axel", 3.0),
        timed("single", 1.0, problem="content differs at 0"),
        sampled("jarvis", 100 << 20),
    )
    text = report.write(result(http_2g_nohash=made), tmp_path).read_text()
    assert "| 4.500 | **missed** |" in text
    assert "0 of 1 (content differs at 0)" in text
    assert "curl $TARGET  # curl" in text
    assert "100 MiB" in text
    assert {path.name for path in tmp_path.iterdir()} == {
        "report.md",
        "overview.svg",
        "http-2g-nohash.svg",
        "http-2g-nohash-memory.svg",
    }


def test_quick_run_says_so_first(tmp_path):
    """Its figures are one round's, so it has no overview either."""
    quick = result(http_2g_nohash=block(timed("jarvis", 2.0), timed("curl", 3.0))) | {"mode": "quick"}
    text = report.write(quick, tmp_path).read_text()
    assert text.startswith("# Quick run: ")
    assert report.QUICK in text
    assert not (tmp_path / "overview.svg").exists()


def test_comparison_shows_a_lacking_figure_as_a_dash():
    """What one result has not measured is no gain of the other."""
    old, new = block(timed("jarvis", 2.0)), block(timed("jarvis", 1.0), timed("curl", 3.0))
    table = list(compare.lines(result(http_2g_nohash=old), result(http_2g_nohash=new)))
    ours = next(line for line in table if "jarvis " in line and "wall time  " in line)
    curl = next(line for line in table if "curl " in line and "wall time  " in line)
    assert ours.split()[-5:] == ["2.00", "s", "1.00", "s", "0.50"]
    assert curl.split()[-4:] == ["-", "3.00", "s", "-"]


def test_comparison_shows_ratios_to_a_peer_and_how_verdicts_changed():
    """Seconds change with the day; who is how far ahead of whom in the same run, less."""
    old = block(timed("jarvis", 2.0), *[timed(tool, 2.5) for tool in FASTEST_PEERS])
    new = block(timed("jarvis", 2.0), *[timed(tool, 4.0) for tool in FASTEST_PEERS])
    table = list(compare.lines(result(http_2g_nohash=old), result(http_2g_nohash=new)))
    ratio = next(line for line in table if "wall time / best peer" in line)
    assert ratio.split()[-3:] == ["0.80", "0.50", "0.62"]
    (row,) = [line for line in table if line.endswith("missed -> met")]
    assert row.startswith("http-2g-nohash   time / best of curl")


def test_comparison_warns_of_another_machine():
    """Seconds of two machines say nothing about two commits."""
    other = result() | {"machine": {"cores": 64}}
    assert any("MACHINES DIFFER" in line for line in compare.lines(result(), other))


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.0123, "s", "0.012 s"), (12.345, "s", "12.35 s"), (0.756, "x", "0.76"), (200 << 20, "B", "200 MiB")],
)
def test_values_are_shown_with_three_figures_or_so(value, unit, text):
    """Start-up times need milliseconds, pulls do not."""
    assert shown(value, unit) == text
