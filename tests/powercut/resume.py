"""The engine's own way from what is on disk to a finished file, without sockets and threads: the state machine of one
file is driven as the coordinator does it, and what a lane would fetch is written from the content that is known.
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import xxhash
from msgspec.structs import replace

from engine.errors import EngineError
from engine.remote_file import Identity
from engine.settings import Settings
from engine.spans import Span
from engine.transfer.content import content_of
from engine.transfer.events import Event, Notice, Plan
from engine.transfer.file_transfer import FileTransfer, Shared
from engine.transfer.finisher import Finisher
from engine.transfer.job import Job
from engine.transfer.messages import Lease, LeaseEnded, Opened, PieceWritten, SegmentWritten, Whole
from engine.transfer.misfits import _differs
from engine.transport.pauses import Pauses
from engine.transport.retry import Failure

_LEASE_BYTES = 1 << 16
_MANY = 10_000
"""More leases than any file here needs."""


class Resume:
    """Of one file whose content is known. `run` once."""

    def __init__(
        self, job: Job, content: bytes, etag: str | None, settings: Settings, pauses: Pauses
    ) -> None:
        self._content = content
        self._etag = etag
        self._settings = settings
        self.notices: list[str] = []
        self.held_bytes = 0
        self.has_passed_others = False
        """The hash has followed bytes that are not the file's."""
        self._proven = 0
        finisher = Finisher(_at_once)
        self._finisher = finisher
        self._transfer = FileTransfer(0, job, Shared(settings, self._observe, _at_once, finisher, pauses))

    @property
    def error(self) -> EngineError | None:
        return self._transfer.error

    def run(self) -> None:
        """To its end."""
        transfer = self._transfer
        try:
            transfer.admit()
            for number in range(1, _MANY):
                if transfer.is_over:
                    return
                now = max(time.monotonic(), transfer.resume_at)  # nobody waits here
                wants = transfer.wants_lane(now)
                lease = transfer.next_lease(number, 0, _LEASE_BYTES, 1, now) if wants else None
                if lease is not None:
                    self._serve(lease)
                self._finisher.flush(must_begin=True)
            raise AssertionError(f"it does not end: {transfer}")
        finally:
            transfer.close()

    def _observe(self, event: Event) -> None:
        if isinstance(event, Notice):
            self.notices.append(event.message)
            if event.message.startswith("Starting again"):
                self.has_passed_others, self._proven = False, 0  # of another version, and thrown away
        elif isinstance(event, Plan):
            self.held_bytes = event.held_bytes

    def _serve(self, lease: Lease) -> None:
        """As a lane does."""
        self._check_proven()
        span = lease.span
        assert span is not None
        opened = self._opened(lease)
        ended = LeaseEnded(0, lease.lease, lease.file)
        if reason := _differs(lease, opened.identity):
            ended = replace(ended, failure=Failure(kind="changed", message=reason, url=lease.url))
        elif lease.is_probe and len(self._content) <= lease.whole:
            content = content_of(self._content, self._settings.segment_size, lease.algorithms)
            self._transfer.whole_came(Whole(opened, self._content, content, ended), time.monotonic())
        else:
            if lease.wants_facts:
                proceed = self._transfer.opened(opened, time.monotonic(), may_proceed=lambda _: True)
                if proceed is not None:
                    span = Span(span.start, proceed.stop or span.start)
            for message in self._write(lease, span):
                if isinstance(message, SegmentWritten):
                    self._transfer.segment_written(message)
                else:
                    self._transfer.piece_written(message)
        self._transfer.lease_ended(ended, time.monotonic())

    def _opened(self, lease: Lease) -> Opened:
        identity = Identity(size=len(self._content), etag=self._etag)
        return Opened(0, lease.lease, lease.file, lease.url, False, 206, lease.span, identity)

    def _write(self, lease: Lease, span: Span) -> Iterator[SegmentWritten | PieceWritten]:
        """Segment by segment."""
        plan = self._transfer._assembly.plan
        assert plan is not None
        start = span.start
        while start < span.stop:
            index = plan.grid.index_of(start)
            segment = plan.grid.span_of(index)
            piece = Span(start, min(segment.stop, span.stop))
            data = self._content[piece.start : piece.stop]
            os.pwrite(self._transfer.open_part.fd, data, piece.start)
            if piece == segment:
                yield SegmentWritten(lease.lease, lease.file, index, xxhash.xxh3_64_intdigest(data))
            else:
                yield PieceWritten(lease.lease, lease.file, piece)
            start = piece.stop

    def _check_proven(self) -> None:
        """Look at what the hash has passed since the last time."""
        start, stop = self._proven, self._transfer.hashed_bytes
        self._proven = stop
        if stop > start:
            found = os.pread(self._transfer.open_part.fd, stop - start, start)
            self.has_passed_others |= found != self._content[start:stop]


def _at_once(work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
    """Instead of a helper thread."""
    try:
        result = work()
    except Exception as exc:
        done(None, exc)
    else:
        done(result, None)
