"""Sizes and rates, typed and shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.console.sizes import format_rate, format_seconds, format_size, parse_rate, parse_size
from engine.errors import UsageError

SIZES = {
    "1": 1,
    "4096": 4096,
    "7B": 7,
    "500k": 500_000,
    "500kB": 500_000,
    "8MiB": 8 << 20,
    "8mib": 8 << 20,
    "8Mi": 8 << 20,
    "1.5 GB": 1_500_000_000,
    "0.5KiB": 512,
    "2T": 2 * 10**12,
    " 3 GiB ": 3 << 30,
    "9007199254740993": 2**53 + 1,
}
NO_SIZES = [
    "",
    "k",
    "8 Mi B",
    "-1",
    "0",
    "0.0001",
    "1e3",
    "8MB/s",
    "8Mbit",
    "٣",
    "1_000",
    "inf",
    "9" * 30,
    "1,5M",
]
RATES = {
    "10MB/s": 10**7,
    "10M": 10**7,
    "500KiB/s": 500 << 10,
    "1.5 MB / s".replace(" / ", "/"): 1_500_000,
    "3MBps": 3_000_000,
}
NO_RATES = ["10Mbit/s", "10Mbits", "fast", "0", "0MB/s", "-3k", "/s", "5/h"]


@pytest.mark.parametrize(("text", "size"), SIZES.items())
def test_size_as_people_type_it(text: str, size: int) -> None:
    """k, M, G, T are powers of 1000, with an i of 1024; B and case do not count."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", NO_SIZES)
def test_size_that_is_none(text: str) -> None:
    """What is no size of at least one byte is refused with an example."""
    with pytest.raises(UsageError, match=r"size"):
        parse_size(text)


@pytest.mark.parametrize(("text", "rate"), RATES.items())
def test_rate_as_people_type_it(text: str, rate: int) -> None:
    """A rate is a size, with or without "/s"."""
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", NO_RATES)
def test_rate_that_is_none(text: str) -> None:
    """Bits and nonsense are refused, with an example of a rate."""
    with pytest.raises(UsageError, match="10MB/s"):
        parse_rate(text)


@given(st.text(max_size=20))
def test_any_text_is_a_size_or_a_usage_error(text: str) -> None:
    """Whatever is typed, nothing but UsageError comes out, and no size below one byte."""
    try:
        assert parse_size(text) >= 1
    except UsageError:
        pass


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (2.1e9, "2.1 GB"),
        (3e12, "3.0 TB"),
    ],
)
def test_size_shown(size: float, text: str) -> None:
    """Powers of 1000, one decimal, never four digits before it."""
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [(0, "0 B/s"), (1.5, "1.5 B/s"), (671e6, "671 MB/s"), (999.6e6, "1.00 GB/s"), (3.21e9, "3.21 GB/s")],
)
def test_rate_shown(rate: float, text: str) -> None:
    """Three digits or so."""
    assert format_rate(rate) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.04 s"),
        (0.999, "1.0 s"),
        (3.21, "3.2 s"),
        (59.97, "1m 00s"),
        (83, "1m 23s"),
        (7500, "2h 05m"),
    ],
)
def test_seconds_shown(seconds: float, text: str) -> None:
    """Two digits below a minute, minutes and seconds above."""
    assert format_seconds(seconds) == text
