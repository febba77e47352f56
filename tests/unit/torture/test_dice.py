"""A run of torture can be repeated, and covers what it says."""

import signal

from tests.torture.dice import SEGMENT, SIZES, draw

CASES = [draw(3, number) for number in range(200)]
BLOWS = [blow for case in CASES for blow in case.blows]


def test_a_seed_makes_the_same_cases() -> None:
    """And another one others."""
    assert [draw(3, number) for number in range(200)] == CASES
    assert [draw(4, number) for number in range(200)] != CASES


def test_all_sizes_and_victims_have_their_turn() -> None:
    """A third of the blows fall on workers, most are SIGKILL, and only coordinators get others."""
    assert {case.size for case in CASES} == set(SIZES)
    assert len({case.seed for case in CASES if case.size == SIZES[0]}) > 3
    assert sum(blow.victim == "worker" for blow in BLOWS) > len(BLOWS) / 3
    assert sum(blow.signal == signal.SIGKILL for blow in BLOWS) > len(BLOWS) / 2
    assert {blow.victim for blow in BLOWS if blow.signal != signal.SIGKILL} == {"coordinator"}
    assert all(case.beat_bytes <= SEGMENT for case in CASES)
