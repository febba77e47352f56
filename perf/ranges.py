"""What nginx's log of the paced location says: which bytes were sent, how many requests ran at once (pure).

A log line is `msec request_time connection status body_bytes_sent "http_range"`. nginx writes it when a request
ends, so the moment it began is msec minus request_time, both in milliseconds.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

LINE = re.compile(
    r'(?P<end>[\d.]+) (?P<took>[\d.]+) (?P<connection>\d+) (?P<status>\d+) (?P<sent>\d+) "(?P<range>[^"]*)"'
)


@dataclass(frozen=True)
class Request:
    """One answered request: when (seconds since the epoch), and the bytes [start, stop) it sent."""

    began: float
    ended: float
    connection: int
    status: int
    start: int
    stop: int

    @property
    def sent_bytes(self) -> int:
        return self.stop - self.start


def parse(lines: Iterable[str]) -> list[Request]:
    """Requests in the order of their beginning. Raises ValueError for a line that is none."""
    return sorted((_parse_line(line) for line in lines), key=lambda request: request.began)


def delivered(requests: Iterable[Request]) -> list[tuple[int, int]]:
    """The union of what the requests sent, as disjoint spans in order."""
    union: list[tuple[int, int]] = []
    for start, stop in sorted((r.start, r.stop) for r in requests if r.status in (200, 206) and r.sent_bytes):
        if union and start <= union[-1][1]:
            union[-1] = (union[-1][0], max(union[-1][1], stop))
        else:
            union.append((start, stop))
    return union


def sent_again(first: Iterable[Request], second: Iterable[Request]) -> int:
    """Bytes of the second run that the server had sent in the first one already, plus those it sent twice itself."""
    before, later = delivered(first), list(second)
    again = sum(overlap(span, other) for span in delivered(later) for other in before)
    total = sum(r.sent_bytes for r in later if r.status in (200, 206))
    return again + total - sum(stop - start for start, stop in delivered(later))


def peak_connections(requests: Iterable[Request]) -> int:
    """Most connections in use at one moment; one is in use from its first request's start to its last one's end."""
    spans: dict[int, tuple[float, float]] = {}
    for r in requests:
        first, last = spans.get(r.connection, (r.began, r.ended))
        spans[r.connection] = (min(first, r.began), max(last, r.ended))
    edges = sorted(edge for first, last in spans.values() for edge in ((first, 1), (last, -1)))
    running = peak = 0
    for _, step in edges:
        running += step
        peak = max(peak, running)
    return peak


def overlap(one: tuple[int, int], other: tuple[int, int]) -> int:
    return max(0, min(one[1], other[1]) - max(one[0], other[0]))


def _parse_line(line: str) -> Request:
    found = LINE.fullmatch(line.strip())
    if found is None:
        raise ValueError(f"not a line of the paced log: {line!r}")
    wanted = re.fullmatch(r"bytes=(\d+)-\d*", found["range"])
    start = int(wanted[1]) if wanted and found["status"] == "206" else 0
    ended = float(found["end"])
    return Request(
        ended - float(found["took"]),
        ended,
        int(found["connection"]),
        int(found["status"]),
        start,
        start + int(found["sent"]),
    )
