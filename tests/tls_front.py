"""Takes TLS off in front of a plain server of this machine, such as a proxy."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def tls_front(port: int, context: ssl.SSLContext) -> Iterator[int]:
    """Its own port, for as long as the block lasts. port: where what is under the TLS goes."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        threading.Thread(target=_accept, args=(listener, port, context), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, port: int, context: ssl.SSLContext) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_join, args=(client, port, context), daemon=True).start()


def _join(client: socket.socket, port: int, context: ssl.SSLContext) -> None:
    with (
        contextlib.suppress(OSError),
        context.wrap_socket(client, server_side=True) as outer,
        socket.create_connection(("127.0.0.1", port)) as inner,
    ):
        upwards = threading.Thread(target=_pump, args=(outer, inner), daemon=True)
        upwards.start()
        _pump(inner, outer)
        upwards.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
