"""A proxy that leads every host name to a port of this machine: by CONNECT (RFC 9110 §9.3.6), and for plain http.

So a client asks for https://huggingface.co and speaks TLS with a local server that shows a certificate for that
name, while nothing in the client is changed: HTTPS_PROXY and SSL_CERT_FILE are all it takes.
"""

import base64
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Self
from urllib.parse import urlsplit

_MAX_HEAD = 16384
_BLOCK = 1 << 18
_REFUSAL = b'HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic realm="proxy"\r\nContent-Length: 0\r\n\r\n'


class ConnectProxy:
    """On a free loopback port from `with` to its end. `asked` has every host that was asked for, in order."""

    def __init__(self, ports: Mapping[str, int], *, user: str | None = None) -> None:
        """ports: by host name; others are answered 502. user: "name:password", without which the answer is 407."""
        self.ports = dict(ports)
        self._user = user
        self.asked: list[str] = []
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._is_closing = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._start(self._accept)
        return self

    def __exit__(self, *exc: object) -> None:
        """Ends all tunnels and threads."""
        with self._lock:
            self._is_closing = True
            ending = [self._listener, *self._sockets]
        for sock in ending:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _start(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args, name="connect-proxy", daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # the end
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with self._kept(client):
            head = _read_head(client)
            host = _asked_host(head)
            with self._lock:
                self.asked.append(host)
            port = self.ports.get(host)
            if not self._may(head):
                client.sendall(_REFUSAL)
            elif port is None:
                client.sendall(b"HTTP/1.1 502 Unknown host\r\nContent-Length: 0\r\n\r\n")
            else:
                self._join(client, head, port)

    def _may(self, head: bytes) -> bool:
        if self._user is None:
            return True
        given = b"Basic " + base64.b64encode(self._user.encode())
        return b"\r\nproxy-authorization: " + given.lower() + b"\r\n" in head.lower()

    def _join(self, client: socket.socket, head: bytes, port: int) -> None:
        """Both ways until one side ends: everything after a CONNECT, else one request after the other."""
        with socket.create_connection(("127.0.0.1", port)) as server, self._kept(server):
            is_tunnel = head.startswith(b"CONNECT ")
            if is_tunnel:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(server, client), name="connect-proxy", daemon=True)
            back.start()
            if is_tunnel:
                _pump(client, server)
            else:
                _forward(client, head, server)
            back.join()

    @contextlib.contextmanager
    def _kept(self, sock: socket.socket) -> Iterator[None]:
        """Closed at the end, and shut down when the proxy ends before; what breaks meanwhile is the tunnel's end."""
        with self._lock:
            self._sockets.add(sock)
            if self._is_closing:
                sock.shutdown(socket.SHUT_RDWR)
        try:
            with sock, contextlib.suppress(OSError):
                yield
        finally:
            with self._lock:
                self._sockets.discard(sock)


def _read_head(client: socket.socket) -> bytes:
    """A request's head, read byte by byte, as what follows is not ours; what there is of it at the end."""
    head = b""
    while not head.endswith(b"\r\n\r\n") and len(head) < _MAX_HEAD and (byte := client.recv(1)):
        head += byte
    return head


def _asked_host(head: bytes) -> str:
    """The host of a CONNECT or of an absolute target (RFC 9112 §3.2.2)."""
    method, _, rest = head.partition(b" ")
    target = rest.partition(b" ")[0].decode("latin-1")
    return target.rpartition(":")[0] if method == b"CONNECT" else urlsplit(target).hostname or ""


def _forward(client: socket.socket, head: bytes, server: socket.socket) -> None:
    """Requests without a body, each with its target as servers know it and without what was meant for the proxy."""
    with contextlib.suppress(OSError):
        while head.endswith(b"\r\n\r\n"):
            first, *lines = head.decode("latin-1").split("\r\n")
            method, target, version = first.split(" ")
            path = target.removeprefix(f"http://{urlsplit(target).netloc}")
            lines = [line for line in lines if not line.lower().startswith("proxy-")]
            server.sendall("\r\n".join([f"{method} {path} {version}", *lines]).encode("latin-1"))
            head = _read_head(client)
    with contextlib.suppress(OSError):
        server.shutdown(socket.SHUT_WR)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Everything from one side to the other, its end included."""
    with contextlib.suppress(OSError):
        while data := source.recv(_BLOCK):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
