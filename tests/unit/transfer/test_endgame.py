"""engine.transfer.endgame: what an idle lane takes over, in tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.transfer.endgame import Cut, Rest, choose_cut, may_waste
from tests.properties import steady

MB = 1_000_000
MIB = 1 << 20


def rest(lease: int, mib: float, rate: float, start: int = 0) -> Rest:
    return Rest(lease, start, start + int(mib * MIB), rate)


CHOICES = [
    ("nobody is at work", [], None),
    ("what is over at once is left alone", [rest(1, 0.5, 50 * MB)], None),
    ("alike: half", [rest(1, 16, 40 * MB)], (1, 8 * MIB)),
    ("the last to end is chosen", [rest(1, 8, 40 * MB), rest(2, 8, 20 * MB)], (2, 2.7 * MIB)),
    ("and not the longest", [rest(1, 32, 400 * MB), rest(2, 8, 20 * MB)], (2, 2.7 * MIB)),
    ("a crawling one keeps little", [rest(1, 8, 1 * MB)], (1, 0.25 * MIB)),
    ("one that stands still loses all", [rest(1, 8, 0)], (1, 0)),
]


@pytest.mark.parametrize(("rests", "expected"), [case[1:] for case in CHOICES], ids=[c[0] for c in CHOICES])
def test_what_is_taken_over(rests: list[Rest], expected: tuple[int, float] | None) -> None:
    """By a lane that gets 40 MB/s after 1 ms."""
    cut = choose_cut(rests, 40 * MB, 0.001)
    if expected is None:
        assert cut is None
    else:
        assert cut is not None
        lease, stop = expected
        assert cut.lease == lease
        assert cut.stop == pytest.approx(stop, abs=MIB // 5)


@pytest.mark.parametrize("left", [1 << 16, 50_000, 1000])
@pytest.mark.parametrize("start", [1 << 20, (1 << 20) + 17])
def test_the_last_of_a_crawling_lane_goes_too(left: int, start: int) -> None:
    """However little it is: nothing stays with a lane that would keep the file waiting for seconds."""
    assert choose_cut([Rest(1, start, start + left, 2000)], 40 * MB, 0.001) == Cut(1, start)


def test_a_long_way_is_not_gone_for_a_short_gain() -> None:
    """Asking anew must pay for its own round trip, twice."""
    assert choose_cut([rest(1, 16, 40 * MB)], 40 * MB, 0.02) is not None
    assert choose_cut([rest(1, 16, 40 * MB)], 40 * MB, 0.2) is None


def test_nothing_is_promised_of_a_lane_that_gets_nothing() -> None:
    """While nobody has got a byte there is nothing to compare."""
    assert choose_cut([rest(1, 8, 0)], 0.0, 0.001) is None


@given(
    start=st.integers(0, 1 << 45),
    length=st.integers(1, 1 << 35),
    rate=st.floats(0, 1e10),
    idle_rate=st.floats(0, 1e10),
    delay_s=st.floats(0, 5),
)
@steady(200)
def test_a_cut_is_within_the_rest_and_pays(
    start: int, length: int, rate: float, idle_rate: float, delay_s: float
) -> None:
    """The holder keeps a part that it ends with no later than it would have; the newcomer is faster with the rest than
    the holder would have been with all of it."""
    whole = Rest(7, start, start + length, rate)
    cut = choose_cut([whole], idle_rate, delay_s)
    if cut is None:
        return
    assert start <= cut.stop < start + length
    newcomer_s = delay_s + (whole.stop - cut.stop) / idle_rate
    assert newcomer_s < whole.seconds or rate < 1


def test_what_may_be_thrown_away() -> None:
    """2 % of a file, 32 MiB of a small one."""
    assert may_waste(31 * MIB, 1 * MIB)
    assert not may_waste(32 * MIB, 1 * MIB)
    assert may_waste(100 * MIB, 10_000 * MIB)
    assert not may_waste(200 * MIB, 10_000 * MIB)
