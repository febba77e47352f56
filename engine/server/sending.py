"""Bytes onto the wire: a file's by sendfile, where the kernel copies and Python only waits, or some from memory."""

import asyncio
from typing import BinaryIO

from aiohttp import web

from engine.server import patience
from engine.server.catalogue import Entry
from engine.server.conditions import Verdict, format_content_range, judge
from engine.telemetry import Log

_log = Log("engine.server.sending")


async def send_file(
    request: web.Request, entry: Entry, file: BinaryIO, headers: dict[str, str]
) -> web.StreamResponse:
    """Answer a GET or HEAD for file, as its conditions and range ask; headers must hold its ETag.

    A file that turns out shorter than it was ends the connection, so that the client sees a cut body.
    """
    verdict = judge(request.method, _joined(request), headers["ETag"], entry.size)
    response = web.StreamResponse(status=verdict.status, headers=headers)
    _describe(response, verdict, entry.size)
    if verdict.status != 304:
        response.content_length = len(verdict.span)
        response.content_type = "application/octet-stream"
    await response.prepare(request)
    if request.method == "GET" and verdict.span:
        await _send_span(request, file, verdict.span.start, len(verdict.span))
    await response.write_eof()
    return response


def bytes_answer(
    request: web.Request, data: bytes, headers: dict[str, str], media_type: str, *, ranges: bool = True
) -> web.Response:
    """The answer to a GET or HEAD for a few bytes, by the same rules; without ranges a Range is passed over."""
    conditions = _joined(request)
    if not ranges:
        conditions.pop("Range", None)
    verdict = judge(request.method, conditions, headers["ETag"], len(data))
    body = data[verdict.span.start : verdict.span.stop] if verdict.span else b""
    response = web.Response(
        status=verdict.status, headers=headers, body=None if verdict.status == 304 else body
    )
    if verdict.status != 304:
        response.headers["Content-Type"] = media_type
    if ranges:
        _describe(response, verdict, len(data))
    return response


def _describe(response: web.StreamResponse, verdict: Verdict, size_bytes: int) -> None:
    response.headers["Accept-Ranges"] = "bytes"
    if verdict.status in (206, 416):
        response.headers["Content-Range"] = format_content_range(verdict.span, size_bytes)


async def _send_span(request: web.Request, file: BinaryIO, offset: int, count: int) -> None:
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("The client has gone.")
    sent = 0
    while sent < count and (piece := await _send_piece(transport, file, offset + sent, count - sent)):
        sent += piece
    if sent != count:
        _log.warning("file.truncated", path=request.path, missing_bytes=count - sent)
        transport.abort()
        raise ConnectionResetError("The file is shorter than it was.")


async def _send_piece(transport: asyncio.Transport, file: BinaryIO, offset: int, count: int) -> int:
    """How much of it was sent; 0 at the file's end. Raises ConnectionResetError for a client that does not read on."""
    try:
        async with asyncio.timeout(patience.PIECE_S):
            size = min(count, patience.PIECE_BYTES)
            return await asyncio.get_running_loop().sendfile(transport, file, offset, size)
    except TimeoutError:
        transport.abort()
        raise ConnectionResetError("The client does not read on.") from None


def _joined(request: web.Request) -> dict[str, str]:
    """The conditional headers, each as one field (RFC 9110 §5.3)."""
    names = ("If-Match", "If-None-Match", "If-Range", "Range")
    return {name: ", ".join(request.headers.getall(name)) for name in names if name in request.headers}
