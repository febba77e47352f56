"""What the model is asked, how it is judged by measured runs, and what is said of it."""

import pytest

from perf.simulation import cases, prediction
from perf.simulation.cases import Case
from perf.simulation.links import Link
from perf.simulation.outcome import HEAD, play, table
from perf.simulation.prediction import Prediction, predictions
from perf.simulation.world import Pull
from tests.unit.perf.made import block, result, timed


def test_links_of_scenarios_are_read_from_their_own_tables():
    """Shares of edges add up, the rest included."""
    assert cases.edges_of("15% 1000000; 25% 15000000; * 60000000;") == (
        (0.15, 1e6),
        (0.25, 15e6),
        (pytest.approx(0.6), 60e6),
    )
    found = cases.measured()
    assert list(found) == ["capped-40m", "far-8", "unequal", "stall", "cap-1gbit"]
    assert found["far-8"].pull.lanes == 8
    assert found["cap-1gbit"].pull.hash_bytes_s > 0


def test_prediction_is_the_model_and_what_a_pull_takes_besides(monkeypatch):
    """Start-up is that of the scenario tiny, measured in the same result; a scenario without runs is left out."""
    monkeypatch.setattr(prediction, "_DRAWS", 3)
    found = result(
        tiny=block(timed("jarvis", 0.2, 0.3, 0.4)),
        cap_1gbit=block(timed("jarvis", 17.5), timed("curl", 99.0)),
    )
    (row,) = predictions([found])
    assert row.scenario == "cap-1gbit"
    assert row.measured == (17.5,)
    assert all(17.1 + 0.3 < seconds < 17.6 + 0.3 for seconds in row.predicted)
    assert row.is_within


def test_no_link_carries_more_than_the_machine(monkeypatch):
    """What it carries without a cap is measured in the same result, start-up not counted."""
    monkeypatch.setattr(prediction, "_DRAWS", 1)
    found = result(
        tiny=block(timed("jarvis", 0.5)),
        http_2g_sha256=block(timed("jarvis", 20.5)),
        stall=block(timed("jarvis", 99.0), timed("jarvis unstalled", 11.0)),
    )
    (row,) = predictions([found])
    assert row.measured == (11.0,)
    assert 10.5 < row.predicted[0] < 11.5


def test_prediction_without_start_up_is_refused():
    """It would be fitted, else."""
    with pytest.raises(ValueError, match="tiny"):
        predictions([result(cap_1gbit=block(timed("jarvis", 17.5)))])


def test_prediction_is_judged_by_medians():
    """Fifteen per cent either way."""
    rows = [Prediction("a", (2.0, 9.0, 2.0), (2.2, 2.2), 0.5), Prediction("b", (2.0,), (1.6, 1.6), 0.5)]
    assert [row.is_within for row in rows] == [True, False]
    assert next(line for line in prediction.lines(rows) if "outside" in line).startswith("| b | 2.00 s |")


def test_table_has_a_cell_for_each_heading(tmp_path):
    """Also where there is no total and no hash."""
    outcomes = [
        play(Case("x", "", Link(edges=((1.0, 50e6),)), Pull(size=100_000_000))),
        play(Case("y", "", Link(total=100e6), Pull(size=100_000_000, hash_bytes_s=1e9))),
    ]
    rows = list(table(outcomes))
    assert {row.count("|") for row in rows} == {len(HEAD) + 1}
    assert outcomes[1].journal_bytes > 12 * 20
