"""The origin: a local HTTP/1.1 server, well-behaved until told otherwise, that remembers everything."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, quote

from tests.certificates import Certificates, Identity
from tests.origin import manners, stream  # noqa: F401 - importing them registers the faults
from tests.origin.connection import Connection
from tests.origin.content import Content
from tests.origin.faults import KINDS, Fault
from tests.origin.files import File, Grants
from tests.origin.ledger import Ledger, Record
from tests.origin.manners import Exchange
from tests.origin.wire import Answer, Request, plain

_CLOSE_WITHIN_S = 5.0
_FILTERS = (
    "path", "method", "times", "nth", "range_start", "when", "probability", "seed", "after_bytes", "offset",
)  # fmt: skip


class Origin:
    """A server on a free loopback port, from `with` to its end; then no thread or socket of it is left.

    files: by path without the first slash, which may hold a query ("api/models?page=2"). tls:
    certificates (their good one is shown), one identity, or an SSL server context. Everything here
    may be called from any thread while it serves.
    """

    def __init__(
        self,
        files: Mapping[str, File | Content | bytes | Path] | None = None,
        *,
        tls: Certificates | Identity | ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.files: dict[str, File] = {}
        for path, what in (files or {}).items():
            self.add(path, what)
        identity = tls.server if isinstance(tls, Certificates) else tls
        self.tls = identity.context() if isinstance(identity, Identity) else identity or None
        self.host = host
        self.ledger = Ledger()
        self.is_closing = False
        self.releases = 0
        """How often release() was called."""
        self._wanted_port = port
        self._faults: list[Fault] = []
        self._grants = Grants()
        self._lock = threading.Lock()
        self._connections: dict[Connection, threading.Thread] = {}
        self._timers: list[threading.Timer] = []
        self._crashes: list[BaseException] = []

    # Life

    def __enter__(self) -> Self:
        self._family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        # Bound but not listening: it keeps the port ours while nobody listens on it.
        self._holder = self._bound(self._wanted_port)
        self.port: int = self._holder.getsockname()[1]
        self._listener: socket.socket | None = None
        self.listen()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End every connection and thread at once. RuntimeError when one does not end, or had crashed."""
        self.is_closing = True
        for timer in self._timers:
            timer.cancel()
        self.refuse()
        self._holder.close()
        until = time.monotonic() + _CLOSE_WITHIN_S
        while (threads := self._end_connections()) and time.monotonic() < until:
            threads[0].join(0.05)
        for timer in self._timers:
            timer.join(_CLOSE_WITHIN_S)
        if threads:
            raise RuntimeError(f"the origin cannot end {[thread.name for thread in threads]}")
        if self._crashes:
            raise RuntimeError(f"the origin itself failed: {self._crashes!r}") from self._crashes[0]

    def _end_connections(self) -> list[threading.Thread]:
        """Shut down all that are left; their threads. Again and again: a socket in the midst of becoming
        a TLS one cannot be reached for a moment."""
        with self._lock:
            connections = dict(self._connections)
        for connection in connections:
            connection.shutdown()
        return list(connections.values())

    def _bound(self, port: int) -> socket.socket:
        sock = socket.socket(self._family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((self.host, port))
        return sock

    def listen(self) -> None:
        """Take connections (again, after refuse())."""
        with self._lock:
            if self._listener is not None or self.is_closing:
                return
            self._listener = self._bound(self.port)
            self._listener.listen(512)
            self._acceptor = threading.Thread(
                target=self._accept, args=(self._listener,), name=f"origin-{self.port}", daemon=True
            )
            self._acceptor.start()

    def refuse(self, seconds: float | None = None) -> None:
        """Refuse connections, for seconds or until listen(); those that are open go on."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            self._acceptor.join(_CLOSE_WITHIN_S)
            listener.close()
        if seconds is not None:
            timer = threading.Timer(seconds, self.listen)
            self._timers.append(timer)
            timer.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError as exc:
                if listener is self._listener:  # not refuse(), which takes it away before it shuts it down
                    self._crashes.append(exc)
                return
            with self._lock:
                self.ledger.connections += 1
                connection = Connection(self, sock, self.ledger.connections)
                name = f"origin-{self.port}-{connection.number}"
                thread = threading.Thread(target=self._run, args=(connection,), name=name, daemon=True)
                self._connections[connection] = thread
            thread.start()

    def _run(self, connection: Connection) -> None:
        try:
            connection.run()
        except BaseException as exc:
            self._crashes.append(exc)  # close() raises it: an origin that broke proves nothing
        finally:
            with self.ledger.changing(), self._lock:
                del self._connections[connection]

    # Files and addresses

    def add(self, path: str, what: File | Content | bytes | Path) -> File:
        """Serve something more, or something else, under path."""
        self.files[path.lstrip("/")] = file = what if isinstance(what, File) else File(what)
        return file

    @property
    def base(self) -> str:
        """Scheme, host and port, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    def url(self, path: str = "", *, host: str | None = None) -> str:
        """The address of path; host: another name for this machine ("localhost")."""
        base = self.base if host is None else f"{'https' if self.tls else 'http'}://{host}:{self.port}"
        return f"{base}/{quote(path, safe='/?=&:@,+~-._')}"

    def sign(self, path: str, *, uses: int | None = None, life_s: float | None = None) -> str:
        """An address with a token, for a File(signed=True); good for so many requests and seconds."""
        return f"{self.url(path)}?X-Signature={self._grants.make(path, uses, life_s)}&X-Expires=3600"

    def expire(self) -> None:
        """Every address signed so far gets 403 from now on."""
        self._grants.expire()

    def find(self, request: Request) -> File | None:
        exact = f"{request.path}?{request.query}"
        return self.files.get(exact) or self.files.get(request.path)

    def answer(self, exchange: Exchange) -> Answer:
        """The good answer to a request."""
        file, request = exchange.file, exchange.request
        if file is None:
            return plain(404, "Not here.\n", [("X-Error-Code", "EntryNotFound")])
        if file.signed and not self._grants.use(request.path, [v for _, v in parse_qsl(request.query)]):
            return plain(403, "<Error><Code>AccessDenied</Code><Message>Expired</Message></Error>")
        return file.answer(request)

    # Faults

    def fault(self, name: str, /, **options: Any) -> Fault:
        """Misbehave in this way from now on: names and options are in README.md, filters in faults.Fault.

        TypeError for an option that this fault has not. The returned fault has `fired`.
        """
        if name not in KINDS:
            raise TypeError(f"no fault {name!r}; there are {', '.join(sorted(KINDS))}")
        filters = {key: options.pop(key) for key in _FILTERS if key in options}
        fault = Fault(KINDS[name], self.ledger, options=options, **filters)
        self._faults.append(fault)
        return fault

    def behave(self) -> None:
        """No more faults; what has fired stays counted. Changed files stay changed."""
        with self.ledger.condition:
            for fault in self._faults:
                fault.times = fault.fired

    def thaw(self) -> None:
        """No more faults, and whoever hangs or stalls now goes on."""
        self.behave()
        self.release()

    def release(self) -> None:
        """Whoever hangs or stalls now goes on."""
        self.releases += 1

    def faults_striking(self, record: Record) -> list[Fault]:
        """Those meant for a request; to be asked once a request, before anything is done about it."""
        return [fault for fault in self._faults if fault.kind.stage != "accept" and fault.strikes(record)]

    def faults_at_the_door(self) -> list[Fault]:
        """Those meant for the newest connection."""
        with self._lock:
            count = sum(not connection.turned_away for connection in self._connections)
        at_door = [fault for fault in self._faults if fault.kind.stage == "accept"]
        return [fault for fault in at_door if fault.strikes_at_the_door(count)]

    # Memory

    @property
    def requests(self) -> list[Record]:
        """All requests so far, oldest first; the records of running ones still grow."""
        self.ledger.settle()
        with self.ledger.condition:
            return list(self.ledger.requests)

    def requests_for(self, path: str) -> list[Record]:
        return [record for record in self.requests if record.path == path]

    def fired(self, name: str) -> int:
        """How often faults of this name really happened."""
        if name not in KINDS:
            raise TypeError(f"no fault {name!r}")
        with self.ledger.condition:
            return sum(fault.fired for fault in self._faults if fault.kind.name == name)

    def bytes_sent(self, path: str | None = None) -> int:
        """Body bytes handed to the kernel, of one path or of all."""
        self.ledger.settle()
        return self.ledger.bytes_sent(path)

    @property
    def open_connections(self) -> int:
        with self._lock:
            return len(self._connections)

    @property
    def connections(self) -> int:
        """Accepted so far."""
        return self.ledger.connections

    @property
    def handshake_failures(self) -> list[str]:
        return list(self.ledger.handshake_failures)

    def wait_fired(self, name: str, times: int = 1, timeout_s: float = 10.0) -> None:
        """Until the fault has happened so often; TimeoutError."""
        self.ledger.wait(lambda: self.fired(name) >= times, timeout_s, f"{name} to fire {times} times")

    def wait_sent(self, nbytes: int, path: str | None = None, timeout_s: float = 10.0) -> None:
        """Until so many body bytes are handed to the kernel; TimeoutError."""
        self.ledger.wait(
            lambda: self.ledger.bytes_sent(path) >= nbytes, timeout_s, f"{nbytes} bytes to be sent"
        )

    def wait_requests(self, count: int, path: str | None = None, timeout_s: float = 10.0) -> None:
        """Until so many requests have come; TimeoutError."""

        def have_come() -> bool:
            return sum(path in (None, record.path) for record in self.ledger.requests) >= count

        self.ledger.wait(have_come, timeout_s, f"{count} requests")

    def wait_handshake_failures(self, count: int = 1, timeout_s: float = 10.0) -> None:
        """Until so many TLS handshakes have failed; TimeoutError."""
        self.ledger.wait(
            lambda: len(self.ledger.handshake_failures) >= count, timeout_s, f"{count} failed handshakes"
        )

    def wait_idle(self, timeout_s: float = 10.0) -> None:
        """Until no connection is open; TimeoutError."""
        self.ledger.wait(lambda: self.open_connections == 0, timeout_s, "the end of all connections")
