"""The links do what their scenarios say: one connection stops for ever, all together keep to a cap."""

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from perf import namespace
from perf.stall import StallPoint, stalling

ANSWER = bytes(range(256)) * 4096


@pytest.fixture
def sender() -> Iterator[int]:
    """A server that sends each client a MiB, a quarter at each byte it is sent."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve(client: socket.socket) -> None:
            quarter = len(ANSWER) // 4
            with client:
                for start in range(0, len(ANSWER), quarter):
                    if client.recv(1):
                        client.sendall(ANSWER[start : start + quarter])

        def accept() -> None:
            with contextlib.suppress(OSError):  # the door is closed in the end
                while True:
                    client, _ = door.accept()
                    serving.append(threading.Thread(target=serve, args=(client,), daemon=True))
                    serving[-1].start()

        serving = [threading.Thread(target=accept, daemon=True)]
        serving[0].start()
        yield door.getsockname()[1]
        door.shutdown(socket.SHUT_RDWR)
        for thread in serving:
            thread.join(5)


def ask(client: socket.socket) -> bytes:
    """What comes for one byte, until nothing more comes for a second."""
    client.settimeout(1.0)
    got = b""
    try:
        client.sendall(b"?")
        while len(got) < len(ANSWER) // 4 and (data := client.recv(1 << 16)):
            got += data
    except TimeoutError:
        pass
    return got


def test_connection_at_the_point_falls_silent_and_stays_open(sender):
    """It gives no byte and no end; another one, and one that comes later, bring every byte."""
    point = StallPoint(len(ANSWER) // 4 + 1)
    with stalling(sender, point) as port:
        with (
            socket.create_connection(("127.0.0.1", port)) as one,
            socket.create_connection(("127.0.0.1", port)) as other,
        ):
            assert ask(one) == ANSWER[: len(ANSWER) // 4]
            assert len(ask(other)) < len(ANSWER) // 4
            assert point.has_happened
            assert ask(other) == b""
            assert b"".join(ask(one) for _ in range(3)) == ANSWER[len(ANSWER) // 4 :]
        with socket.create_connection(("127.0.0.1", port)) as later:
            assert b"".join(ask(later) for _ in range(4)) == ANSWER


def test_control_passes_everything(sender):
    """The same proxy without a stall, for comparison."""
    with stalling(sender, StallPoint(None)) as port, socket.create_connection(("127.0.0.1", port)) as client:
        assert b"".join(ask(client) for _ in range(4)) == ANSWER


SEND = """
import socket, sys
with socket.create_server((sys.argv[1], 7000)) as door:
    print("ready", flush=True)
    client, _ = door.accept()
    client.sendall(bytes(12_500_000))
    client.close()
"""


@pytest.mark.skipif(namespace.why_impossible() is not None, reason="no network namespaces here")
def test_cap_holds_and_nothing_is_left(tmp_path):
    """12.5 MB through 25 MB/s take half a second, less what the bucket held; the namespace and its cable are gone."""
    with namespace.capped(25_000_000) as inside:
        words = [*inside.prefix, "python3", "-c", SEND, inside.host]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            server.stdout.readline()
            started = time.monotonic()
            count = 0
            with socket.create_connection((inside.host, 7000), timeout=20) as client:
                while data := client.recv(1 << 16):
                    count += len(data)
            took_s = time.monotonic() - started
    assert count == 12_500_000
    assert took_s >= 0.42
    spaces = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    assert inside.name not in spaces
