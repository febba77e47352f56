"""Clients beside each other: those that leave, wait, are cut off, or are many."""

import http.client
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.integration.hub_view.client import WEIGHTS, Client


def test_clients_that_leave_do_no_harm(client: Client, capfd: pytest.CaptureFixture[str]) -> None:
    """Connections that are reset in the middle of a body leave the server well and silent."""
    request = b"GET /acme/tiny/resolve/main/weights.gguf HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for _ in range(20):
        with socket.create_connection((client.host, client.port), timeout=20) as plain:
            plain.sendall(request)
            plain.recv(1000)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert client.get("/acme/tiny/resolve/main/weights.gguf").body == WEIGHTS
    assert capfd.readouterr().err == ""


def test_slow_hash_does_not_hold_up_others(client: Client, root: Path) -> None:
    """While somebody waits for the digest of a huge file, other files are answered at once."""
    with (root / "acme/tiny/huge.gguf").open("wb") as file:
        file.truncate(1 << 40)
    with socket.create_connection((client.host, client.port), timeout=20) as waiting:
        waiting.sendall(b"HEAD /acme/tiny/resolve/main/huge.gguf HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for _ in range(20):
            began = time.monotonic()
            assert client.get("/acme/tiny/resolve/main/config.json").status == 200
            assert time.monotonic() - began < 2
        waiting.setblocking(False)
        with pytest.raises(BlockingIOError):
            waiting.recv(1)


def test_file_cut_while_it_is_sent_ends_the_connection(client: Client, root: Path) -> None:
    """A file that gets shorter under a download is a cut body to the client, never a whole one."""
    path = root / "acme/tiny/shrinks.gguf"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    connection = http.client.HTTPConnection(client.host, client.port, timeout=20)
    connection.request("GET", "/acme/tiny/resolve/main/shrinks.gguf")
    response = connection.getresponse()
    response.read(1000)
    os.truncate(path, 1 << 20)
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        response.read()
    connection.close()


def test_many_downloads_at_once(client: Client) -> None:
    """Sixteen connections get sixteen different ranges of one file, each its own bytes."""
    step = len(WEIGHTS) // 16
    parts: dict[int, bytes] = {}

    def fetch(start: int) -> None:
        span = f"bytes={start}-{start + step - 1}"
        parts[start] = client.get("/acme/tiny/resolve/main/weights.gguf", Range=span).body

    threads = [threading.Thread(target=fetch, args=(index * step,)) for index in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert b"".join(parts[start] for start in sorted(parts)) == WEIGHTS
