"""The bytes of one file coming together in its part: what is there, what is missing, what is proven.

Begun in beginning.py, as soon as the size is known. From then on there are a plan and a proof; each segment that is
whole goes into the journal and to both. Who fetches what is missing, and from where, is not known here.
On the coordinator's thread.
"""

from collections.abc import Callable, Mapping

from engine.digest import Digest
from engine.errors import EngineError
from engine.settings import Settings
from engine.spans import Grid, Span
from engine.store.disk import disk_errors
from engine.store.part import Part
from engine.telemetry import Log
from engine.transfer.follower import Follower, StartTask
from engine.transfer.frontier import Frontier
from engine.transfer.plan import Plan
from engine.transfer.proof import Proof
from engine.transfer.voice import Voice

_log = Log(__name__)
_HELD_UP_BYTES = 64 << 20


class Assembly:
    """Of one file; one that starts again gets a new one. start_task sees to hashing and syncing; moved is called after
    each step of these."""

    def __init__(
        self, name: str, settings: Settings, voice: Voice, start_task: StartTask, moved: Callable[[], None]
    ) -> None:
        self._name = name
        self._settings = settings
        self._voice = voice
        self._follower = Follower(start_task, self._followed)
        self._moved = moved
        self.part: Part | None = None
        """Once it is locked."""
        self.plan: Plan | None = None
        self.proof: Proof | None = None
        self.held_bytes = 0
        """From an earlier run."""
        self.stream_checks: dict[int, int] = {}
        self._stream_pieces: list[Span] = []
        """What has come of a stream of unknown length, before there is a plan."""

    @property
    def open_part(self) -> Part:
        """The part, once it is ours."""
        assert self.part is not None  # noqa: S101 - admitted
        return self.part

    @property
    def segment_size(self) -> int:
        return self.plan.grid.segment_size if self.plan else self._settings.segment_size

    @property
    def done_bytes(self) -> int:
        """On disk: held and received."""
        if self.plan is not None:
            return self.plan.written_bytes
        return len(self.stream_checks) * self.segment_size + sum(len(piece) for piece in self._stream_pieces)

    @property
    def hashed_bytes(self) -> int:
        return self.proof.frontier.offset if self.proof else 0

    @property
    def is_complete(self) -> bool:
        """Whether every byte has come."""
        return self.plan is not None and self.plan.is_complete

    @property
    def is_proven(self) -> bool:
        """Whether every byte has come and is hashed."""
        return self.is_complete and self.proof is not None and self.proof.frontier.is_done

    @property
    def is_held_up(self) -> bool:
        """Whether the hash is about to wait for bytes while many have come that lie beyond them."""
        plan, proof = self.plan, self.proof
        if plan is None or proof is None or not proof.frontier.is_hashing:
            return False
        return plan.written_bytes - plan.frontier_limit >= _HELD_UP_BYTES

    @property
    def can_resume(self) -> bool:
        """Whether the next run goes on from here."""
        return self.part is not None and self.part.journal is not None and self.done_bytes > 0

    def reached(self, offset: int) -> int:
        """The first byte from this one on that is not on disk."""
        return self.plan.written_until(offset) if self.plan else self.done_bytes

    def make_plan(
        self,
        grid: Grid,
        digest: Digest | None,
        on_disk: Mapping[int, int | None],
        pieces: Mapping[Span, int] | None = None,
        *,
        has_ranges: bool = True,
        is_fresh: bool = False,
    ) -> None:
        """Plan what is missing. Segments on disk are proven by the frontier before they are believed; pieces, of
        which there are few, at once. is_fresh: what is on disk came in this run. Raises StoreError."""
        self.plan = Plan(grid, on_disk)
        self.proof = Proof(self.open_part.fd, grid, digest, on_disk, self._settings)
        whole: list[int] = []
        for span, check in (pieces or {}).items():
            with disk_errors("read back", self.open_part.data):
                is_there = self.proof.check_of(span) == check
            if is_there:
                whole += self.plan.hold_piece(span)
        self.held_bytes = 0 if is_fresh else self.plan.written_bytes
        self._voice.planned(grid.size, held=self.held_bytes, ranges=has_ranges)
        for index in whole:
            self._checked(index, self._check_on_disk(self.proof, index))

    def expect(self, digest: Digest | None) -> None:
        """The digest may have become known with an answer."""
        if digest is not None and self.proof is not None and self.proof.digest is None:
            self.proof.expect(digest)

    # What comes

    def wrote_segment(self, index: int, check: int) -> int:
        """A lane has written a whole segment; how many bytes these are. Raises StoreError."""
        nbytes = len(self.plan.grid.span_of(index)) if self.plan else self.segment_size
        self._follower.unsynced_bytes += nbytes
        self._checked(index, check)
        return nbytes

    def wrote_piece(self, span: Span) -> bool:
        """A lane has written a part of a segment. Whether a segment is whole by that; it has no check from one lane,
        so it is read back. Raises StoreError."""
        self._follower.unsynced_bytes += len(span)
        if self.plan is None or self.proof is None:
            self._stream_pieces.append(span)
            return False
        whole = self.plan.wrote_piece(span)
        for index in whole:
            self._checked(index, self._check_on_disk(self.proof, index))
        return bool(whole)

    def noted_in(self, leased: Span) -> list[Span]:
        """What a lane that is gone has noted of its lease and nobody knows of; nothing where that cannot be read."""
        pieces, plan, proof = self.open_part.pieces, self.plan, self.proof
        if pieces is None or plan is None or proof is None:
            return []
        try:
            return [
                span
                for span, check in pieces.read(plan.grid).items()
                if leased.start <= span.start and span.stop <= leased.stop
                if not plan.has_written(span) and proof.check_of(span) == check
            ]
        except OSError as exc:
            _log.warning("pieces.lost", file=self._name, error=str(exc))
            return []

    def _check_on_disk(self, proof: Proof, index: int) -> int:
        with disk_errors("read back", self.open_part.data):
            return proof.check_on_disk(index)

    def _checked(self, index: int, check: int) -> None:
        if self.plan is None or self.proof is None:
            self.stream_checks[index] = check
            return
        self.plan.wrote_segment(index)
        self.proof.wrote(index, check)
        if self.open_part.journal is not None:
            self.open_part.journal.append(index, check)

    # Behind the writers

    def follow(self) -> None:
        """Let the frontier follow, and sync what has come."""
        if self.plan is None or self.proof is None:
            return
        frontier = self.proof.frontier
        frontier.limit = self.plan.frontier_limit
        self._follower.follow(frontier, lambda: self._read_back(frontier), self.open_part.sync)

    def _read_back(self, frontier: Frontier) -> int | None:
        with disk_errors("read back", self.open_part.data):
            return frontier.advance()

    def _followed(self, bad: int | None) -> None:
        if bad is not None and self.plan is not None and self.proof is not None:
            self._voice.notice(f"Segment {bad} is not what an earlier run wrote; it is fetched again.")
            self.held_bytes -= len(self.plan.grid.span_of(bad))
            self._lose(bad)
            self.proof.frontier.replaced(bad)
        self._moved()

    def interrupt(self) -> None:
        """A hash step that runs shall end soon."""
        if self.proof is not None:
            self.proof.frontier.must_stop = True

    def lose(self, indices: list[int]) -> None:
        """Of a complete file: these segments are missing again, and all is hashed anew."""
        assert self.plan is not None and self.proof is not None  # noqa: S101 - complete until now
        for index in indices:
            self._lose(index)
        self.proof.follow_again()

    def _lose(self, index: int) -> None:
        """Nothing vouches for this segment any more, lanes' notes included."""
        assert self.plan is not None  # noqa: S101 - some of it was there
        self.plan.lose(index)
        if self.open_part.pieces is not None:
            self.open_part.pieces.clear()

    # Ends

    def give_up(self) -> None:
        """Close it after an error that is final; a part in which there never was a byte goes."""
        if self._is_bare:
            try:
                self.open_part.discard()
            except EngineError as exc:
                _log.warning("part.leftover", path=str(self.open_part.folder), error=str(exc))
        self.close()

    @property
    def _is_bare(self) -> bool:
        """Whether this run has begun the file and got nothing of it, so that nobody can go on with it."""
        if self.plan is None or self.proof is None or self.plan.written_bytes or self.proof.checks:
            return False
        journal = self.open_part.journal
        return journal is None or not (journal.checks or journal.pieces)

    def close(self) -> None:
        """Let go of the part and leave it for the next run, with what has come of unfinished segments: an orderly end
        loses not a byte. May be called twice."""
        if self.part is None:
            return
        try:
            self._keep_pieces()
        except (OSError, EngineError) as exc:
            _log.warning("pieces.lost", file=self._name, error=str(exc))
        self.part.close()

    def _keep_pieces(self) -> None:
        journal = self.open_part.journal
        if journal is not None and self.plan is not None and self.proof is not None:
            for noted in self.noted_in(Span(0, self.plan.grid.size)):  # by lanes that had no time to tell
                self.plan.wrote_piece(noted)
            for piece in self.plan.pieces:
                journal.append_piece(piece, self.proof.check_of(piece))
            self.open_part.forget_pieces()
