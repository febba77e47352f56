"""Requests as bytes, and the file that faults strike."""

import socket
from collections.abc import Callable

from tests.curl import Curl
from tests.origin import Origin, Pattern

Make = Callable[..., Origin]
Fetch = Callable[..., Curl]
SIZE = 100_000
MODEL = Pattern(SIZE, seed=3)


def get(path: str, *lines: str) -> str:
    return "\r\n".join([f"GET /{path} HTTP/1.1", "Host: x", *lines, "", ""])


def raw(origin: Origin, request: str, *, timeout_s: float = 10) -> bytes:
    """All that the origin sends to one request, until it closes the connection."""
    with socket.create_connection((origin.host, origin.port), timeout_s) as sock:
        sock.sendall(request.encode("latin-1"))
        received = b""
        while data := sock.recv(65536):
            received += data
        return received
