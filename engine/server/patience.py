"""How long a client may keep a connection without asking, without reading, without sending what it has begun.

aiohttp waits for the end of a first request without end, and asyncio tells of every connection that it has no
descriptor for. Both let one client hold a server, and fill its log.
"""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import web

from engine.telemetry import Log

_log = Log("engine.server.patience")
IDLE_S = 60.0
"""For the whole head of a request, from the connection or from the last answer on."""
BODY_S = 30.0
"""For the body of a request."""
PIECE_BYTES = 4 << 20
PIECE_S = 300.0
"""For so much of a file to be taken: 14 kB/s."""
HASHING_S, ASK_AGAIN_S = 40.0, 45
"""For files to be hashed before the client is told to ask again: most end a request that brings nothing in a minute."""
_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)


@asynccontextmanager
async def limited(server: web.Server, at_work: set[Any]) -> AsyncIterator[None]:
    """For as long as the block lasts, end connections on which nothing is asked. at_work: protocols with a request."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_quiet)
    sweeping = loop.create_task(_sweep(server, at_work))
    try:
        yield
    finally:
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping


async def _sweep(server: web.Server, at_work: set[Any]) -> None:
    since: dict[Any, float] = {}
    while True:
        await asyncio.sleep(IDLE_S / 4)
        now = asyncio.get_running_loop().time()
        since = {one: since.get(one, now) for one in server.connections if one not in at_work}
        for one, begun in since.items():
            if now - begun > IDLE_S:
                _log.info("connection.idle", seconds=round(now - begun))
                one.force_close()


def _quiet(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """asyncio tries to accept up to the backlog's length, and tells of each that fails, with a traceback; a second
    later it tries again, even where the server has ended meanwhile."""
    exc = context.get("exception")
    is_late = isinstance(exc, ValueError) and "_start_serving" in str(context.get("message"))
    if is_late or (isinstance(exc, OSError) and exc.errno in _OUT_OF_DESCRIPTORS):
        _log.debug("connection.refused", cause=str(exc))
    else:
        loop.default_exception_handler(context)
