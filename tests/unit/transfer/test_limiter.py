"""The rate limiter against a simulated clock: what lanes take over ten seconds is the rate, whoever takes it."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.transfer.cells import UNLIMITED, Cell, Cells
from engine.transfer.limiter import FEW, Limiter, max_min
from tests.properties import steady

STEP_S, TICK_STEPS, SECONDS = 0.01, 10, 10


def cells_of(count: int) -> list[Cell]:
    cells = Cells(count)
    return [cells[lane] for lane in range(count)]


def taken_over(rate: int, cells: list[Cell], speeds: list[float | None], *, deal_every: int = 0) -> float:
    """Bytes that lanes of these speeds (None: as fast as allowed) take in ten seconds, as a share of the rate."""
    limiter, now, total = Limiter(rate), 1000.0, 0
    limiter.deal(now, [cells])
    for step in range(1, int(SECONDS / STEP_S) + 1):
        for cell, speed in zip(cells, speeds, strict=True):
            able = cell.room if speed is None else min(cell.room, int(speed * STEP_S))
            cell.add_taken(max(able, 0))
            total += max(able, 0)
        if step % TICK_STEPS == 0 or (deal_every and step % deal_every == 0):
            limiter.deal(now + step * STEP_S, [cells])
    return total / (rate * SECONDS)


RATES = [10**6, 10**7, 10**8, 10**9]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_sum_is_the_rate(rate, lanes):
    """Lanes that can use more get the rate together, within 3 % over 10 s."""
    assert taken_over(rate, cells_of(lanes), [None] * lanes) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("lanes", [4, 16])
@pytest.mark.parametrize("fast", [1, 2])
def test_what_some_lanes_leave_the_others_get(rate, lanes, fast):
    """The rate is reached although most lanes stall or trickle: their shares are not lost."""
    for slow in (0.0, rate / (20 * lanes)):
        speeds = [None] * fast + [slow] * (lanes - fast)
        assert taken_over(rate, cells_of(lanes), speeds) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("lanes", [4, 16])
def test_lanes_that_cannot_use_the_rate_are_not_held_back(lanes):
    """Where the network is slower than the limit, the limiter costs nothing."""
    speed = 10**7 / lanes / 2
    assert taken_over(10**7, cells_of(lanes), [speed] * lanes) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("deal_every", [1, 3, 7])
def test_deals_between_ticks_grant_nothing_twice(deal_every):
    """A lease that is sent between two ticks deals too; the sum stays the rate."""
    speeds = [None, None, 3e5, 0.0]
    assert taken_over(10**7, cells_of(4), speeds, deal_every=deal_every) == pytest.approx(1, abs=0.03)


def test_sum_stays_the_rate_while_lanes_come_go_and_change():
    """Random speeds, lanes that start and end, deals at random moments: never more than the rate and a short burst."""
    chance, rate, cells = random.Random(7), 10**7, cells_of(16)
    limiter, now, total = Limiter(rate), 0.0, 0
    at_work = cells[:4]
    speeds = dict.fromkeys(cells, 1e9)
    while now < SECONDS:
        now += chance.uniform(0.001, 0.05)
        limiter.deal(now, [at_work])
        assert total + sum(max(cell.room, 0) for cell in cells) <= rate * (now + 0.3)
        for cell in at_work:
            took = min(max(cell.room, 0), int(speeds[cell] * 0.01))
            cell.add_taken(took)
            total += took
        if chance.random() < 0.2:
            at_work = chance.sample(cells, chance.randint(1, 16))
            speeds = {cell: chance.choice([0.0, 1e5, 1e6, 1e9]) for cell in cells}
    assert total <= rate * SECONDS * 1.03


def test_bytes_taken_beyond_the_allowance_are_paid_back():
    """A read that was under way when an allowance shrank is a debt: the next shares are smaller by it."""
    (cell,) = cells_of(1)
    limiter = Limiter(1000)
    limiter.deal(0.0, [[cell]])
    cell.add_taken(500)  # allowed were 100
    for tick in range(1, 5):
        limiter.deal(tick / 10, [[cell]])
        assert cell.room <= 0
    limiter.deal(0.55, [[cell]])
    assert cell.room > 0


def test_nothing_is_saved_up():
    """After a long pause there is a burst of a quarter of a second, not of the pause."""
    cells = cells_of(2)
    limiter = Limiter(1000)
    limiter.deal(0.0, [cells])
    limiter.deal(60.0, [cells])
    assert sum(cell.room for cell in cells) == 250


def test_a_lane_without_lease_holds_nothing():
    """What a lane had left when its lease ended goes to the others."""
    cells = cells_of(2)
    limiter = Limiter(1000)
    limiter.deal(0.0, [cells])
    limiter.deal(0.1, [cells[:1]])
    assert cells[1].room == 0
    assert cells[0].room == 200


def test_a_new_lease_needs_a_deal_only_where_its_lane_holds_nothing():
    """Small files bring a thousand leases a second, whose lanes have something left of the one before."""
    old, new = cells_of(2)
    limiter = Limiter(1000)
    limiter.deal(0.0, [[old]])
    assert (limiter.must_deal_to(old), limiter.must_deal_to(new)) == (False, True)
    old.add_taken(old.room)
    assert limiter.must_deal_to(old)
    limiter.rate = None
    assert not limiter.must_deal_to(new)


def test_shares_are_fair():
    """Lanes that all want more get the same."""
    cells = cells_of(4)
    limiter = Limiter(4000)
    for tick in range(20):
        limiter.deal(tick / 10, [cells])
        assert len({cell.room for cell in cells}) == 1
        for cell in cells:
            cell.add_taken(cell.room)


def test_no_limit():
    """Without a rate every lane may take what it can, also after a time with one."""
    cells = cells_of(2)
    limiter = Limiter(1000)
    limiter.deal(0.0, [cells])
    limiter.rate = None
    limiter.deal(0.1, [cells])
    assert all(cell.room > UNLIMITED // 2 for cell in cells)
    limiter.rate = 500
    limiter.deal(0.2, [cells])
    assert sum(cell.room for cell in cells) <= 200


def test_tiny_rate():
    """Even a byte a second arrives, alone or shared by more lanes than there are bytes."""
    assert taken_over(1, cells_of(1), [None]) == pytest.approx(1, abs=0.11)
    assert taken_over(10, cells_of(16), [None] * 16) == pytest.approx(1, abs=0.2)


class Files:
    """Files with lanes of given speeds (bytes a second; None: as fast as allowed), under one limiter."""

    def __init__(self, rate: int, *speeds: list[float | None]) -> None:
        cells = iter(cells_of(sum(map(len, speeds))))
        self.lanes = [[(next(cells), speed) for speed in each] for each in speeds]
        self.limiter = Limiter(rate)
        self.now = 0.0

    def run(self, seconds: float) -> list[float]:
        """Bytes a second of each file, over so long; lanes look ten times between two deals."""
        before = [self._taken(lanes) for lanes in self.lanes]
        for step in range(round(seconds / STEP_S)):
            if step % TICK_STEPS == 0:
                self.limiter.deal(self.now, [[cell for cell, _ in lanes] for lanes in self.lanes])
            for lanes in self.lanes:
                for cell, speed in lanes:
                    able = math.inf if speed is None else speed * STEP_S
                    cell.add_taken(int(min(max(cell.room, 0), able)))
            self.now += STEP_S
        return [(self._taken(lanes) - was) / seconds for lanes, was in zip(self.lanes, before, strict=True)]

    @staticmethod
    def _taken(lanes: list[tuple[Cell, float | None]]) -> int:
        return sum(cell.taken for cell, _ in lanes)


SHARES = {
    "one lane and many": ([[None], [None] * 7], [5e6, 5e6]),
    "three files": ([[None] * 2, [None], [None] * 9], [3.33e6] * 3),
    "one cannot use its share": ([[1e6], [None] * 3], [1e6, 9e6]),
    "one has a lane that hangs": ([[None, 0.0], [None] * 2], [5e6, 5e6]),
    "one hangs": ([[0.0] * 4, [None]], [0.0, 10e6]),
    "lanes of unequal speed": ([[0.5e6, 1e6, None], [None]], [5e6, 5e6]),
    "nobody can": ([[1e6], [2e6] * 2], [1e6, 4e6]),
}


@pytest.mark.parametrize(("speeds", "expected"), SHARES.values(), ids=SHARES)
def test_files_have_equal_shares_as_far_as_they_can_use_them(speeds, expected):
    """Whatever their number of lanes; what one leaves the others get, and the sum is the rate."""
    files = Files(10**7, *speeds)
    files.run(1.0)
    assert files.run(9.0) == pytest.approx(expected, rel=0.03, abs=1e4)


@pytest.mark.parametrize("slack", [1.0, 1.02, 1.1, 1.5])
@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_a_limit_near_what_the_lanes_can_do_costs_nothing(slack, lanes):
    """Lanes that are hardly faster than the rate need all of their time, and are left it."""
    rate = 10**9
    files = Files(rate, [slack * rate / lanes] * lanes)
    files.run(1.0)
    assert sum(files.run(10.0)) == pytest.approx(rate, rel=0.03)


def test_another_rate_holds_from_the_next_deal_on():
    """Up, down and up again: what was granted under the old one does not count."""
    files = Files(10**8, [None] * 4)
    for rate in (10**8, 10**6, 10**7):
        files.limiter.rate = rate
        assert sum(files.run(10.0)) == pytest.approx(rate, rel=0.03)


def test_a_rate_that_is_used_up_is_known_to_be():
    """More lanes then bring nothing; where lanes cannot use it, they may."""
    for speed, expected in ((None, True), (2e6, False)):
        files = Files(10**7, [speed] * 4)
        files.run(1.0)
        assert files.limiter.is_reached is expected
    files.limiter.rate = None
    files.run(0.1)
    assert not files.limiter.is_reached


@pytest.mark.parametrize(
    ("rate", "lanes"), [(1, FEW), (10**6, FEW), (4 * 10**6, FEW), (10**7, 10), (10**9, 1000)]
)
def test_low_rates_are_for_few_lanes(rate, lanes):
    """A lane for every MB/s, four at least."""
    assert Limiter(rate).most_lanes == lanes
    assert Limiter(None).most_lanes > 1000


BUFFERS = [
    (None, 4, 0),
    (10**5, 4, 1 << 14),
    (10**6, 4, 37_500),
    (10**6, 1, 150_000),
    (10**7, 4, 375_000),
    (10**7, 1, 0),
    (10**8, 4, 0),
]


@pytest.mark.parametrize(("rate", "lanes", "expected"), BUFFERS)
def test_the_kernel_takes_little_ahead_of_slow_lanes(rate, lanes, expected):
    """0.15 s of a lane's share; lanes that are fast get what the kernel sees fit."""
    assert Limiter(rate).receive_buffer(lanes) == expected


amounts = st.floats(0, 1e12)


@given(amounts, st.lists(st.one_of(amounts, st.just(math.inf)), min_size=1, max_size=20))
@steady()
def test_max_min(amount, wishes):
    """All is shared; nobody who gets less than it wishes gets less than another, unless all wishes are fulfilled."""
    shares = max_min(amount, wishes)
    assert sum(shares) == pytest.approx(amount, abs=1e-3)
    unfulfilled = [share for share, wish in zip(shares, wishes, strict=True) if share < wish * (1 - 1e-9)]
    if unfulfilled:
        assert min(unfulfilled) >= max(shares) * (1 - 1e-9) - 1e-3
