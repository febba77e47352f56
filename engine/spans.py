"""Half-open byte spans `[start, stop)` and sets of them. Pure.

Resume, deduplication and delta are one question, which spans do we already hold; this is the
arithmetic of its answer. A set is a sorted list of disjoint spans that do not touch, so a file
of any size that arrives more or less in order costs a handful of entries.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

import msgspec


class Span(msgspec.Struct, frozen=True, order=True, array_like=True):
    """Bytes from start up to but not including stop; both in bytes, 0 <= start <= stop."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def __bool__(self) -> bool:
        return self.stop > self.start

    def __contains__(self, offset: int) -> bool:
        return self.start <= offset < self.stop


class SpanSet:  # noqa: PLW1641 - it changes, so it has no hash
    """A set of bytes, kept as sorted, disjoint, non-touching spans."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        for span in spans:
            self.add(span)

    def __iter__(self) -> Iterator[Span]:
        return map(Span, self._starts, self._stops)

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SpanSet) and list(self) == list(other)

    def __repr__(self) -> str:
        return f"SpanSet({[(s.start, s.stop) for s in self]})"

    @property
    def nbytes(self) -> int:
        return sum(self._stops) - sum(self._starts)

    def add(self, span: Span) -> None:
        """Union with span; what it overlaps or touches is merged."""
        if not span:
            return
        low = bisect_left(self._stops, span.start)
        high = bisect_right(self._starts, span.stop)
        if low < high:
            span = Span(min(span.start, self._starts[low]), max(span.stop, self._stops[high - 1]))
        self._starts[low:high] = [span.start]
        self._stops[low:high] = [span.stop]

    def remove(self, span: Span) -> None:
        """Difference with span; a span in the middle of another splits it."""
        if not span:
            return
        low = bisect_right(self._stops, span.start)
        high = bisect_left(self._starts, span.stop)
        if low >= high:
            return
        edges = [
            Span(self._starts[low], span.start),
            Span(span.stop, self._stops[high - 1]),
        ]
        kept = [edge for edge in edges if edge]
        self._starts[low:high] = [edge.start for edge in kept]
        self._stops[low:high] = [edge.stop for edge in kept]

    def has(self, span: Span) -> bool:
        """Whether every byte of span is in the set. An empty span always is."""
        if not span:
            return True
        index = bisect_right(self._starts, span.start) - 1
        return index >= 0 and self._stops[index] >= span.stop

    def first(self) -> Span | None:
        """The lowest span, or None when the set is empty."""
        return Span(self._starts[0], self._stops[0]) if self._starts else None

    def contiguous_from(self, offset: int) -> int:
        """Where the unbroken run that holds offset ends; offset itself when it is not in the set."""
        index = bisect_right(self._starts, offset) - 1
        return self._stops[index] if index >= 0 and self._stops[index] > offset else offset

    def complement(self, whole: Span) -> "SpanSet":
        """The bytes of whole that are not in this set."""
        result = SpanSet([whole])
        for span in self:
            result.remove(span)
        return result


class Grid(msgspec.Struct, frozen=True):
    """A file of size bytes cut into segments of segment_size bytes; the last may be shorter."""

    size: int
    segment_size: int

    @property
    def count(self) -> int:
        return -(-self.size // self.segment_size)

    def index_of(self, offset: int) -> int:
        return offset // self.segment_size

    def span_of(self, index: int) -> Span:
        start = index * self.segment_size
        return Span(start, min(start + self.segment_size, self.size))

    def runs(self, indices: Iterable[int]) -> SpanSet:
        """The bytes of these segments."""
        return SpanSet(self.span_of(i) for i in indices)
