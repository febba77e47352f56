"""Small requests of the coordinator's side: what sources ask before any file is fetched.

Bodies are read to a limit. What may be retried is retried with the same rules as a lane's requests.
"""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import msgspec

from engine.errors import ProtocolViolation
from engine.settings import Settings
from engine.telemetry import Log, redact
from engine.transport.auth import Credentials
from engine.transport.retry import (
    EXPLAINING,
    Failure,
    parse_retry_after,
)
from engine.transport.verdicts import error_of, wait_s
from engine.transport.wire import Answer, Wire, WireError, describe

_log = Log(__name__)


class JsonAnswer(msgspec.Struct, frozen=True):
    """A body, not yet decoded, with its headers and the URL that it came from in the end."""

    body: bytes
    headers: Mapping[str, str]
    url: str


class Client:
    """Bounded requests with retries, over one connection per origin. Not thread-safe."""

    def __init__(self, settings: Settings, credentials: Credentials) -> None:
        self._settings = settings
        self._wire = Wire(settings, credentials)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._wire.close()

    def get_json(self, url: str, *, limit_bytes: int = 64 << 20) -> JsonAnswer:
        """GET url with at most limit_bytes of body. Raises the typed refusal of a final status, else NetworkError."""
        failure = None
        for attempt in range(self._settings.retries + 1):
            if failure is not None:
                time.sleep(wait_s(failure, attempt, self._settings.retry_delay_s))
            try:
                return self._get(url, limit_bytes)
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
                self._wire.forget(url)
        assert failure is not None  # noqa: S101 - the loop ran at least once
        raise error_of(failure)

    def _get(self, url: str, limit_bytes: int) -> JsonAnswer:
        _log.debug("request.started", url=redact(url))
        answer = self._wire.open(
            "GET", url, {"Accept": "application/json"}, read_timeout_s=3 * self._settings.stall_timeout_s
        )
        if answer.status != 200:
            raise WireError(status_failure(answer))
        body = _read_bounded(answer, limit_bytes)
        _log.debug("request.complete", url=redact(answer.url), status=answer.status, nbytes=len(body))
        return JsonAnswer(body, answer.headers, answer.url)


def _read_bounded(answer: Answer, limit_bytes: int) -> bytes:
    shown = redact(answer.url)
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        answer.close()
        raise WireError(
            Failure(kind="encoding", message=f"{shown} sent a compressed body unasked.", url=shown)
        )
    chunks: list[bytes] = []
    left = limit_bytes + 1
    try:
        while left > 0 and (chunk := answer.response.read(min(left, 1 << 16), decode_content=False)):
            chunks.append(chunk)
            left -= len(chunk)
    except Exception as exc:
        answer.close()
        raise WireError(describe(exc, shown)) from exc
    if left <= 0:
        answer.close()
        raise ProtocolViolation(
            f"{shown} sent more than the {limit_bytes} bytes that such an answer may have.", url=shown
        )
    answer.response.release_conn()
    return b"".join(chunks)


def status_failure(answer: Answer) -> Failure:
    """A refusing answer as a Failure, with the headers and the start of the body that explain it. Closes it."""
    shown = redact(answer.url)
    try:
        body = answer.response.read(1 << 14, decode_content=False)
    except Exception:  # noqa: BLE001 - the status is the news; a body that cannot be read takes nothing from it
        body = b""
    answer.close()
    return Failure(
        kind="status",
        status=answer.status,
        url=shown,
        message=f"{shown} answered {answer.status} {answer.response.reason or ''}".strip() + ".",
        retry_after_s=parse_retry_after(answer.headers),
        headers={k.lower(): v[:500] for k, v in answer.headers.items() if k.lower() in EXPLAINING},
        body=body,
    )
