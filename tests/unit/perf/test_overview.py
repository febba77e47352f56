"""What README shows comes from a full result in the repository, and from nothing else."""

from xml.etree import ElementTree

import pytest

from perf import overview, publish
from tests.unit.perf.made import block, result, timed

FULL = result(
    http_2g_nohash=block(
        timed("jarvis", 1.0),
        timed("single", 0.5),
        timed("curl", 2.0),
        timed("hf_transfer", 1.6),
        timed("hf_transfer 64", 1.5),
    ),
    unequal=block(timed("jarvis", 3.0), timed("aria2", 2.0), timed("hf_transfer", 20.0)),
    many_20ms=block(timed("jarvis pull -d", 1.0), timed("aria2 -i", 3.0), kind="many"),
    capped_40m=block(timed("jarvis", 1.0), timed("aria2", 9.0), as_specified=False),
)


def test_rivals_are_the_tools_one_could_pick_with_their_best_settings():
    """The baseline is none, 64 connections are a setting, and another size is another question."""
    found = overview.cases(FULL)
    assert [case.title for case in found] == [
        overview.CASES[name] for name in ("http-2g-nohash", "unequal", "many-20ms")
    ]
    assert found[0].rivals == [("hf_transfer", 1.5), ("curl", 2.0)]


def test_findings_say_who_is_ahead():
    """In either direction, by how much."""
    assert [case.finding for case in overview.cases(FULL)] == [
        "jarvis is 1.50 times as fast as hf_transfer",
        "aria2 is 1.50 times as fast as jarvis",
        "jarvis is 3.0 times as fast as aria2",
    ]
    assert overview.headline(overview.cases(FULL)) == "jarvis is the fastest in 2 of 3 cases"
    ElementTree.fromstring(overview.overview(FULL))


@pytest.mark.parametrize("ours_s", [0.99, 1.0, 1.01])
def test_next_to_nothing_is_nobodys_lead(ours_s):
    """Medians that differ by less than 2 % say nothing of who is faster."""
    case = overview.Case("alike", ours_s, [("curl", 1.0)])
    assert case.finding == "jarvis is as fast as curl"
    assert overview.headline([case]) == "jarvis is the fastest in 0 of 1 cases"


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text(f"before\n{publish.BEGIN}\nold figures\n{publish.END}\nafter\n")
    return tmp_path


def test_publishing_replaces_the_part_between_the_marks_again_and_again(repository):
    """What stands around it is the author's."""
    path = repository / "perf" / "results" / "made.json"
    for _ in range(2):
        assert publish.publish(FULL, path, repository) == repository / publish.CHART
        text = (repository / "README.md").read_text()
        assert text.startswith("before\n")
        assert text.endswith("\nafter\n")
        assert "old figures" not in text
        assert "(perf/results/made/report.md) of commit `0123456789ab`, 2026-01-02" in text
        assert text.count("docs/benchmark.svg") == 1


def test_quick_or_foreign_results_are_not_published(repository, tmp_path_factory):
    """One round decides nothing, and a report that nobody can read proves nothing."""
    with pytest.raises(ValueError, match="only a full run"):
        publish.publish(FULL | {"mode": "quick"}, repository / "made.json", repository)
    with pytest.raises(ValueError, match="not lie in the repository"):
        publish.publish(FULL, tmp_path_factory.mktemp("elsewhere") / "made.json", repository)
    (repository / "README.md").write_text("nothing here")
    with pytest.raises(ValueError, match="no part between"):
        publish.publish(FULL, repository / "made.json", repository)
    assert not (repository / publish.CHART).exists()
