"""Small requests of the coordinator's side: what sources ask before any file is fetched.

Bodies are read to a limit. What may be retried is retried with the same rules as a lane's requests.
"""

import time
from collections.abc import Callable, Mapping
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec

from engine.settings import Settings, home
from engine.spans import Span
from engine.telemetry import Log, redact
from engine.transport.auth import Credentials
from engine.transport.pauses import Pauses
from engine.transport.ranges import fits, format_range, parse_content_range
from engine.transport.retry import Failure, WireError
from engine.transport.verdicts import error_of, wait_s

if TYPE_CHECKING:
    from engine.transport.metered import Deadline
    from engine.transport.wire import Answer, Wire

_log = Log(__name__)
_T = TypeVar("_T")
_PATIENCE = 6
"""Stall timeouts that an answer may take, redirects and tokens included, and what its length needs."""


class JsonAnswer(msgspec.Struct, frozen=True):
    """A body, not yet decoded, with its headers and the URL that it came from in the end."""

    body: bytes
    headers: Mapping[str, str]
    url: str


class Client:
    """Bounded requests with retries, over one connection per origin. Not thread-safe."""

    def __init__(self, settings: Settings, credentials: Credentials) -> None:
        self._settings = settings
        self._credentials = credentials
        self._pauses = Pauses(home() / "pauses")

    @cached_property
    def _wire(self) -> "Wire":
        from engine.transport.wire import Wire  # loads urllib3: a plain URL needs no question before its file

        return Wire(self._settings, self._credentials, meter=self._deadline)

    @cached_property
    def _deadline(self) -> "Deadline":
        from engine.transport.metered import Deadline

        return Deadline(_PATIENCE * self._settings.stall_timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """May be called twice."""
        if "_wire" in self.__dict__:
            self._wire.close()

    def get_json(
        self, url: str, *, limit_bytes: int = 64 << 20, accept: str = "application/json"
    ) -> JsonAnswer:
        """GET url with at most limit_bytes of body. Raises the typed refusal of a final status, else NetworkError."""
        return self._retried(url, lambda: self._get(url, limit_bytes, accept))

    def get_span(self, url: str, span: Span) -> bytes:
        """A few bytes of a file; fewer where the file ends before. Raises as get_json does.

        A server without ranges is read up to the span's end: choose one near the start.
        """
        return self._retried(url, lambda: self._get_span(url, span))

    def _retried(self, url: str, ask: Callable[[], _T]) -> _T:
        failure = None
        for attempt in range(self._settings.retries + 1):
            if failure is not None:
                time.sleep(wait_s(failure, attempt, self._settings.retry_delay_s))
            if pause := self._pauses.left_s(url):
                _log.info("request.paused", url=redact(url), seconds=round(pause, 1))
                time.sleep(pause)
            try:
                return ask()
            except WireError as exc:
                failure = exc.failure
                _log.info(
                    "request.failed",
                    url=redact(url),
                    kind=failure.kind,
                    status=failure.status,
                    attempt=attempt,
                )
                if failure.is_final:
                    break
                if failure.is_pushback and failure.retry_after_s:
                    self._pauses.note(failure.url or url, failure.retry_after_s)
                self._wire.forget(url)
        assert failure is not None  # noqa: S101 - the loop ran at least once
        raise error_of(failure)

    def _open(self, url: str, headers: Mapping[str, str]) -> "Answer":
        self._deadline.start()
        answer = self._wire.open("GET", url, headers, read_timeout_s=3 * self._settings.stall_timeout_s)
        for origin, seconds in answer.pauses():
            self._pauses.note(origin, seconds)
        return answer

    def _get(self, url: str, limit_bytes: int, accept: str) -> JsonAnswer:
        from engine.transport.bodies import read_bounded, status_failure

        _log.debug("request.started", url=redact(url))
        answer = self._open(url, {"Accept": accept})
        if answer.status != 200:
            raise WireError(status_failure(answer))
        body = read_bounded(answer, limit_bytes)
        _log.debug("request.complete", url=redact(answer.url), status=answer.status, nbytes=len(body))
        return JsonAnswer(body, answer.headers, answer.url)

    def _get_span(self, url: str, span: Span) -> bytes:
        from engine.transport.bodies import read_start, status_failure

        answer = self._open(url, {"Range": format_range(span)})
        if answer.status == 200:
            return read_start(answer, span.stop)[span.start :]
        if answer.status == 416:
            answer.close()
            return b""
        if answer.status != 206:
            raise WireError(status_failure(answer))
        if not fits(span, parse_content_range(answer.headers.get("content-range"))):
            answer.close()
            shown = redact(answer.url)
            raise WireError(
                Failure(kind="range", message=f"{shown} sent another range than asked for.", url=shown)
            )
        return read_start(answer, len(span))
