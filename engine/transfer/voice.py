"""What is said of one file on its way: events for whoever watches the pull, lines for the log."""

from collections.abc import Callable

from engine.telemetry import Log, redact
from engine.transfer.events import Event, Notice, Plan, Retry, Waiting
from engine.transfer.job import Job
from engine.transfer.messages import Lease
from engine.transport.auth import origin_of
from engine.transport.retry import Failure

_log = Log(__name__)


class Voice:
    """Of one file."""

    def __init__(self, job: Job, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._file, self._path = str(job.remote.name), str(job.target)
        self._url = redact(job.remote.url)

    def waiting(self, holder: str) -> None:
        """Somebody else has the lock."""
        self._emit(Waiting(file=self._file, path=self._path, holder=holder))
        _log.info("lock.waiting", file=self._file, holder=holder)

    def planned(self, size: int, *, held: int, ranges: bool) -> None:
        """The size is known, and how much of it is on disk already, in bytes."""
        self._emit(
            Plan(file=self._file, path=self._path, url=self._url, size=size, held_bytes=held, ranges=ranges)
        )

    def retry(
        self, failure: Failure, lease: Lease, *, offset: int, wait_s: float, attempt: int, attempts: int
    ) -> None:
        """A lease failed, and what it did not bring is leased anew."""
        retry = Retry(
            file=self._file,
            path=self._path,
            url=failure.url,
            cause=failure.message,
            kind=failure.kind,
            status=failure.status,
            offset=offset,
            lane=lease.lane,
            start=lease.span.start if lease.span else None,
            stop=lease.span.stop if lease.span else None,
            wait_s=wait_s,
            attempt=attempt,
            attempts=attempts,
        )
        _log.info(
            "lease.failed",
            file=retry.file,
            origin=origin_of(failure.url or lease.url),
            lease=lease.lease,
            lane=lease.lane,
            span=str(lease.span),
            kind=retry.kind,
            cause=retry.cause,
            wait_s=wait_s,
            attempt=attempt,
        )
        self._emit(retry)

    def notice(self, message: str) -> None:
        """What a person should know."""
        _log.info("file.notice", file=self._file, message=message)
        self._emit(Notice(file=self._file, path=self._path, message=message))
