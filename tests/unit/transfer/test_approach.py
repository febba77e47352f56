"""How a file is asked for: who finds the way, what the first answer decides, and when the way is forgotten."""

import msgspec
import pytest

from engine.remote_file import Identity, RemoteFile, RemoteName
from engine.spans import Span
from engine.transfer.approach import Approach
from engine.transfer.messages import Lease, Opened
from engine.transport.retry import Failure

URL, EDGE, NEWER = "https://h.example/m", "https://edge.example/m?sig=1", "https://edge.example/m?sig=2"


def approach() -> Approach:
    return Approach(RemoteFile(name=RemoteName.parse("m"), url=URL))


def lease(way: Approach, number: int = 1, size: int | None = 100) -> Lease:
    return way.lease(number, 0, 0, Span(0, 8), Identity(size=size), has_digest=False)


def opened(number: int = 1, *, url: str = EDGE, status: int = 206, size: int | None = 100) -> Opened:
    return Opened(0, number, 0, url, url != URL, status, Span(0, 8), Identity(size=size))


def test_first_lease_finds_the_way_alone():
    """Until the first answer comes, no other lease goes out; then all ask where it was found."""
    way = approach()
    first = lease(way, size=None)
    assert (first.url, first.is_probe, first.wants_facts, first.is_located, first.identity) == (
        URL,
        True,
        True,
        False,
        None,
    )
    assert not way.may_lease
    way.opened(opened())
    assert way.judge(opened()) == "ranges"
    assert way.may_lease
    second = lease(way, 2)
    assert (second.url, second.is_probe, second.wants_facts, second.is_located) == (EDGE, False, False, True)
    assert second.span == Span(0, 8)


def test_where_a_public_server_led_stays_public():
    """Every lease that goes there directly says so, for a name may be made to lead elsewhere; what was typed is asked
    without."""
    way = approach()
    assert not lease(way, size=None).must_be_public
    way.opened(msgspec.structs.replace(opened(), must_be_public=True))
    way.judge(opened())
    second = lease(way, 2)
    assert second.must_be_public
    way.failed(Failure(kind="expired", message="", url=EDGE, status=403), second)
    assert (lease(way, 3).url, lease(way, 3).must_be_public) == (URL, False)


def test_a_first_lease_that_fails_makes_room():
    """The next one finds the way instead."""
    way = approach()
    lease(way, 1)
    way.lease_ended(2)
    assert not way.may_lease
    way.lease_ended(1)
    assert way.may_lease
    assert lease(way, 3).wants_facts


JUDGED = [
    (206, 100, "ranges", Span(0, 8)),
    (206, None, "ask without range", None),
    (416, 0, "empty", Span(0, 8)),
    (416, None, "ask without range", None),
    (416, 100, "ask without range", None),
    (200, 100, "stream", None),
    (200, None, "stream", None),
]


@pytest.mark.parametrize(("status", "size", "manner", "next_span"), JUDGED)
def test_first_answer_decides(status, size, manner, next_span):
    """206 with a total: ranges. 416 with `*/0`: empty. Any other 416, and a total of `*`: once more without a range.
    200: one plain stream."""
    way = approach()
    lease(way)
    answer = opened(status=status, size=size)
    way.opened(answer)
    assert way.judge(answer) == manner
    way.lease_ended(1)
    following = lease(way, 2)
    assert following.span == next_span
    assert way.is_stream == (manner == "stream")
    assert way.has_ranges == (manner == "ranges")
    if manner == "ask without range":
        assert (following.url, following.is_probe, following.wants_facts) == (URL, True, True)


def test_expired_address_is_renewed_once():
    """Of eight lanes whose signed address has expired, the first makes us ask again; one lease alone does that, and
    a late complaint about the old address does not throw away the new one."""
    way = approach()
    lease(way)
    way.opened(opened())
    way.judge(opened())
    old = [lease(way, number) for number in range(2, 10)]
    way.failed(Failure(kind="expired", message="", status=403), old[0])
    renewing = lease(way, 10)
    assert (renewing.url, renewing.wants_facts, renewing.is_probe) == (URL, True, False)
    assert not way.may_lease
    way.opened(opened(10, url=NEWER))
    for late in old[1:]:
        way.failed(Failure(kind="expired", message="", status=403), late)
    assert lease(way, 11).url == NEWER


@pytest.mark.parametrize("kind", ["reset", "cut", "stalled", "slow", "connect", "status"])
def test_other_failures_keep_the_address(kind):
    """An address holds until it refuses; a broken connection says nothing about it."""
    way = approach()
    lease(way)
    way.opened(opened())
    way.judge(opened())
    way.failed(Failure(kind=kind, message="", status=503), lease(way, 2))
    assert lease(way, 3).url == EDGE


def test_without_redirect_nothing_is_located():
    """An address that is the file's own cannot expire."""
    way = approach()
    lease(way)
    way.opened(opened(url=URL))
    way.judge(opened(url=URL))
    assert not lease(way, 2).is_located
    assert "ranges" in repr(way)
