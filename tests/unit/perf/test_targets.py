"""A row is met, missed or unmeasured, and never met by default."""

import pytest

from perf.scenarios import ALL
from perf.targets import TARGETS, Target, against, beyond, exactly, goal, judge, own, to_limit, to_link, worst
from perf.tools import TOOLS
from tests.unit.perf.made import block, result, sampled, timed

RATIO = Target("http-2g-nohash", 0.75, "x", against("curl", "aria2"))
PEERS = [*timed("curl", 2.0, 2.2, 9.0), *timed("aria2", 3.0)]


def verdict(target: Target, made: dict) -> tuple[str, float | None]:
    (row,) = judge(result(http_2g_nohash=made), (target,))
    return row.verdict, row.value


@pytest.mark.parametrize(("ours", "expected"), [(1.1, "met"), (1.65, "met"), (1.66, "missed")])
def test_ratio_is_taken_of_medians_to_the_fastest_peer(ours, expected):
    """One slow round of a peer does not make us fast: 2.2 is curl's median, and the bound itself is within."""
    assert verdict(RATIO, block(timed("jarvis", ours), PEERS)) == (expected, pytest.approx(ours / 2.2))


def test_missing_peer_leaves_the_row_unmeasured():
    """Fastest of those who are there is not fastest."""
    made = block(timed("jarvis", 0.1), timed("curl", 2.0), missing={"aria2": "not installed"})
    (row,) = judge(result(http_2g_nohash=made), (RATIO,))
    assert (row.verdict, row.note) == ("unmeasured", "aria2: not installed")


def test_failed_peer_leaves_the_row_unmeasured():
    """A peer whose every run was wrong has no figure, and says why."""
    made = block(timed("jarvis", 0.1), timed("curl", 2.0), timed("aria2", 1.0, problem="exit 1: no"))
    (row,) = judge(result(http_2g_nohash=made), (RATIO,))
    assert (row.verdict, row.note) == ("unmeasured", "aria2: exit 1: no")


def test_best_variant_of_a_peer_counts():
    """A peer is as fast as the fastest of the settings that were tried."""
    made = block(timed("jarvis", 1.0), PEERS, timed("aria2 -x4", 1.25))
    assert verdict(RATIO, made) == ("missed", pytest.approx(0.8))


def test_wrong_output_of_ours_is_a_miss():
    """Speed that delivers wrong bytes meets nothing, even if other rounds were right."""
    made = block(timed("jarvis", 0.1), timed("jarvis", 0.1, problem="content differs"), PEERS)
    assert verdict(RATIO, made) == ("missed", None)


def test_other_size_leaves_the_row_unmeasured():
    """A target is about its size."""
    made = block(timed("jarvis", 0.1), PEERS, as_specified=False)
    assert verdict(RATIO, made) == ("unmeasured", None)


def test_scenario_that_was_not_run_is_unmeasured():
    """A partial run still shows every row."""
    assert [row.verdict for row in judge(result())] == ["unmeasured"] * len(TARGETS)


def test_memory_runs_give_no_times():
    """Sampling slows a run down, so its wall time is no figure."""
    made = block(timed("jarvis", 1.0), sampled("jarvis", 5))
    assert verdict(Target("http-2g-nohash", 2.0, "s", own("wall_s")), made) == ("met", 1.0)


def test_worst_of_all_runs_counts_for_promises_that_hold_each_time():
    """A memory bound is broken by one run above it."""
    target = Target("http-2g-nohash", 200, "B", worst("peak_pss_bytes"))
    assert verdict(target, block(sampled("jarvis", 100, 100, 201))) == ("missed", 201)


def test_variant_may_be_named_exactly():
    """A promise about aria2c -x16 is not about its better variant."""
    made = block(timed("jarvis", 1.0), PEERS, timed("aria2 -x4", 1.25))
    assert verdict(Target("http-2g-nohash", 0.5, "x", exactly("aria2")), made) == (
        "met",
        pytest.approx(1 / 3),
    )


def test_link_is_the_measure_where_it_is_capped():
    """2 GiB at a GiB a second take two seconds."""
    target = Target("http-2g-nohash", 1.03, "x", to_link())
    made = block(timed("jarvis", 2.04), cap_bytes_s=1 << 30)
    assert verdict(target, made) == ("met", pytest.approx(1.02))


def test_limit_is_held_from_both_sides():
    """Too much is as wrong as too little."""
    runs = [{"tool": "jarvis", "round": 1, "measured": "trace", "window_bytes": 980, "problem": None}]
    made = block(runs, limit_bytes_s=100)
    for bound, expected in ((0.97, "met"), (0.99, "missed")):
        target = Target("http-2g-nohash", bound, "x", to_limit("jarvis"), at_least=True)
        assert verdict(target, made) == (expected, pytest.approx(0.98))
    assert verdict(Target("http-2g-nohash", 0.97, "x", to_limit("jarvis")), made)[0] == "missed"


def test_least_bound_is_missed_from_below():
    """A rate has to be reached."""
    target = Target("http-2g-nohash", 2.0, "s", own("wall_s"), at_least=True)
    assert verdict(target, block(timed("jarvis", 1.9)))[0] == "missed"
    assert verdict(target, block(timed("jarvis", 2.0)))[0] == "met"


def test_difference_of_two_variants():
    """64 lanes may need so much more than 16; the worst run counts."""
    target = Target("http-2g-nohash", 40, "B", beyond("jarvis -c 64", "jarvis -c 16", "peak_pss_bytes"))
    made = block(sampled("jarvis -c 16", 100, 110, 120), sampled("jarvis -c 64", 120, 151))
    assert verdict(target, made) == ("missed", 41)


def test_targets_name_scenarios_and_tools_that_are_run_there():
    """A row of the table can be reached by running its scenario; quick mode may leave it unmeasured."""
    rows = {row.name: row for row in ALL}
    for target in TARGETS:
        row = rows[target.scenario]
        for tool, _ in target.figure.needs:
            assert tool in TOOLS
            assert tool in row.tools
            assert set(row.quick_tools or ()) <= set(row.tools)


def test_goal_is_what_our_median_would_have_to_be():
    """Half of curl's 2.2 s and 1.2 s at most: 1.1 s; a difference of two variants has none."""
    half, most = (
        Target("http-2g-nohash", 0.5, "x", against("curl")),
        Target("http-2g-nohash", 1.2, "s", own("wall_s")),
    )
    made = block(timed("jarvis", 3.0), PEERS)
    assert goal(made, "http-2g-nohash", "jarvis", "wall_s", (half, most)) == pytest.approx(1.1)
    assert goal(made, "tiny", "jarvis", "wall_s", (half, most)) is None
    assert goal(block(timed("jarvis", 3.0)), "http-2g-nohash", "jarvis", "wall_s", (half,)) is None
    memory = block(sampled("jarvis -c 64", 100), sampled("jarvis -c 16", 90))
    more = Target("http-2g-nohash", 40, "B", beyond("jarvis -c 64", "jarvis -c 16", "peak_pss_bytes"))
    assert goal(memory, "http-2g-nohash", "jarvis -c 64", "peak_pss_bytes", (more,)) is None
