"""What is fetched: files with the engine's own plans and, where a folder is given, its own journals."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.settings import DEFAULT_SEGMENT, Settings
from engine.spans import Grid, Span
from engine.store.journal import Header, Journal
from engine.transfer.beginning import WHOLE_BYTES
from engine.transfer.endgame import may_waste
from engine.transfer.messages import Shortened
from engine.transfer.plan import Plan
from engine.transfer.setbacks import Setbacks

_URL = "https://origin.example/models/weights-00001-of-00008.safetensors"
_DIGEST = "sha256:" + 64 * "0"
_CHECK = 0xC0FFEE00C0FFEE
"""Any number of 64 bits: a check takes nine bytes in a journal, whatever it is."""


@dataclass
class File:
    """One file under way. What comes whole has no plan, and what is one segment no journal."""

    number: int
    size: int
    segment_size: int = DEFAULT_SEGMENT
    folder: Path | None = None
    """Where its journal is really written; None: nowhere."""
    setbacks: Setbacks = field(default_factory=lambda: Setbacks(Settings()))
    resume_at: float = 0.0
    out: dict[int, int] = field(default_factory=dict)
    """Leases, each with its round of attempts."""
    plan: Plan | None = None
    has_come: bool = False
    written: int = 0
    limit: int = 0
    """How far its hash may go: the end of what is written without a gap."""
    discarded: int = 0
    hashed: float = 0.0
    """How far its hash has followed, in bytes."""
    _journal: Journal | None = None

    @property
    def comes_whole(self) -> bool:
        return self.size <= min(WHOLE_BYTES, self.segment_size)

    @property
    def grid(self) -> Grid:
        return Grid(self.size, self.segment_size)

    @property
    def is_known(self) -> bool:
        """Whether all of it may be leased, or is: an answer has come, or the one lease that it takes is out."""
        return self.plan is not None or self.has_come or (self.comes_whole and bool(self.out))

    @property
    def may_lease(self) -> bool:
        """Not while its first lease finds the way for all."""
        return not self.has_come and (self.plan is not None or not self.out)

    @property
    def missing_segments(self) -> int:
        """As FileTransfer counts them."""
        if self.has_come:
            return 0
        return -(-self.plan.missing_bytes // self.segment_size) if self.plan else int(not self.out)

    def next_span(self, number: int, wanted: int, lanes: int) -> Span | None:
        """The next lease for a lane that wants so many bytes."""
        if self.plan is not None:
            return self.plan.carve(number, wanted, lanes)
        return Span(0, self.size if self.comes_whole else min(self.size, self.segment_size))

    def opened(self, number: int, asked: Span) -> Span:
        """Its first answer has come: it gets a plan. What this lease, which asked for a span, shall bring of it."""
        if self.comes_whole:
            return asked
        self.plan = Plan(self.grid)
        if self.folder is not None and self.grid.count > 1:
            header = Header(
                url=_URL, url_hash=1, size=self.size, segment_size=self.segment_size, digest=_DIGEST
            )
            self._journal = Journal.create(self._path, header)
        return self.plan.carve(number, 0, 1) or asked

    @property
    def is_held_up(self) -> bool:
        """As Assembly has it."""
        return self.plan is not None and self.plan.written_bytes - self.plan.frontier_limit >= 64 << 20

    def wrote_segment(self, index: int) -> None:
        assert self.plan is not None
        self.plan.wrote_segment(index)
        if self._journal is not None:
            self._journal.append(index, _CHECK)
        self.has_come = self.plan.is_complete
        self._note_progress()

    def wrote_piece(self, piece: Span) -> None:
        """Segments that are whole by it are read back and checked, as Assembly does."""
        assert self.plan is not None
        for index in self.plan.wrote_piece(piece):
            self.wrote_segment(index)
        self._note_progress()

    def _note_progress(self) -> None:
        """Kept, because the model asks at every event."""
        assert self.plan is not None
        self.written, self.limit = self.plan.written_bytes, self.plan.frontier_limit

    def ended(self, number: int, *, is_whole: bool) -> None:
        """A lease is over."""
        del self.out[number]
        if self.plan is None:
            self.has_come = is_whole
            self.written = self.limit = self.size if is_whole else 0
        else:
            self.plan.end(number)

    # As Relief asks FileTransfer

    def rests(self) -> Iterator[tuple[int, Span]]:
        if self.plan is not None and may_waste(self.discarded, self.size):
            for number in self.out:
                if rest := self.plan.rest_of(number):
                    yield number, rest

    def shortened(self, message: Shortened) -> None:
        if self.plan is not None:
            self.plan.shorten(message.lease, message.stop)

    def close(self) -> int:
        """Remove its journal; how many bytes that had."""
        if self._journal is None:
            return 0
        self._journal.close()
        nbytes = self._path.stat().st_size
        self._path.unlink()
        return nbytes

    @property
    def _path(self) -> Path:
        assert self.folder is not None
        return self.folder / f"journal-{self.number}"
