"""The project's own server behind TLS, under any host name, with a log of what it was asked."""

import asyncio
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from tests.certificates import Identity


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    host: str
    path: str
    range: str | None
    authorization: str | None


class OwnServer:
    """engine.server over a folder, from `with` to its end, on a thread of its own."""

    def __init__(self, root: Path, host: str, identity: Identity) -> None:
        self._root, self._host, self._identity = root, host, identity
        self.asked: list[Asked] = []
        self.port = 0

    def __enter__(self) -> Self:
        pytest.importorskip("aiohttp")
        started: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name="own-server")
        self._thread.start()
        self.port = started.result(10)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self, started: "Future[int]") -> None:
        try:
            asyncio.run(self._serve(started))
        except BaseException as exc:
            if started.done():
                raise
            started.set_exception(exc)

    async def _serve(self, started: "Future[int]") -> None:
        from aiohttp import web

        from engine.server.app import make_app

        @web.middleware
        async def note(request, handler):
            header = request.headers.get
            self.asked.append(
                Asked(request.method, request.host, request.path, header("Range"), header("Authorization"))
            )
            return await handler(request)

        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = make_app(self._root, allow_hosts=frozenset({self._host}))
        app.middlewares.append(note)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._identity.context())
            await site.start()
            started.set_result(runner.addresses[0][1])
            await self._stop.wait()
        finally:
            await runner.cleanup()
