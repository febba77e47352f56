"""What was fetched twice is charged to the kill that caused it."""

from engine.spans import Span
from tests.torture.accounts import Delivery, settle


def deliveries(*given: tuple[int, int, float]) -> list[Delivery]:
    return [Delivery(Span(start, stop), ended) for start, stop, ended in given]


def test_what_comes_once_costs_nothing() -> None:
    """Neither beside each other, nor one after the other, nor around a kill."""
    account = settle(deliveries((0, 100, 1.0), (100, 130, 2.0), (130, 200, 3.0)), [2.0])
    assert (account.by_kill, account.otherwise) == ([0], 0)


def test_what_comes_again_is_charged_to_the_kill_that_ended_it() -> None:
    """Not to the one before, nor to that at which the second copy was lost or won."""
    account = settle(deliveries((0, 100, 10.01), (60, 120, 20.02), (110, 200, 30.0)), [10.0, 20.0])
    assert account.by_kill == [40, 10]


def test_each_copy_beyond_the_last_counts() -> None:
    """Fetched three times is twice too often."""
    account = settle(deliveries((0, 100, 10.0), (0, 100, 20.0), (0, 100, 30.0)), [10.0, 20.0])
    assert account.by_kill == [100, 100]


def test_copies_of_a_lane_that_nobody_killed_are_told_apart() -> None:
    """A lease that was cut short long after the kill."""
    account = settle(deliveries((0, 100, 10.0), (90, 200, 15.0)), [13.0])
    assert (account.by_kill, account.otherwise) == ([0], 10)
