"""Which requests a fault strikes: it is counted when it happened, and only then."""

import re

import pytest

from tests.command import ROOT
from tests.origin import Origin
from tests.origin.faults import KINDS
from tests.unit.origin.made import MODEL, SIZE, Fetch, Make, get, raw


def test_filters_choose_requests(origin: Origin, curl: Fetch) -> None:
    """nth, times, range_start, method, path and when choose; a fault that strikes nothing has not fired."""
    origin.add("other", b"x")
    faults = {
        "nth": origin.fault("header", name="X-Nth", value="1", nth=2, path="m"),
        "times": origin.fault("header", name="X-Times", value="1", times=1),
        "start": origin.fault("header", name="X-Start", value="1", range_start=500),
        "method": origin.fault("header", name="X-Method", value="1", method="HEAD"),
        "when": origin.fault("header", name="X-When", value="1", when=lambda r: r.headers.has("X-Ask")),
    }
    first = curl(origin.url("other"))
    second = curl(origin.url("m"), "-r", "500-")
    third = curl(origin.url("m"), "-H", "X-Ask: yes")
    shown = [{k for k in got.headers if k in {f"x-{n}" for n in faults}} for got in (first, second, third)]
    assert shown == [{"x-times"}, {"x-start"}, {"x-nth", "x-when"}]
    assert {name: fault.fired for name, fault in faults.items()} == {
        "nth": 1, "times": 1, "start": 1, "method": 0, "when": 1,
    }  # fmt: skip


def test_chance_is_decided_by_the_seed(origin_factory: Make, curl: Fetch) -> None:
    """With a probability, the same seed strikes the same requests again."""

    def struck(seed: int) -> list[bool]:
        origin = origin_factory({"m": b"x"})
        origin.fault("header", name="X-Hit", value="1", probability=0.5, seed=seed)
        raw(origin, get("m") * 15 + get("m", "Connection: close"))
        return [bool(record.faults) for record in origin.requests]

    assert struck(1) == struck(1)
    assert struck(1) != struck(2)
    assert 0 < sum(struck(1)) < 16


def test_a_body_fault_beyond_the_end_has_not_fired(origin: Origin, curl: Fetch) -> None:
    """What never happened is not counted, nor is one of its times used up."""
    origin.fault("cut", after_bytes=SIZE, times=1)
    fault = origin.fault("cut", offset=60_000, times=1)
    assert curl(origin.url("m"), "-r", "0-59999").code == 0
    assert origin.fired("cut") == 0
    got = curl(origin.url("m"), "-r", "50000-")
    assert (got.code, len(got.body), fault.fired) == (18, 10_000, 1)
    assert curl(origin.url("m")).body == MODEL.read()


def test_misspelt_faults_and_options_are_refused(origin: Origin) -> None:
    """A fault or option that does not exist would be a test that tests nothing."""
    for name, options in [("stal", {}), ("stall", {"second": 1}), ("status", {}), ("limit_connections", {})]:
        with pytest.raises(TypeError):
            origin.fault(name, **options)
    with pytest.raises(TypeError):
        origin.fired("stal")


def test_behave_ends_faults(origin: Origin, curl: Fetch) -> None:
    """After behave() nothing fires, and what fired stays counted."""
    origin.fault("status", code=500)
    assert curl(origin.url("m")).status == 500
    origin.behave()
    assert curl(origin.url("m")).status == 200
    assert origin.fired("status") == 1


def test_every_fault_is_in_the_readme() -> None:
    """The list of faults that people read is the list that there is."""
    text = (ROOT / "tests/origin/README.md").read_text("utf-8")
    assert set(KINDS) <= set(re.findall(r"`([a-z0-9_]+)`", text))
