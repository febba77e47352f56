"""The range and precondition rules of RFC 9110 as the server keeps them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.server.conditions import Verdict, format_content_range, judge, parse_range
from engine.spans import Span
from engine.transport.ranges import format_range, parse_content_range
from tests.fuzz.bounds import bounded, guarded

ETAG = '"abc"'
NOTHING = Span(0, 0)


@pytest.mark.parametrize(
    ("text", "size", "span"),
    [
        ("0-0", 10, Span(0, 1)),
        ("0-9", 10, Span(0, 10)),
        ("3-5", 10, Span(3, 6)),
        ("3-", 10, Span(3, 10)),
        ("0-10", 10, Span(0, 10)),
        ("9-99999999999999999999999999", 10, Span(9, 10)),
        ("-3", 10, Span(7, 10)),
        ("-99", 10, Span(0, 10)),
        ("00-05", 10, Span(0, 6)),
        ("10-", 10, NOTHING),
        ("10-12", 10, NOTHING),
        ("5-4", 10, NOTHING),
        ("-0", 10, NOTHING),
        ("0-0", 0, NOTHING),
        ("-5", 0, NOTHING),
        ("", 10, NOTHING),
        ("-", 10, NOTHING),
        ("a-b", 10, NOTHING),
        ("+1-2", 10, NOTHING),
        ("1 - 2", 10, NOTHING),
        ("1--2", 10, NOTHING),
        ("0x1-2", 10, NOTHING),
        ("\u0661-\u0662", 10, NOTHING),
        ("1_0-20", 100, NOTHING),
        ("9" * 31 + "-", 10, NOTHING),
    ],
)
def test_parse_range_table(text: str, size: int, span: Span) -> None:
    """A range selects what RFC 9110 §14.1.2 says, an end beyond the file is cut, all else selects nothing."""
    got = parse_range(text, size)
    assert (got == span) if span else not got


@given(st.integers(1, 1 << 50), st.data())
def test_parse_range_reads_what_our_client_writes(size: int, data: st.DataObject) -> None:
    """What the client's side formats, the server's side reads, and its Content-Range the client accepts."""
    start = data.draw(st.integers(0, size - 1))
    span = Span(start, data.draw(st.integers(start + 1, size)))
    verdict = judge("GET", {"Range": format_range(span)}, ETAG, size)
    assert verdict == Verdict(206, span)
    answer = parse_content_range(format_content_range(span, size))
    assert answer and (answer.span, answer.total) == (span, size)


@given(st.text(alphabet="0123456789-, =bytes\t", max_size=30), st.integers(0, 99))
def test_judge_range_never_leaves_the_file(text: str, size: int) -> None:
    """Whatever a Range says, the answer's bytes lie inside the file and fit its status."""
    verdict = judge("GET", {"Range": text}, ETAG, size)
    assert 0 <= verdict.span.start <= verdict.span.stop <= size
    assert {200: len(verdict.span) == size, 206: bool(verdict.span), 416: not verdict.span}[verdict.status]


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 200),
        ("GET", {"Range": "bytes=0-1"}, 206),
        ("GET", {"Range": "Bytes=0-1"}, 206),
        ("HEAD", {"Range": "bytes=0-1"}, 200),
        ("GET", {"Range": "bytes=0-1,3-4"}, 200),
        ("GET", {"Range": "pages=0-1"}, 200),
        ("GET", {"Range": "bytes 0-1"}, 200),
        ("GET", {"Range": "bytes=99-"}, 416),
        ("GET", {"Range": "bytes=x"}, 416),
        ("GET", {"Range": "bytes=0-1", "If-Range": ETAG}, 206),
        ("GET", {"Range": "bytes=0-1", "If-Range": '"old"'}, 200),
        ("GET", {"Range": "bytes=0-1", "If-Range": f"W/{ETAG}"}, 200),
        ("GET", {"Range": "bytes=0-1", "If-Range": "Wed, 21 Oct 2015 07:28:00 GMT"}, 200),
        ("GET", {"Range": "bytes=99-", "If-Range": '"old"'}, 200),
        ("GET", {"If-Match": ETAG}, 200),
        ("GET", {"If-Match": "*"}, 200),
        ("GET", {"If-Match": f'"x" , {ETAG}'}, 200),
        ("GET", {"If-Match": '"x,abc"'}, 412),
        ("GET", {"If-Match": f"W/{ETAG}"}, 412),
        ("GET", {"If-Match": "abc"}, 412),
        ("GET", {"If-Match": ""}, 412),
        ("GET", {"If-Match": '"old"', "Range": "bytes=0-1"}, 412),
        ("GET", {"If-Match": '"old"', "If-None-Match": ETAG}, 412),
        ("HEAD", {"If-Match": '"old"'}, 412),
        ("GET", {"If-None-Match": ETAG}, 304),
        ("GET", {"If-None-Match": f"W/{ETAG}"}, 304),
        ("GET", {"If-None-Match": "*"}, 304),
        ("GET", {"If-None-Match": ETAG, "Range": "bytes=0-1"}, 304),
        ("GET", {"If-None-Match": '"old"'}, 200),
        ("GET", {"If-None-Match": "abc"}, 200),
        ("HEAD", {"If-None-Match": ETAG}, 304),
    ],
)
def test_judge_order_of_conditions(method: str, headers: dict[str, str], status: int) -> None:
    """Preconditions are weighed before ranges, in the order of RFC 9110 §13.2.2."""
    assert judge(method, headers, ETAG, 10).status == status


def test_tags_that_go_wrong_at_their_end_are_judged_at_once() -> None:
    """A list has one way to be read: what stands between its tags cannot make us try two to the power of it."""
    with guarded(), bounded():
        for between in (", ", " ,", "\t, ", " , "):
            verdict = judge("GET", {"If-None-Match": ETAG + between * 2000 + "x"}, ETAG, 5)
            assert verdict.status == 200
    assert judge("GET", {"If-None-Match": " ,, " + '"x"' + ", ,\t," + ETAG + " , ,"}, ETAG, 5).status == 304
