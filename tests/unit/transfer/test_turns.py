"""engine.transfer.turns: whose file gets the next lane."""

from types import SimpleNamespace
from typing import Any

from engine.transfer.turns import Turns


def files(origins: str, out: int = 0) -> list[Any]:
    return [
        SimpleNamespace(number=i, origin=origin, leases=SimpleNamespace(out=[0] * out))
        for i, origin in enumerate(origins)
    ]


def chosen(turns: Turns, transfers: list[Any], lanes: int, *, is_limited: bool = False) -> str:
    """Origins of the files that get so many lanes, where each file wants one."""
    left, origins = list(transfers), ""
    turns.begin(left, is_limited=is_limited)
    while left and len(origins) < lanes:
        transfer = turns.next(left)
        turns.given(transfer)
        left.remove(transfer)
        origins += transfer.origin
    return origins


def test_origins_that_have_not_answered_share() -> None:
    """Else the first would have all lanes, and keep them if it is silent."""
    assert chosen(Turns(), files("sssssggg"), 6) == "sgsgsg"


def test_who_has_answered_comes_first() -> None:
    """But for one lane, on which the other may answer."""
    turns, transfers = Turns(), files("sssssggg")
    turns.heard(transfers[-1])
    assert chosen(turns, transfers, 5) == "sgggs"


def test_one_origin_has_its_files_in_order() -> None:
    """So that one after the other is done."""
    turns, transfers = Turns(), files("aaa", out=2)
    turns.begin(transfers, is_limited=False)
    assert turns.next(transfers) is transfers[0]
    turns.heard(transfers[0])
    turns.begin(transfers, is_limited=False)
    assert turns.next(transfers) is transfers[0]


def test_under_a_rate_limit_the_file_with_the_fewest_lanes_is_next() -> None:
    """They share the rate."""
    turns, transfers = Turns(), [*files("a", out=2), *files("a", out=1)]
    turns.heard(transfers[0])
    turns.begin(transfers, is_limited=True)
    assert turns.next(transfers) is transfers[1]
