"""What nginx's log says about bytes sent twice."""

import pytest

from perf import ranges, resume

MIB = 1 << 20


def line(end: float, took: float, connection: int, sent: int, wanted: str, status: int = 206) -> str:
    return f'{end:.3f} {took:.3f} {connection} {status} {sent} "{wanted}"\n'


def test_request_begins_when_its_time_before_the_log_line():
    """A line is written at the end of a request; its start and span follow from it."""
    (request,) = ranges.parse([line(1700000000.5, 0.25, 7, 100, "bytes=1000-1999")])
    assert (request.began, request.ended, request.start, request.stop) == (
        1700000000.25,
        1700000000.5,
        1000,
        1100,
    )


def test_whole_answer_starts_at_zero_whatever_was_asked():
    """A 200 to a range carries the file from its first byte."""
    (request,) = ranges.parse([line(1, 0, 1, 10, "bytes=500-", status=200)])
    assert (request.start, request.stop) == (0, 10)


def test_line_of_another_format_is_refused():
    """A log that is not understood must not read as nothing sent twice."""
    with pytest.raises(ValueError, match="paced log"):
        ranges.parse(["127.0.0.1 - - GET /"])


@pytest.mark.parametrize(
    ("first", "second", "again"),
    [
        ([(0, 100)], [(100, 200)], 0),
        ([(0, 100)], [(60, 200)], 40),
        ([(0, 50), (100, 150)], [(0, 200)], 100),
        ([(0, 50), (40, 90)], [(80, 100)], 10),
        ([], [(0, 50), (25, 75)], 25),
        ([(0, 50)], [(0, 50), (0, 50)], 100),
    ],
)
def test_sent_again_counts_overlaps_with_the_first_run_and_within_the_second(first, second, again):
    """Every byte beyond its first sending counts, in whichever run it went."""
    assert ranges.sent_again(requests(first), requests(second)) == again


def test_error_bodies_are_no_content():
    """What a 416 says about itself is not part of the file."""
    refused = ranges.parse([line(1, 0, 1, 180, "bytes=0-9", status=416)])
    assert ranges.delivered(refused) == []


def test_connection_counts_as_one_however_many_requests_it_carries():
    """A keep-alive lane is one lane, also while it is between two requests."""
    log = [line(10, 2, 1, 1, "bytes=0-0"), line(14, 3, 1, 1, "bytes=1-1"), line(13, 4, 2, 1, "bytes=2-2")]
    assert ranges.peak_connections(ranges.parse(log)) == 2


def test_refetched_share_is_one_at_a_segment_for_each_lane():
    """The bound of resume is lanes times segment, so that is the unit of the share."""
    before = ranges.parse([line(5, 5, n, 8 * MIB, f"bytes={n * 8 * MIB}-") for n in (0, 1)])
    after = ranges.parse([line(9, 3, 3, 16 * MIB, "bytes=0-")])
    assert resume.compare(before, after)["refetched_share"] == 1.0


def requests(spans: list[tuple[int, int]]) -> list[ranges.Request]:
    return ranges.parse(
        [
            line(n + 1, 0.5, n, stop - start, f"bytes={start}-{stop - 1}")
            for n, (start, stop) in enumerate(spans)
        ]
    )
