"""The plan: whatever happens to leases, every byte is missing, leased or written, and exactly one of them."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.spans import Grid, Span
from engine.transfer.plan import LEASE_SEGMENTS, Plan, lease_length
from tests.properties import steady

SEGMENT = 4
MIB = 1 << 20


class PlanMachine(RuleBasedStateMachine):
    """A plan beside a model of single bytes. Lanes write as lanes do: from a lease's start, in order."""

    def __init__(self) -> None:
        super().__init__()
        size, held = 41, [1, 2, 7]  # eleven segments, the last of one byte
        self.plan = Plan(Grid(size, SEGMENT), held)
        self.missing = set(range(size))
        self.written: set[int] = set()
        self.checked = set(held)
        self.leases: dict[int, Span] = {}
        self.position: dict[int, int] = {}
        self.lost: dict[int, set[int]] = {}
        for index in held:
            self._write(self.plan.grid.span_of(index))
        self.number = 0

    def _write(self, span: Span) -> None:
        self.written |= set(range(span.start, span.stop))
        self.missing -= set(range(span.start, span.stop))

    def _left(self, lease: int) -> set[int]:
        """What a lease has yet to write; what was lost behind its back is not its business."""
        span = self.leases[lease]
        return set(range(self.position[lease], span.stop)) - self.lost[lease]

    def _lease(self, span: Span | None) -> None:
        assert (span is None) == (not self.missing)
        if span is None:
            return
        taken = set(range(span.start, span.stop))
        assert taken, "a lease is never empty"
        assert taken <= self.missing, "a lease takes missing bytes only"
        assert span.start == min(self.missing), "the lowest first"
        self.missing -= taken
        self.leases[self.number] = span
        self.position[self.number] = span.start
        self.lost[self.number] = set()

    @rule(wanted=st.integers(0, 80), lanes=st.integers(0, 6))
    def carve(self, wanted, lanes):
        self.number += 1
        run_goes_on = set(self.missing)
        span = self.plan.carve(self.number, wanted, lanes)
        if span is not None:
            edge = span.stop % SEGMENT == 0 or span.stop not in run_goes_on
            assert edge, "a lease ends on a segment's edge, or where nothing is missing any more"
        self._lease(span)

    @rule()
    def carve_rest(self):
        self.number += 1
        self._lease(self.plan.carve_rest(self.number))

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), nbytes=st.integers(1, 12))
    def write(self, data, nbytes):
        """Whole segments are told as such, all else as pieces; pieces that complete a segment are read back."""
        lease = data.draw(st.sampled_from(sorted(self.leases)))
        span, grid = self.leases[lease], self.plan.grid
        stop = min(self.position[lease] + nbytes, span.stop)
        while self.position[lease] < stop:
            start = self.position[lease]
            index = grid.index_of(start)
            segment = grid.span_of(index)
            edge = min(segment.stop, stop)
            self.position[lease] = edge
            self._write(Span(start, edge))
            if (start, edge) == (segment.start, segment.stop):
                self.plan.wrote_segment(index)
                self.checked.add(index)
                continue
            whole = self.plan.wrote_piece(Span(start, edge))
            assert whole == ([index] if set(range(segment.start, segment.stop)) <= self.written else [])
            for done in whole:
                self.plan.wrote_segment(done)
                self.checked.add(done)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def end(self, data):
        lease = data.draw(st.sampled_from(sorted(self.leases)))
        self.missing |= self._left(lease)
        assert self.plan.end(lease) == self.leases.pop(lease)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), stop=st.integers(0, 45))
    def shorten(self, data, stop):
        """A lane answers with how far it had got, if that is beyond what was asked for."""
        lease = data.draw(st.sampled_from(sorted(self.leases)))
        span = self.leases[lease]
        stop = max(stop, self.position[lease])
        self.plan.shorten(lease, stop)
        if stop < span.stop:
            self.missing |= {offset for offset in self._left(lease) if offset >= stop}
            self.leases[lease] = Span(span.start, stop)

    @rule(lease=st.integers(-5, 0))
    def end_unknown(self, lease):
        assert self.plan.end(lease) is None
        self.plan.shorten(lease, 0)
        assert self.plan.rest_of(lease) is None

    @precondition(lambda self: self.checked)
    @rule(data=st.data())
    def lose(self, data):
        """A checked segment turns out bad, also while a lease that wrote it is still alive."""
        index = data.draw(st.sampled_from(sorted(self.checked)))
        span = self.plan.grid.span_of(index)
        bad = set(range(span.start, span.stop))
        self.plan.lose(index)
        self.checked.discard(index)
        self.written -= bad
        self.missing |= bad
        for lease, lost in self.lost.items():
            if lease in self.leases:
                lost |= bad

    @invariant()
    def every_byte_has_one_state(self):
        leased = [offset for lease in self.leases for offset in self._left(lease)]
        assert len(leased) == len(set(leased)), "no byte has two lanes"
        assert len(self.missing) + len(leased) + len(self.written) == self.plan.grid.size
        assert self.plan.missing_bytes == len(self.missing)
        assert self.plan.written_bytes == len(self.written)
        assert self.plan.is_complete == (len(self.checked) == self.plan.grid.count)
        front = next((i for i in range(self.plan.grid.size) if i not in self.written), self.plan.grid.size)
        assert self.plan.frontier_limit == front

    def teardown(self):
        """Whatever came before, ending all leases and fetching what is missing completes the file."""
        for lease in list(self.leases):
            self.plan.end(lease)
        while (span := self.plan.carve(0, 1 << 30, 1)) is not None:
            for index in self.plan.wrote_piece(span):
                self.plan.wrote_segment(index)
            self.plan.end(0)
        assert self.plan.is_complete
        assert self.plan.written_bytes == self.plan.grid.size


TestPlan = PlanMachine.TestCase
TestPlan.settings = steady(150, stateful_step_count=40)


@pytest.mark.parametrize(
    ("remaining", "wanted", "lanes", "segments"),
    [
        (1 << 40, 0, 8, 1),  # nothing is known of the lane yet
        (1 << 40, 1 * MIB, 8, 1),
        (1 << 40, 40 * MIB, 8, 5),
        (1 << 40, 207 * MIB, 8, 25),
        (1 << 40, 10_000 * MIB, 8, LEASE_SEGMENTS),
        (1 << 30, 10_000 * MIB, 8, 8),  # 1 GiB / (2 x 8) = 64 MiB
        (1 << 30, 10_000 * MIB, 0, LEASE_SEGMENTS),
        (100 * MIB, 10_000 * MIB, 8, 1),
        (1, 10_000 * MIB, 8, 1),
        (0, 0, 0, 1),
    ],
)
def test_lease_length(remaining, wanted, lanes, segments):
    """Whole segments of what is wanted, at most 32 segments, at most remaining / (2 x lanes), at least one."""
    assert lease_length(remaining, 8 * MIB, wanted, lanes) == segments * 8 * MIB


def test_first_lease_of_unaligned_rest_ends_on_the_edge():
    """What a broken lease left in the middle of a segment is leased up to an edge, so that checks cover segments."""
    plan = Plan(Grid(100, 10))
    assert plan.carve(1, 0, 1) == Span(0, 10)
    plan.wrote_piece(Span(0, 3))
    plan.end(1)
    assert plan.carve(2, 0, 1) == Span(3, 10)
    assert plan.wrote_piece(Span(3, 10)) == [0]
    assert not plan.is_complete


def test_what_is_taken_off_a_lease_is_given_to_the_next():
    """The holder keeps its beginning; what remains of it is known."""
    plan = Plan(Grid(100, 10))
    assert plan.carve_rest(1) == Span(0, 100)
    plan.wrote_piece(Span(0, 25))
    assert plan.rest_of(1) == Span(25, 100)
    plan.shorten(1, 40)
    assert (plan.rest_of(1), plan.missing_bytes) == (Span(25, 40), 60)
    assert plan.carve(2, 0, 1) == Span(40, 50)
    plan.shorten(1, 60)
    assert plan.end(1) == Span(0, 40)
    assert plan.carve(3, 0, 1) == Span(25, 30)


def test_held_may_be_any_iterable():
    """An iterator of held segments is used up once and counts everywhere."""
    plan = Plan(Grid(30, 10), iter([0, 1, 2]))
    assert plan.is_complete
    assert plan.written_bytes == 30


def test_empty_file_is_complete():
    """A file of no bytes needs no lease."""
    plan = Plan(Grid(0, 10))
    assert plan.is_complete
    assert plan.carve(1, 0, 1) is None
    assert plan.frontier_limit == 0


def test_written_but_unchecked_is_not_complete():
    """A file is complete when every segment has its check, not when every byte is written."""
    plan = Plan(Grid(20, 10))
    assert plan.wrote_piece(Span(0, 5)) == []
    assert plan.wrote_piece(Span(5, 20)) == [0, 1]
    assert plan.written_bytes == 20
    assert not plan.is_complete
    plan.wrote_segment(0)
    plan.wrote_segment(1)
    assert plan.is_complete
    assert repr(plan) == "<Plan 20/20 written, 0 leases>"
