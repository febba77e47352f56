"""The rate limiter against a simulated clock: what lanes take over ten seconds is the rate, whoever takes it."""

import random

import pytest

from engine.transfer.cells import UNLIMITED, Cell, Cells
from engine.transfer.limiter import Limiter

STEP_S, TICK_STEPS, SECONDS = 0.01, 10, 10


def cells_of(count: int) -> list[Cell]:
    cells = Cells(count)
    return [cells[lane] for lane in range(count)]


def taken_over(rate: int, cells: list[Cell], speeds: list[float | None], *, deal_every: int = 0) -> float:
    """Bytes that lanes of these speeds (None: as fast as allowed) take in ten seconds, as a share of the rate."""
    limiter, now, total = Limiter(rate), 1000.0, 0
    limiter.deal(now, cells)
    for step in range(1, int(SECONDS / STEP_S) + 1):
        for cell, speed in zip(cells, speeds, strict=True):
            able = cell.room if speed is None else min(cell.room, int(speed * STEP_S))
            cell.add_taken(max(able, 0))
            total += max(able, 0)
        if step % TICK_STEPS == 0 or (deal_every and step % deal_every == 0):
            limiter.deal(now + step * STEP_S, cells)
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
        limiter.deal(now, at_work)
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
    limiter.deal(0.0, [cell])
    cell.add_taken(500)  # allowed were 100
    for tick in range(1, 5):
        limiter.deal(tick / 10, [cell])
        assert cell.room <= 0
    limiter.deal(0.55, [cell])
    assert cell.room > 0


def test_nothing_is_saved_up():
    """After a long pause there is a burst of a fifth of a second, not of the pause."""
    cells = cells_of(2)
    limiter = Limiter(1000)
    limiter.deal(0.0, cells)
    limiter.deal(60.0, cells)
    assert sum(cell.room for cell in cells) == 200


def test_a_lane_without_lease_holds_nothing():
    """What a lane had left when its lease ended goes to the others."""
    cells = cells_of(2)
    limiter = Limiter(1000)
    limiter.deal(0.0, cells)
    limiter.deal(0.1, cells[:1])
    assert cells[1].room == 0
    assert cells[0].room == 200


def test_shares_are_fair():
    """Lanes that all want more get the same."""
    cells = cells_of(4)
    limiter = Limiter(4000)
    for tick in range(20):
        limiter.deal(tick / 10, cells)
        assert len({cell.room for cell in cells}) == 1
        for cell in cells:
            cell.add_taken(cell.room)


def test_no_limit():
    """Without a rate every lane may take what it can, also after a time with one."""
    cells = cells_of(2)
    limiter = Limiter(1000)
    limiter.deal(0.0, cells)
    limiter.rate = None
    limiter.deal(0.1, cells)
    assert all(cell.room > UNLIMITED // 2 for cell in cells)
    limiter.rate = 500
    limiter.deal(0.2, cells)
    assert sum(cell.room for cell in cells) <= 200


def test_tiny_rate():
    """Even a byte a second arrives, alone or shared by more lanes than there are bytes."""
    assert taken_over(1, cells_of(1), [None]) == pytest.approx(1, abs=0.11)
    assert taken_over(10, cells_of(16), [None] * 16) == pytest.approx(1, abs=0.2)
