"""Running the server: in the foreground of a command, or on a thread of its own.

aiohttp is an extra and is imported only here and below, when a server is really wanted.
"""

import asyncio
import errno
import ipaddress
import logging
import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from engine.errors import Busy, UsageError
from engine.telemetry import Log

if TYPE_CHECKING:
    from aiohttp import web

_log = Log("engine.server")
_GRACE_S = 0.5
"""How long downloads that run may go on once the server is told to end."""
_BACKLOG = 512


def serve(
    root: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    ready: Callable[[str], None],
    store: Path | None = None,
    allow_public: bool = False,
    allow_hosts: frozenset[str] | None = None,
) -> None:
    """Hand out root until SIGTERM or SIGINT, then end within seconds. To be called on the main thread.

    store: a store's root, whose models from registries are handed out too (`make_app`).

    ready is told the URL once connections are accepted. Port 0 takes a free one. An address that others can
    reach is refused unless allow_public; then any Host header is accepted unless allow_hosts names some.
    Raises UsageError, or Busy when the port is taken.
    """
    app, listener = _prepared(root, store, host, port, allow_public, allow_hosts)

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with suppress(NotImplementedError):  # Windows: Ctrl-C arrives as KeyboardInterrupt instead
                loop.add_signal_handler(number, stop.set)
        await _run(app, listener, ready, stop)

    with listener:
        asyncio.run(main())


class BackgroundServer:
    """A server on its own thread, for as long as the `with` block lasts; `url` has no slash at its end."""

    def __init__(
        self,
        root: Path,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        store: Path | None = None,
        allow_public: bool = False,
        allow_hosts: frozenset[str] | None = None,
    ) -> None:
        """Nothing is bound or started yet. The rest is as for `serve`."""
        self._root, self._store, self._host, self._port = root, store, host, port
        self._allow_public, self._allow_hosts = allow_public, allow_hosts
        self.url = ""

    def __enter__(self) -> Self:
        """Returns when connections are accepted. Raises what `serve` raises."""
        app, self._listener = _prepared(
            self._root, self._store, self._host, self._port, self._allow_public, self._allow_hosts
        )
        started: Future[str] = Future()
        self._thread = threading.Thread(target=self._serve, args=(app, started), name="jarvis-serve")
        self._thread.start()
        try:
            self.url = started.result()
        except BaseException:
            self._thread.join()
            raise
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Downloads that still run are cut off after half a second. May be called twice."""
        with suppress(RuntimeError):  # the loop is closed: it has ended already
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _serve(self, app: "web.Application", started: "Future[str]") -> None:
        async def main() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            await _run(app, self._listener, started.set_result, self._stop)

        try:
            with self._listener:
                asyncio.run(main())
        except BaseException as exc:
            if started.done():
                raise
            started.set_exception(exc)


async def _run(
    app: "web.Application", listener: socket.socket, ready: Callable[[str], None], stop: asyncio.Event
) -> None:
    from aiohttp import web

    from engine.server.app import AT_WORK
    from engine.server.connection import Connection
    from engine.server.patience import limited

    logger, loop = _http_logger(), asyncio.get_running_loop()
    runner = web.AppRunner(app, access_log=None, logger=logger, shutdown_timeout=_GRACE_S)
    await runner.setup()
    server, no_log = cast("web.Server", runner.server), cast(Any, None)
    listening = await loop.create_server(
        lambda: Connection(server, loop=loop, access_log=no_log, logger=logger),
        sock=listener,
        backlog=_BACKLOG,
    )
    try:
        url = _url_of(listener)
        _log.info("server.started", url=url)
        async with limited(server, app[AT_WORK]):
            ready(url)
            await stop.wait()
    finally:
        listening.close()
        await runner.cleanup()
        _log.info("server.complete")


def _prepared(
    root: Path,
    store: Path | None,
    host: str,
    port: int,
    allow_public: bool,
    allow_hosts: frozenset[str] | None,
) -> tuple["web.Application", socket.socket]:
    """The application and its bound socket, or the error that a person can do something about."""
    try:
        from engine.server.app import ANY_HOST, LOOPBACK_HOSTS, make_app
    except ModuleNotFoundError as exc:
        if exc.name != "aiohttp":
            raise
        raise UsageError(
            "Serving needs aiohttp, which is not installed. "
            "Install it with: pip install 'jarviscore-engine[server]'"
        ) from exc
    family, address = _resolved(host, port)
    is_loopback = ipaddress.ip_address(address.partition("%")[0]).is_loopback
    if not is_loopback and not allow_public:
        raise UsageError(
            f"{host or address} can be reached by other machines, and they could read every model in {root}. "
            "If that is meant, allow it with --allow-public (in Python allow_public=True); else use 127.0.0.1."
        )
    if allow_hosts is None:
        own = frozenset({host, f"[{address}]" if ":" in address else address})
        allow_hosts = LOOPBACK_HOSTS | own if is_loopback else ANY_HOST
    app = make_app(root, store=store, allow_hosts=allow_hosts)
    return app, _bound(family, address, port)


def _resolved(host: str, port: int) -> tuple[socket.AddressFamily, str]:
    if not 0 <= port <= 65535:
        raise UsageError(f"Port {port} is none: it must be from 0 (a free one) to 65535.")
    try:
        if host == "*":
            raise OSError(errno.EADDRNOTAVAIL, "no address")
        found = socket.getaddrinfo(host.strip("[]") or "0.0.0.0", port, type=socket.SOCK_STREAM)  # noqa: S104  # this is what "" means to bind; it is refused below unless allowed
    except (OSError, UnicodeError) as exc:
        raise UsageError(f"Cannot serve at {host!r}: it is no address of this machine.") from exc
    family, _, _, _, address = found[0]
    return family, str(address[0])


def _bound(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    try:
        return socket.create_server((address, port), family=family, backlog=_BACKLOG)
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            raise Busy(
                f"Port {port} of {address} is taken by another program. Choose another with --port, or none "
                "to get a free one."
            ) from exc
        reason = "ports below 1024 need special rights" if exc.errno == errno.EACCES else exc.strerror
        raise UsageError(f"Cannot serve at {address} port {port}: {reason}.") from exc


def _url_of(listener: socket.socket) -> str:
    """Where clients find it; a socket bound to every address is named by this machine's own name."""
    address, port = listener.getsockname()[:2]
    if ipaddress.ip_address(address.partition("%")[0]).is_unspecified:
        address = socket.gethostname()
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def _http_logger() -> logging.Logger:
    """aiohttp's own messages. Bytes that are no HTTP are a stranger's fault: no news, except to debug."""
    logger = logging.getLogger("engine.server.http")
    if not any(isinstance(known, _Quieter) for known in logger.filters):
        logger.addFilter(_Quieter())
    return logger


class _Quieter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        from aiohttp.http_exceptions import HttpProcessingError
        from aiohttp.web import RequestPayloadError

        fault = record.exc_info[1] if record.exc_info else None
        if not isinstance(fault, HttpProcessingError | RequestPayloadError | ConnectionError):
            return True
        _log.debug("request.malformed", cause=type(fault).__name__)
        return False
