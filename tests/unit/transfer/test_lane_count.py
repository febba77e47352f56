"""engine.transfer.lane_count: the climb, on links that are made up of a rate by number of lanes."""

from collections.abc import Callable

import pytest

from engine.transfer.lane_count import CEILING, FIRST, Figures, LaneCount

MB = 1_000_000
TICK_S = 0.02


class Link:
    """A link that gives rate(lanes) bytes a second; a new lane delivers start_s after it was called for."""

    def __init__(
        self, rate: Callable[[int], float], start_s: float = 0.01, learned: int | None = None
    ) -> None:
        self.count = LaneCount(learned=learned)
        self.now = 0.0
        self.levels = [self.count.now]
        self.rate, self._start_s = rate, start_s
        self._received = 0.0
        self._delivering, self._called_at = 0, 0.0

    def run(self, seconds: float, *, may_grow: bool = True, is_full: bool = True) -> int:
        """The number of lanes after so long."""
        for _ in range(round(seconds / TICK_S)):
            self.now += TICK_S
            if self.now - self._called_at >= self._start_s:
                self._delivering = max(self._delivering, self.count.now)
            self._received += self.rate(min(self._delivering, self.count.now)) * TICK_S
            self.count.look(Figures(self.now, int(self._received), self._delivering, may_grow, is_full))
            if self.count.now != self.levels[-1]:
                self.levels.append(self.count.now)
                self._called_at = self.now
        return self.count.now


def test_connections_that_are_capped_one_by_one_get_the_ceiling():
    """Each step brings in proportion, so all lanes are at work within half a second."""
    link = Link(lambda lanes: lanes * 40 * MB)
    assert link.run(0.5) == CEILING
    assert link.levels == [4, 16, 32]
    link.run(60.0)
    assert link.levels == [4, 16, 32]
    assert (link.count.learned, link.count.is_in_proportion) == (32, True)


def test_a_link_that_is_full_is_not_crowded():
    """The first step brings nothing and is taken back; then a lane more is tried now and then, ever more rarely."""
    link = Link(lambda lanes: 100 * MB if lanes else 0)
    link.run(2.0)
    assert (link.levels, link.count.learned) == ([4, 16, 8, 4], 4)
    assert not link.count.is_in_proportion
    link.run(300.0)
    assert link.levels[4:] == [5, 4] * (len(link.levels[4:]) // 2)
    assert len(link.levels) <= 4 + 2 * 7


def test_a_link_that_fills_on_the_way_is_filled():
    """Ten lanes' worth: sixteen bring more than four, 32 no more than sixteen."""
    link = Link(lambda lanes: min(lanes, 10) * 10 * MB)
    assert link.run(2.0) == 16
    assert link.levels == [4, 16, 32, 16]


def test_a_link_that_collapses_under_many_lanes_goes_back_and_comes_near_in_small_steps():
    """More lanes that bring less are given up; what is between is found by a quarter at a time."""
    link = Link(lambda lanes: lanes * 10 * MB if lanes <= 12 else 20 * MB)
    assert link.run(2.0) == 8
    assert link.levels == [4, 16, 8]
    link.run(120.0)
    assert link.count.learned is None or 9 <= link.count.learned <= 12


def test_a_link_that_comes_to_throttle_many_lanes_gets_fewer():
    """Goodput has fallen and half the lanes bring as much, and half of those more: they stay."""
    link = Link(lambda lanes: lanes * 10 * MB)
    assert link.run(5.0) == CEILING
    link.rate = lambda lanes: lanes * 10 * MB if lanes <= 8 else 50 * MB
    link.run(20.0)
    assert link.levels[:7] == [4, 16, 32, 16, 8, 4, 8]
    link.rate = lambda lanes: lanes * 10 * MB
    assert link.run(120.0) == CEILING, "and when that is over, all"


def test_a_link_that_has_just_become_slower_keeps_its_lanes():
    """Half of them bring half: they come back."""
    link = Link(lambda lanes: lanes * 10 * MB)
    link.run(5.0)
    link.rate = lambda lanes: lanes * 2 * MB
    link.run(20.0)
    assert link.levels[-3:] == [32, 16, 32]


def test_bursts_do_not_pass_for_goodput():
    """A paced server may send a little ten times a second: a level is looked at for several bursts."""
    count, received, levels = LaneCount(), 0, [4]
    for tick in range(200):
        received += 10 * MB if tick % 5 == 0 else 0  # in all, however many lanes
        count.look(Figures(tick * TICK_S, received, 32, may_grow=True, silent_s=TICK_S * (tick % 5)))
        if count.now != levels[-1]:
            levels.append(count.now)
    assert levels == [4, 16, 8, 4]


@pytest.mark.parametrize("start_s", [0.0, 0.3, 1.5])
def test_connecting_is_not_held_against_a_level(start_s):
    """A level is judged when all its lanes have delivered, however long that takes."""
    link = Link(lambda lanes: lanes * 10 * MB, start_s)
    assert link.run(30.0) == CEILING
    assert link.levels == [4, 16, 32]


def test_what_is_held_up_on_this_side_does_not_grow():
    """A busy processor, a rate limit, too little work: more lanes cannot help. It may change."""
    link = Link(lambda lanes: lanes * 10 * MB)
    assert link.count.is_eager
    assert link.run(10.0, may_grow=False) == FIRST
    assert not link.count.is_eager
    assert link.count.learned is None
    assert link.run(10.0) == CEILING


def test_lanes_without_work_say_nothing_of_the_link():
    """The end of a file, when most of them have nothing to do, is not judged."""
    link = Link(lambda lanes: lanes * 10 * MB)
    link.run(5.0)
    link.rate = lambda _: 1 * MB
    assert link.run(20.0, is_full=False) == CEILING


def test_what_was_learned_is_where_the_next_pull_begins():
    """Half of it, at once: nothing is taken on trust that does not pay today."""
    link = Link(lambda lanes: lanes * 10 * MB, learned=32)
    assert link.run(2.0) == 32
    assert link.levels == [16, 32]
    link = Link(lambda lanes: lanes * 10 * MB if lanes <= 16 else 20 * MB, learned=32)
    assert link.run(2.0) == 16
    assert link.levels == [16, 32, 16]
    assert (LaneCount(learned=99).now, LaneCount(learned=1).now) == (CEILING // 2, FIRST)


def test_a_number_that_was_asked_for_is_taken_at_once():
    """And neither more nor fewer."""
    count = LaneCount(12)
    assert (count.now, count.is_climbing) == (12, False)
    for tick in range(100):
        count.look(Figures(tick / 10, tick * MB, delivering=12, may_grow=True))
    assert (count.now, count.learned) == (12, None)


def test_pushback_ends_the_climb_and_recovers_slowly():
    """Halved at most once a second, never below one; one more after each five quiet seconds, up to what it was."""
    count = LaneCount(8)
    count.pushed_back(100.0, 8)
    count.pushed_back(100.5, 8)
    assert count.now == 4
    for moment in (101.0, 102.0, 103.0, 104.0):
        count.pushed_back(moment, 8)
    assert count.now == 1
    for quiet, expected in enumerate((2, 3, 4, 5, 6, 7, 8, 8), start=1):
        count.recover(104.0 + 5 * quiet - 0.1)
        assert count.now == expected - 1 or expected == 8
        count.recover(104.0 + 5 * quiet)
        assert count.now == expected


def test_pushback_while_climbing_returns_to_the_last_level_that_was_good():
    """The level that a server refused is not tried again."""
    link = Link(lambda lanes: lanes * 10 * MB, start_s=1.0)
    link.run(1.5)
    assert link.count.now == 16
    link.count.pushed_back(link.now + 2.0, 8)
    assert (link.count.now, link.count.is_climbing) == (4, False)
    link.count.recover(link.now + 100.0)
    assert link.count.now == 4


def test_pushback_halves_what_is_at_work():
    """Where fewer lanes work than may, they are what is halved."""
    count = LaneCount(32)
    count.pushed_back(10.0, 4)
    assert count.now == 2


# Small files behind a long round trip


def after_answers(wait_s: float, receive_s: float, *, levels: int = 5, may_grow: bool = True) -> int:
    """The number of lanes when at each tick every lane has had such an answer; the rate says nothing yet."""
    count = LaneCount()
    for tick in range(1, levels + 1):
        for _ in range(count.now):
            count.answered(wait_s, receive_s)
        count.look(Figures(tick * TICK_S, 0, 0, may_grow))
    return count.now


def test_lanes_that_mostly_wait_for_a_far_server_double_at_once():
    """Their number is what a thousand small files behind 20 ms need, and a judgement would cost half a second each."""
    assert after_answers(0.020, 0.002, levels=3) == CEILING
    assert after_answers(0.020, 0.002) == CEILING


def test_lanes_that_mostly_receive_are_judged_by_their_rate():
    """A far server that sends much is full or not, which only the rate tells."""
    assert after_answers(0.020, 0.050) == FIRST


def test_waiting_for_a_near_server_is_no_reason():
    """It is the processors that are busy."""
    assert after_answers(0.002, 0.0001) == FIRST


def test_lanes_do_not_double_without_work():
    """Three files need no 32 lanes."""
    assert after_answers(0.020, 0.002, may_grow=False) == FIRST


def test_one_slow_answer_makes_no_far_server():
    """The shortest wait is the round trip."""
    count = LaneCount()
    for wait_s in (0.5, 0.5, 0.001, 0.5):
        count.answered(wait_s, 0.0)
    count.look(Figures(TICK_S, 0, 0, may_grow=True))
    assert count.now == FIRST
