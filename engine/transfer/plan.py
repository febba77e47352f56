"""What is still to be fetched of one file, and by whom. Pure: no sockets, clocks, files or processes.

Every byte of the file is in exactly one of three states: missing, leased, or written. A lease is carved
at the lowest missing offset, so that the frontier can hash while the rest arrives; it ends on a segment's
edge. What a lease did not write when it ends is missing again, to the byte; so is what is taken off its end.
"""

from collections.abc import Iterable, Iterator

from engine.spans import Grid, Span, SpanSet

LEASE_SEGMENTS = 32


def lease_length(remaining: int, segment: int, wanted: int, lanes: int) -> int:
    """How many bytes a lane should be given: so many as it wants, at most 32 segments, at most
    half of its share of what remains (so that the end is shared out finely), at least one segment."""
    length = min(wanted, LEASE_SEGMENTS * segment, remaining // (2 * max(lanes, 1)))
    return max(segment, length // segment * segment)


class Plan:
    """The plan of one file of known size."""

    def __init__(self, grid: Grid, held: Iterable[int] = ()) -> None:
        self.grid = grid
        self._checked = set(held)
        self._written = grid.runs(self._checked)
        self._missing = self._written.complement(Span(0, grid.size))
        self._leased: dict[int, Span] = {}
        self._taken_back: dict[int, SpanSet] = {}
        """By lease: what it wrote and lost again. That is missing already, or leased to another one."""

    def __repr__(self) -> str:
        return f"<Plan {self._written.nbytes}/{self.grid.size} written, {len(self._leased)} leases>"

    @property
    def written_bytes(self) -> int:
        return self._written.nbytes

    @property
    def missing_bytes(self) -> int:
        """Bytes that nobody fetches yet."""
        return self._missing.nbytes

    @property
    def is_complete(self) -> bool:
        """Whether every segment is written and checked."""
        return len(self._checked) == self.grid.count

    @property
    def frontier_limit(self) -> int:
        """How far the file is written without a gap."""
        return self.written_until(0)

    def has_written(self, span: Span) -> bool:
        """Whether all of it is on disk."""
        return self._written.has(span)

    def written_until(self, offset: int) -> int:
        """Where what is written from this offset on ends; the offset itself where its byte is not."""
        return self._written.contiguous_from(offset)

    @property
    def pieces(self) -> list[Span]:
        """What is written of segments that have no check, each span within one segment."""
        loose = SpanSet(self._written)
        for run in self.grid.runs(self._checked):
            loose.remove(run)
        return [piece for run in loose for piece in self._by_segment(run)]

    def _by_segment(self, run: Span) -> Iterator[Span]:
        start = run.start
        while start < run.stop:
            stop = min((start // self.grid.segment_size + 1) * self.grid.segment_size, run.stop)
            yield Span(start, stop)
            start = stop

    def carve(self, lease: int, wanted: int, lanes: int) -> Span | None:
        """Lease the lowest missing bytes under this number, about so many as wanted; None when nothing is missing."""
        run = self._missing.first()
        if run is None:
            return None
        segment = self.grid.segment_size
        stop = run.start + lease_length(self._missing.nbytes, segment, wanted, lanes)
        edge = max(stop // segment * segment, (run.start // segment + 1) * segment)
        span = Span(run.start, min(edge, run.stop))
        self._missing.remove(span)
        self._leased[lease] = span
        return span

    def carve_rest(self, lease: int) -> Span | None:
        """Lease the whole lowest run of missing bytes: for one stream, which cannot be shared out."""
        run = self._missing.first()
        if run is not None:
            self._missing.remove(run)
            self._leased[lease] = run
        return run

    def wrote_segment(self, index: int) -> None:
        """A whole segment is on disk and its check is known."""
        self._written.add(self.grid.span_of(index))
        self._checked.add(index)

    def wrote_piece(self, span: Span) -> list[int]:
        """A part of a segment is on disk. Returns the segments that are whole now but have no check yet."""
        self._written.add(span)
        touched = range(self.grid.index_of(span.start), self.grid.index_of(span.stop - 1) + 1) if span else ()
        return [i for i in touched if i not in self._checked and self._written.has(self.grid.span_of(i))]

    def hold_piece(self, span: Span) -> list[int]:
        """A piece that an earlier run wrote; nobody has leased it. Returns what wrote_piece returns."""
        self._missing.remove(span)
        return self.wrote_piece(span)

    def end(self, lease: int) -> Span | None:
        """The lease is over, however: what it left unwritten is missing again. Returns what it was, None if unknown."""
        span = self._leased.pop(lease, None)
        if span is not None:
            self._give_back(lease, span)
        self._taken_back.pop(lease, None)
        return span

    def shorten(self, lease: int, stop: int) -> None:
        """The lease ends at stop now: what it had beyond is missing again. Nothing where it is over, or ends before."""
        span = self._leased.get(lease)
        if span is not None and stop < span.stop:
            stop = max(stop, span.start)
            self._leased[lease] = Span(span.start, stop)
            self._give_back(lease, Span(stop, span.stop))

    def rest_of(self, lease: int) -> Span | None:
        """What the lease has not written yet, as far as is known here; None where it is over."""
        span = self._leased.get(lease)
        return Span(min(self.written_until(span.start), span.stop), span.stop) if span is not None else None

    def _give_back(self, lease: int, span: Span) -> None:
        unwritten = self._written.complement(span)
        for gone in self._taken_back.get(lease, ()):
            unwritten.remove(gone)
        for rest in unwritten:
            self._missing.add(rest)

    def lose(self, index: int) -> None:
        """A checked segment turned out bad: fetch it again."""
        span = self.grid.span_of(index)
        for lease in self._leased:
            self._taken_back.setdefault(lease, SpanSet()).add(span)
        self._checked.discard(index)
        self._written.remove(span)
        self._missing.add(span)
