"""A client that sends exactly what it is told, and the content of the largest file that it meets."""

import http.client
import json
import socket
from typing import Any
from urllib.parse import urlsplit

WEIGHTS = bytes(range(256)) * 40_000  # 10,240,000 bytes


class Answer:
    """An answer that has been read to its end."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Requests whose target goes out exactly as given, over one connection each."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 0

    def ask(self, method: str, target: str, headers: dict[str, str] | None = None, body: str = "") -> Answer:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        try:
            connection.request(method, target, body=body or None, headers=headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, target: str, **headers: str) -> Answer:
        return self.ask("GET", target, {key.replace("_", "-"): value for key, value in headers.items()})

    def raw(self, data: bytes) -> bytes:
        """Everything that comes back for these bytes until the server closes."""
        with socket.create_connection((self.host, self.port), timeout=20) as plain:
            plain.sendall(data)
            return b"".join(iter(lambda: plain.recv(65536), b""))
