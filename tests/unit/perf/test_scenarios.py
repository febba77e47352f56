"""Which rows are run, and in which order."""

import pytest

from perf.bench import plan
from perf.scenarios import ALL, select
from perf.targets import asked
from perf.tools import TOOLS


def chosen(*names: str, quick: bool = False, only: tuple[str, ...] = (), **more: int | None) -> list:
    settings = {"rounds": None, "size_bytes": None} | more
    return select(names, quick=quick, only=only, **settings)


def test_everything_is_run_unless_named():
    """Full mode runs the whole table; quick mode leaves out what takes minutes."""
    assert [row.name for row in chosen()] == [row.name for row in ALL]
    assert "memory-20g" not in [row.name for row in chosen(quick=True)]


def test_name_may_be_the_beginning_of_several():
    """`--scenario memory` means both."""
    assert [row.name for row in chosen("memory")] == ["memory-1g", "memory-20g"]


def test_unknown_scenario_is_refused_with_the_list():
    """A typing error must not end as an empty report."""
    with pytest.raises(ValueError, match="http-2g-nohash"):
        chosen("htpp")


def test_only_keeps_variants_of_the_named_tools():
    """`--only aria2` keeps aria2 -x4 as well."""
    (row,) = chosen("http-2g-sha256", only=("aria2",))
    assert row.tools == ("aria2 -x4", "aria2")


def test_other_size_is_remembered_as_not_specified():
    """Small files keep their size; large ones change it and say so."""
    sizes = {row.name: (row.size_bytes, row.is_as_specified) for row in chosen(size_bytes=4 << 20)}
    assert sizes["http-2g-nohash"] == (4 << 20, False)
    assert sizes["tiny"] == (1024, True)
    (row,) = chosen("capped-40m", size_bytes=4 << 20)
    assert row.title.endswith("run with 4 MiB")


def steps(name: str, *, quick: bool = False, **more: int | None) -> list[tuple[int, str, str]]:
    """(round, what is measured, tool) of one scenario."""
    row = next(row for row in chosen(name, quick=quick, **more) if row.name == name)
    tools = [TOOLS[tool] for tool in row.tools]
    return [(number, measured, tool.name) for number, measured, tool in plan(row, tools, quick=quick)]


def test_each_round_begins_with_the_next_tool():
    """Nobody is always first, and everybody runs once a round."""
    (row,) = chosen("http-2g-sha256")
    found = steps("http-2g-sha256", rounds=3)
    rounds = [[name for number, _, name in found if number == wanted] for wanted in (1, 2, 3)]
    assert [names[0] for names in rounds] == list(row.tools[:3])
    assert all(sorted(names) == sorted(row.tools) for names in rounds)


def test_what_targets_ask_for_is_measured_several_times_and_charts_get_one_run():
    """What disturbs a run has a round of its own before; the memory of aria2 stands in a chart only."""
    before = [step[1:] for step in steps("capped-40m") if step[0] == 0]
    counts = {step: before.count(step) for step in before}
    assert counts == {
        ("memory", "jarvis"): 3,
        ("memory", "hf_transfer 64"): 3,
        ("memory", "aria2"): 1,
        **{("trace", name): 1 for name in ("jarvis", "aria2", "hf_transfer 64")},
    }


def test_quick_run_measures_nothing_beside_its_rounds():
    """It is short of time."""
    for row in chosen(quick=True):
        assert {number for number, _, _ in steps(row.name, quick=True)} == set(range(1, row.rounds + 1))


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.name)
def test_what_a_target_needs_is_measured(row):
    """Each tool that a target names has runs of the kind that gives the figure."""
    measured = {step[1:] for step in steps(row.name)}
    assert {(kind, tool) for tool, kind in asked(row.name)} <= measured
