"""Which lanes are given up, how many there are, and what counts as an attempt: tables."""

import pytest

from engine.transfer.health import Attempts, LaneView, Pulse, Verdict, judge

MB = 1e6


def lane(number=1, age=10.0, silent=0.1, rate=10 * MB, *, waiting=False, throttled=False, writing=False):
    return LaneView(number, age, silent, rate, waiting, throttled, writing)


def others(*rates, age=10.0):
    return [lane(number, age, rate=rate) for number, rate in enumerate(rates, 100)]


STALLS = [
    (lane(silent=9.9), None),
    (lane(silent=10.1), "stalled"),
    (lane(silent=29.0, age=0.0, rate=0.0, waiting=True), None),
    (lane(silent=30.1, age=0.0, rate=0.0, waiting=True), "stalled"),
    (lane(silent=99.0, throttled=True), None),
    (lane(silent=99.0, writing=True), None),
    (lane(silent=99.0, age=0.0, rate=0.0), "stalled"),
]


@pytest.mark.parametrize(("view", "kind"), STALLS)
def test_stalled(view, kind):
    """No byte for the timeout, three times that before the first; our own limiter, or the disk, is no stall."""
    verdicts = judge([view], [], 10.0, first_byte_s=30.0, is_limited=False)
    assert [(v.lease, v.kind) for v in verdicts] == ([(1, kind)] if kind else [])


SLOWNESS = [
    ("three tenths are the line", lane(rate=2.9 * MB), others(10 * MB, 10 * MB), [], False, True),
    ("just above it", lane(rate=3.1 * MB), others(10 * MB, 10 * MB), [], False, False),
    ("too young to judge", lane(rate=0.1 * MB, age=0.4), others(10 * MB, 10 * MB, 10 * MB), [], False, False),
    ("two lanes have no median", lane(rate=0.1 * MB), others(10 * MB), [], False, False),
    ("lanes that have finished count", lane(rate=0.1 * MB), [], [10 * MB, 12 * MB], False, True),
    ("alone, against the finished", lane(rate=9 * MB), [], [10 * MB, 12 * MB], False, False),
    ("under a rate limit nobody is slow", lane(rate=0.1 * MB), others(10 * MB, 10 * MB), [], True, False),
    ("throttled", lane(rate=0.1 * MB, throttled=True), others(10 * MB, 10 * MB), [], False, False),
    ("at the disk", lane(rate=0.1 * MB, writing=True), others(10 * MB, 10 * MB), [], False, False),
    (
        "the disk holds up half of them",
        lane(rate=0.1 * MB),
        [lane(number, rate=10 * MB, writing=number > 100) for number in range(100, 103)],
        [],
        False,
        False,
    ),
    ("the line went down", lane(rate=0.1 * MB), [lane(2, rate=0)], [10 * MB, 12 * MB], False, False),
    ("all slow alike", lane(rate=0.1 * MB), others(0.1 * MB, 0.1 * MB), [], False, False),
    (
        "young ones do not set the measure",
        lane(rate=1 * MB),
        others(50 * MB, 50 * MB, age=0.4),
        [],
        False,
        False,
    ),
]


@pytest.mark.parametrize(
    ("view", "rest", "finished", "limited", "is_slow"),
    [case[1:] for case in SLOWNESS],
    ids=[c[0] for c in SLOWNESS],
)
def test_slow(view, rest, finished, limited, is_slow):
    """After half a second under three tenths of the median of all lanes, those that have finished included."""
    verdicts = judge([view, *rest], finished, 10.0, first_byte_s=30.0, is_limited=limited)
    assert verdicts == ([Verdict(1, "slow", view.age_s)] if is_slow else [])


def test_stalled_goes_before_slow():
    """A lane that is both is stalled, once."""
    verdicts = judge(
        [lane(silent=11, rate=0), *others(10 * MB, 10 * MB)], [], 10.0, first_byte_s=30.0, is_limited=False
    )
    assert [v.kind for v in verdicts] == ["stalled"]


def test_pulse():
    """The rate is that of the last three seconds, and decays to nothing when nothing comes."""
    pulse = Pulse(0.0, 1000)
    assert pulse.rate_bytes_s == 0.0
    for tick in range(1, 101):
        pulse.sample(tick / 10, 1000 + 100 * tick)
    assert pulse.rate_bytes_s == pytest.approx(1000)
    for tick in range(101, 116):
        pulse.sample(tick / 10, 11_000)
    assert pulse.rate_bytes_s == pytest.approx(500)
    for tick in range(116, 140):
        pulse.sample(tick / 10, 11_000)
    assert pulse.rate_bytes_s == 0.0


def test_pulse_of_one_moment():
    """Two samples at the same time divide by nothing."""
    pulse = Pulse(5.0, 0)
    pulse.sample(5.0, 100)
    assert pulse.rate_bytes_s == 0.0


def test_attempts_of_one_round_count_once():
    """Eight lanes that lose one server are one failure, not eight."""
    attempts = Attempts(3)
    assert [attempts.failed(0, 0) for _ in range(8)] == [True] + [False] * 7
    assert attempts.count == 1


def test_attempts_end():
    """Three further attempts after a failure: the fourth failure without progress is the end."""
    attempts = Attempts(3)
    for expected in (False, False, False, True):
        assert attempts.failed(attempts.round, 0)
        assert attempts.are_exhausted == expected


def test_attempts_start_again_with_progress():
    """Counted anew once the file got further than ever; the same furthest point again is no progress."""
    attempts = Attempts(1)
    for furthest in (0, 100, 200, 300):
        attempts.failed(attempts.round, furthest)
        assert attempts.count == 1
    attempts.failed(attempts.round, 300)
    assert attempts.are_exhausted


def test_no_retries():
    """With no further attempts allowed the first failure is the last."""
    attempts = Attempts(0)
    attempts.failed(0, 0)
    assert attempts.are_exhausted
