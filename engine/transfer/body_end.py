"""Whether a body ends where its answer has promised."""

import socket
from threading import Timer

from engine.telemetry import redact
from engine.transport.foreign_errors import describe
from engine.transport.metered import wake
from engine.transport.retry import Failure, WireError
from engine.transport.wire import Answer

_PATIENCE_S = 1.0
"""For what comes behind the last byte."""


def refuse_more(answer: Answer, connection: socket.socket | None) -> None:
    """To be asked once all that was promised has been read. Raises WireError of kind "frames" where the body goes on,
    or its frames break: then it is of something else, or frames have been read as content (RFC 9112 §7.1).

    A body with a length ends there by itself. Where the end of a chunked one, or of the connection, does not come, all
    bytes are here nevertheless, and the connection is dropped.
    """
    if answer.response.isclosed():
        return
    timer = Timer(_PATIENCE_S, wake, (connection,))
    if connection is not None:
        timer.start()
    try:
        more = answer.response.read(1, decode_content=False)
    except Exception as exc:
        answer.close()
        failure = describe(exc, redact(answer.url))
        if failure.kind == "frames":
            raise WireError(failure) from exc
        return
    finally:
        timer.cancel()
    if more:
        answer.close()
        shown = redact(answer.url)
        message = f"{shown} sent more than it had promised."
        raise WireError(Failure(kind="frames", message=message, url=shown, status=answer.status))
