"""Range and Content-Range: one table, read in both directions, and noise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.spans import Span
from engine.transport.ranges import ContentRange, fits, format_range, parse_content_range
from tests.properties import steady

GOOD = [
    ("bytes 0-0/1", Span(0, 1), 1),
    ("bytes 0-99/1234", Span(0, 100), 1234),
    ("bytes 42-1233/1234", Span(42, 1234), 1234),
    ("bytes 42-1233/*", Span(42, 1234), None),
    ("bytes */1234", None, 1234),
    ("bytes */0", None, 0),
    ("bytes 21474836480-21474836480/21474836481", Span(20 << 30, (20 << 30) + 1), (20 << 30) + 1),
]


def written(span: Span | None, total: int | None) -> str:
    """A Content-Range as a server writes it."""
    sent = f"{span.start}-{span.stop - 1}" if span else "*"
    return f"bytes {sent}/{'*' if total is None else total}"


@pytest.mark.parametrize(("text", "span", "total"), GOOD)
def test_content_range_both_directions(text, span, total):
    """Inclusive on the wire, half-open here, there and back."""
    assert parse_content_range(text) == ContentRange(span, total)
    assert written(span, total) == text


@pytest.mark.parametrize("text", ["Bytes 0-99/1234", "BYTES 0-99/1234", " bytes 0-99/1234\t"])
def test_content_range_unit_has_no_case(text):
    """RFC 9110 §14.1: range units are case-insensitive; white space around a field's value is not part of it."""
    assert parse_content_range(text) == ContentRange(Span(0, 100), 1234)


BAD = [
    None,
    "",
    "bytes",
    "bytes 0-99",
    "bytes 0-99/",
    "bytes */*",
    "bytes /100",
    "bytes -99/1234",
    "bytes 0-/1234",
    "bytes 5-4/1234",
    "bytes 0-1234/1234",
    "bytes 1234-1234/1234",
    "bytes 0-0/0",
    "bytes=0-99/1234",
    "bytes: 0-99/1234",
    "bytes  0-99/1234",
    "bytes 0 - 99/1234",
    "bytes 0-99/1234/5",
    "bytes 0-99/1234, bytes 0-99/1234",
    "bytes 0-99,200-299/1234",
    "bytes +0-99/1234",
    "bytes 0x0-0x9/100",
    "bytes 0-9.0/100",
    "bytes ٠-٩/100",
    "bytes 0-9/100\nX: y",
    "seconds 0-99/1234",
    "bytes 0-99999999999999999999/*",
    "bytes 0-9/-1",
]


@pytest.mark.parametrize("text", BAD, ids=ascii)
@pytest.mark.row("range/206-malformed-content-range")
def test_content_range_refused(text):
    """Anything malformed, absent or contradicting itself is None (RFC 9110 §14.4)."""
    assert parse_content_range(text) is None


@given(st.text() | st.text(st.sampled_from("bytes 0123456789-/*,\n\x00"), max_size=30))
@steady(500)
def test_content_range_takes_anything(text):
    """Whatever a server sends, a sound value or None comes back."""
    got = parse_content_range(text)
    if got is None:
        return
    assert got.span is not None or got.total is not None
    if got.span is not None:
        assert 0 <= got.span.start < got.span.stop
        assert got.total is None or got.span.stop <= got.total


@given(st.integers(0, 1 << 50), st.integers(1, 1 << 40), st.none() | st.integers(0, 1 << 40))
@steady()
def test_content_range_round_trip(start, length, more):
    """Every sound Content-Range means what it was written from."""
    span = Span(start, start + length)
    total = None if more is None else span.stop + more
    assert parse_content_range(written(span, total)) == ContentRange(span, total)


@pytest.mark.parametrize(("span", "text"), [(Span(0, 1), "bytes=0-0"), (Span(8, 24), "bytes=8-23")])
def test_range_is_closed(span, text):
    """A request names its last byte (RFC 9110 §14.1.2)."""
    assert format_range(span) == text


@pytest.mark.parametrize(
    ("asked", "got", "is_fit"),
    [
        (Span(0, 100), "bytes 0-99/1000", True),
        (Span(0, 100), "bytes 0-99/*", True),
        (Span(0, 100), "bytes 0-99/100", True),
        (Span(0, 100), "bytes 0-49/50", True),  # clipped at the total: the file is shorter than we asked
        (Span(0, 100), "bytes 0-49/1000", False),  # shorter than asked, and not for that reason
        (Span(0, 100), "bytes 0-49/*", False),
        (Span(0, 100), "bytes 0-100/1000", False),
        (Span(0, 100), "bytes 1-99/1000", False),
        (Span(8, 16), "bytes 0-7/1000", False),  # another span of the right length
        (Span(8, 16), "bytes 0-15/1000", False),
        (Span(8, 16), "bytes */1000", False),
        (Span(8, 16), "nonsense", False),
        (Span(8, 16), None, False),
    ],
)
def test_fits(asked, got, is_fit):
    """An answer fits if it is exactly what was asked for, or that clipped at the file's end."""
    assert fits(asked, parse_content_range(got)) == is_fit
