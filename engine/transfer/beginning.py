"""The ways in which the assembly of a file begins: with what an earlier run left, from zero, as one stream, whole.

Each ends with a plan, as soon as the size is known. On the coordinator's thread.
"""

import os

from engine.settings import Settings
from engine.spans import Grid
from engine.store.disk import check_space
from engine.store.journal import Journal, header_of
from engine.store.part import Part
from engine.telemetry import Log
from engine.transfer.admission import can_continue
from engine.transfer.assembly import Assembly
from engine.transfer.content import Content, algorithms_for
from engine.transfer.job import Job
from engine.transfer.version import Version
from engine.transfer.voice import Voice

_log = Log(__name__)
WHOLE_BYTES = 1 << 18
"""Up to here a file comes in one answer, in memory, and needs no plan: what it costs is the request."""


class Beginning:
    """Of one file. Its methods raise NoSpace and StoreError."""

    def __init__(
        self, job: Job, settings: Settings, version: Version, voice: Voice, assembly: Assembly
    ) -> None:
        self._job = job
        self._settings = settings
        self._version = version
        self._voice = voice
        self._assembly = assembly

    @property
    def whole_bytes(self) -> int:
        """Up to what size a lane may bring the file whole: a segment at most, and nothing once there is a plan."""
        return 0 if self._assembly.plan else min(WHOLE_BYTES, self._settings.segment_size)

    @property
    def algorithms(self) -> tuple[str, ...]:
        """How the file is hashed, as far as it is known what is promised."""
        return algorithms_for(self._version.digest, self._settings)

    @property
    def takes_pages(self) -> bool:
        """Whether a web page may be the file: whoever says --force knows."""
        return self._settings.force

    def resume(self) -> bool:
        """Take what an earlier run left in the part; where there is nothing of use, start. Whether a journal is
        continued."""
        part, size = self._assembly.open_part, self._job.remote.size
        if part.is_fresh:
            if size is not None and not 0 < size <= self.whole_bytes:
                self.start(size)
            return False
        if self._settings.force:
            part.discard()
        elif self._take_up(part):
            return False
        journal = self._find_journal(part)
        if journal is not None:
            self._continue(journal)
        elif size is not None:
            self.start(size)
        return journal is not None

    def _take_up(self, part: Part) -> bool:
        """Content that was set aside once, if it is what is asked for now."""
        digest = self._version.digest
        if digest is None or digest.algorithm != "sha256" or not part.adopt(digest.hex):
            return False
        grid = Grid(os.fstat(part.fd).st_size, self._settings.segment_size)
        self._version.has_size(grid.size)
        self._assembly.make_plan(grid, digest, dict.fromkeys(range(grid.count)))
        return True

    def _find_journal(self, part: Part) -> Journal | None:
        journal = part.resume()
        reason = can_continue(journal.header, self._job.remote) if journal else None
        if reason is None:
            return journal
        self._voice.notice(f"Starting again: what an earlier run left cannot be continued, because {reason}.")
        part.discard()
        return None

    def _continue(self, journal: Journal) -> None:
        header = journal.header
        self._version.continues(header)
        pieces = dict(journal.pieces)
        missing = header.size - header.grid.runs(journal.checks).nbytes - sum(map(len, pieces))
        check_space(self._assembly.open_part.folder, missing)
        _log.info("part.resumed", file=self._job.remote.name, missing_bytes=missing, size=header.size)
        self._assembly.make_plan(header.grid, self._version.digest, dict(journal.checks), pieces)

    def start(self, size: int, *, has_ranges: bool = True) -> None:
        """From zero: make room and plan."""
        version, segment_size = self._version, self._settings.segment_size
        version.has_size(size)
        header = None
        if has_ranges and size > segment_size and version.can_be_told:
            header = header_of(self._job.remote, version.identity, version.digest, segment_size)
        self._assembly.open_part.start(header, size, self._settings.allocate)
        self._assembly.make_plan(Grid(size, segment_size), version.digest, {}, has_ranges=has_ranges)

    def start_stream(self) -> None:
        """From zero, and the size is not known before the end."""
        self._assembly.open_part.start(None, None, self._settings.allocate)

    def stream_ended(self) -> None:
        """A body of unknown length has come to its end: now the size is known."""
        checks, grid = (
            self._assembly.stream_checks,
            Grid(self._assembly.done_bytes, self._settings.segment_size),
        )
        self._version.has_size(grid.size)
        self._version.is_measured = True
        self._assembly.open_part.truncate(grid.size)
        on_disk = {index: checks.get(index) for index in range(grid.count)}
        self._assembly.make_plan(grid, self._version.digest, on_disk, has_ranges=False, is_fresh=True)

    def put_whole(self, data: bytes, content: Content) -> None:
        """Content that came in one answer, and is to be judged like that of any other file."""
        part = self._assembly.open_part
        part.start(None, len(data), "sparse")
        part.write_whole(data)
        grid = Grid(len(data), content.segment_size)
        self._assembly.make_plan(grid, self._version.digest, content.checks, is_fresh=True)
