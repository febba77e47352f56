"""A few bytes of a file that is far away, as a header needs them: `Client.get_span`."""

import pytest

from engine.errors import EngineError, NotFound
from engine.settings import Settings
from engine.spans import Span
from engine.transport.auth import Credentials
from engine.transport.client import Client
from tests.origin import File, Pattern

SIZE = 3_000_000
CONTENT = Pattern(SIZE, 3)


def fetched(origin, span, name="m"):
    with Client(Settings(retries=1, retry_delay_s=0.01), Credentials()) as client:
        # Twice: a connection that was left in disorder would show.
        first = client.get_span(origin.url(name), span)
        assert client.get_span(origin.url(name), span) == first
        return first


@pytest.mark.parametrize(
    "span", [Span(0, 1), Span(0, 1 << 20), Span(1 << 20, SIZE), Span(0, SIZE), Span(7, 8)]
)
def test_span(origin_factory, span):
    """Exactly these bytes, by a closed range."""
    origin = origin_factory({"m": CONTENT})
    assert fetched(origin, span) == CONTENT.read(span.start, span.stop)
    assert {record.range for record in origin.requests} == {(span.start, span.stop)}


def test_span_beyond_the_end(origin_factory):
    """Fewer bytes where the file ends before, and none behind its end."""
    origin = origin_factory({"m": CONTENT})
    assert fetched(origin, Span(SIZE - 5, SIZE + 5)) == CONTENT.read(SIZE - 5)
    assert fetched(origin, Span(SIZE, SIZE + 5)) == b""


def test_span_of_a_server_without_ranges(origin_factory):
    """The start of the whole file is read, and no more of it."""
    origin = origin_factory({"m": File(CONTENT, ranges=False)})
    assert fetched(origin, Span(10, 20)) == CONTENT.read(10, 20)
    assert fetched(origin, Span(SIZE - 10, SIZE + 10)) == CONTENT.read(SIZE - 10)


LIES = [
    ("shifted_range", {"by": 1}),
    ("no_content_range", {}),
    ("gzip", {}),
    ("cut", {}),
    ("status", {"code": 503}),
]


@pytest.mark.parametrize(("name", "options"), LIES)
def test_span_that_lies(origin_factory, name, options):
    """An answer that does not fit is asked for again, and never handed out."""
    origin = origin_factory({"m": CONTENT})
    origin.fault(name, times=1, **options)
    with Client(Settings(retries=1, retry_delay_s=0.01), Credentials()) as client:
        assert client.get_span(origin.url("m"), Span(5, 1000)) == CONTENT.read(5, 1000)
    assert len(origin.requests) == 2
    origin.fault(name, **options)
    with (
        Client(Settings(retries=1, retry_delay_s=0.01), Credentials()) as client,
        pytest.raises(EngineError),
    ):
        client.get_span(origin.url("m"), Span(5, 1000))


def test_span_of_nothing(origin_factory):
    """A file that is not there is NotFound at once."""
    origin = origin_factory({"m": CONTENT})
    with pytest.raises(NotFound):
        fetched(origin, Span(0, 5), "none")
    assert len(origin.requests) == 1
