"""A proxy that knows only CONNECT (RFC 9110 §9.3.6), and leads every host name to a port of this machine.

So a client asks for https://huggingface.co and speaks TLS with a local server that shows a certificate for that
name, while nothing in the client is changed: HTTPS_PROXY and SSL_CERT_FILE are all it takes.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Self

_MAX_HEAD = 16384
_BLOCK = 1 << 18


class ConnectProxy:
    """On a free loopback port from `with` to its end. `asked` has every host that was asked for, in order."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        """ports: by host name; others are answered 502."""
        self.ports = dict(ports)
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
            host = _asked_host(client)
            with self._lock:
                self.asked.append(host)
            port = self.ports.get(host)
            if port is None:
                client.sendall(b"HTTP/1.1 502 Unknown host\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", port)) as server, self._kept(server):
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(
                    target=_pump, args=(server, client), name="connect-proxy", daemon=True
                )
                back.start()
                _pump(client, server)
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


def _asked_host(client: socket.socket) -> str:
    """The host of a CONNECT; "" for anything else. Reads byte by byte: what follows is the tunnel's."""
    head = b""
    while not head.endswith(b"\r\n\r\n") and len(head) < _MAX_HEAD and (byte := client.recv(1)):
        head += byte
    method, _, rest = head.partition(b" ")
    return rest.partition(b" ")[0].rpartition(b":")[0].decode() if method == b"CONNECT" else ""


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Everything from one side to the other, its end included."""
    with contextlib.suppress(OSError):
        while data := source.recv(_BLOCK):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
