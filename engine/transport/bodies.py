"""Small bodies, read to a limit: JSON, and what a refusing server has to say."""

from engine.errors import ProtocolViolation
from engine.plain_text import conceal
from engine.telemetry import redact
from engine.transport.foreign_errors import describe
from engine.transport.retry import EXPLAINING, Failure, WireError, parse_retry_after
from engine.transport.wire import Answer

_SHOWN = 200
"""Characters of a server's own words."""


def read_bounded(answer: Answer, limit_bytes: int) -> bytes:
    """The whole body, at most limit_bytes. Raises WireError, ProtocolViolation."""
    body = _read(answer, limit_bytes + 1)
    if len(body) > limit_bytes:
        answer.close()
        shown = redact(answer.url)
        raise ProtocolViolation(
            f"{shown} sent more than the {limit_bytes} bytes that such an answer may have.", url=shown
        )
    answer.response.release_conn()
    return body


def read_start(answer: Answer, nbytes: int) -> bytes:
    """The first nbytes of a body, or all of a shorter one. Raises WireError.

    The connection goes back where that was all, and ends where more would come.
    """
    body = _read(answer, nbytes)
    if answer.response.length_remaining == 0:
        answer.response.release_conn()
    else:
        answer.close()
    return body


def _read(answer: Answer, most_bytes: int) -> bytes:
    """What comes, until most_bytes are there. Raises WireError, and the connection is closed then."""
    shown = redact(answer.url)
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        answer.close()
        raise WireError(
            Failure(kind="encoding", message=f"{shown} sent a compressed body unasked.", url=shown)
        )
    chunks: list[bytes] = []
    left = most_bytes
    try:
        while left > 0 and (chunk := answer.response.read(min(left, 1 << 16), decode_content=False)):
            chunks.append(chunk)
            left -= len(chunk)
    except Exception as exc:
        answer.close()
        raise WireError(describe(exc, shown)) from exc
    return b"".join(chunks)


def status_failure(answer: Answer) -> Failure:
    """A refusing answer as a Failure, with the headers and the start of the body that explain it, without credentials
    in them: some servers repeat those to say what is wrong. Closes it."""
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
        message=f"{shown} answered {answer.status} {conceal(answer.response.reason or '')[:_SHOWN]}".strip()
        + ".",
        retry_after_s=parse_retry_after(answer.headers),
        headers={k.lower(): conceal(v[:500]) for k, v in answer.headers.items() if k.lower() in EXPLAINING},
        body=_concealed(body),
        is_despite_credentials=answer.has_credentials,
    )


def _concealed(body: bytes) -> bytes:
    return conceal(body.decode(errors="surrogateescape")).encode(errors="surrogateescape")
