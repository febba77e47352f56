"""Starting and ending the server: where it binds, what it refuses, and how fast it stops."""

import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("aiohttp")

from engine.errors import Busy, UsageError
from engine.server import digests, patience
from engine.server.run import BackgroundServer, serve
from tests.command import Command
from tests.integration.trial import wait_until

BIG_BYTES = 256 << 20
CHECKOUT = Path(__file__).parents[2]
PROGRAM = """
import sys
from pathlib import Path
from engine.server.run import serve
serve(Path(sys.argv[1]), ready=lambda url: print(url, flush=True))
print("ended", flush=True)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    model = tmp_path / "root/acme/tiny"
    model.mkdir(parents=True)
    (model / "config.json").write_bytes(b"{}")
    with (model / "big.gguf").open("wb") as file:
        file.truncate(BIG_BYTES)
    return tmp_path / "root"


@contextmanager
def serving(root: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The server in a process of its own, and its URL."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(root)],
        cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        url = process.stdout.readline().strip()
        assert url, process.communicate()
        yield process, url
    finally:
        process.kill()
        process.communicate()


@contextmanager
def stuck_download(url: str, name: str = "big.gguf") -> Iterator[socket.socket]:
    """A client that has begun to receive a big file and then does not read on."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as plain:
        plain.sendall(f"GET /acme/tiny/resolve/main/{name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert plain.recv(12) == b"HTTP/1.1 200"
        yield plain


def get(url: str) -> bytes:
    with urllib.request.urlopen(f"{url}/acme/tiny/resolve/main/config.json", timeout=20) as answer:
        body: bytes = answer.read()
        return body


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_ends_on_a_signal_while_downloads_run(root: Path, number: signal.Signals) -> None:
    """A signal ends the server within seconds, though a client holds a download open; nothing is printed amiss."""
    with serving(root) as (process, url), stuck_download(url):
        assert get(url) == b"{}"
        began = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
        assert time.monotonic() - began < 3
        assert (process.returncode, out, err) == (0, "ended\n", "")


def test_serve_ends_while_a_huge_file_is_hashed(root: Path) -> None:
    """A digest that would take minutes does not hold up the end."""
    with (root / "acme/tiny/huge.gguf").open("wb") as file:
        file.truncate(1 << 40)
    with serving(root) as (process, url):
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=30) as plain:
            plain.sendall(b"GET /acme/tiny/resolve/main/huge.gguf HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert get(url) == b"{}"
            process.terminate()
            _, err = process.communicate(timeout=5)
            assert (process.returncode, err) == (0, "")


def test_background_server_ends_while_downloads_run(root: Path) -> None:
    """Leaving the block cuts off what runs, frees the port, and leaves no thread."""
    with BackgroundServer(root) as server, stuck_download(server.url) as plain:
        server.__exit__(None, None, None)
        assert not [t for t in threading.enumerate() if t.name.startswith(("jarvis-serve", "hash-"))]
        received = 12
        with pytest.raises(ConnectionError):
            while block := plain.recv(1 << 20):
                received += len(block)
            raise ConnectionError
        assert received < BIG_BYTES
        with pytest.raises(ConnectionError):
            socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])))


def test_leaving_twice_is_harmless(root: Path) -> None:
    """A server that has ended can be told to end again."""
    with BackgroundServer(root) as server:
        server.__exit__(None, None, None)


def test_several_servers_at_once(root: Path) -> None:
    """Servers in one process do not know of each other."""
    with BackgroundServer(root) as one, BackgroundServer(root) as two:
        assert one.url != two.url
        assert get(one.url) == get(two.url) == b"{}"


def test_port_is_as_asked(root: Path) -> None:
    """A given port is used, and is free again at once when the server has ended."""
    with BackgroundServer(root) as server:
        port = int(server.url.rpartition(":")[2])
        get(server.url)
    with BackgroundServer(root, port=port) as server:
        assert server.url == f"http://127.0.0.1:{port}"
        assert get(server.url) == b"{}"


def test_taken_port(root: Path) -> None:
    """A port that another program holds is a clear error."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Busy, match="taken") as caught, BackgroundServer(root, port=port):
            pytest.fail("must not start")
        # An error breaks up a "404", which a port may hold by chance.
        assert f"Port {port} " in str(caught.value).replace("\u2060", "")
        with pytest.raises(Busy):
            serve(root, port=port, ready=pytest.fail)


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::"])
@pytest.mark.row("attack/50-public-address")
def test_public_address_is_refused_unless_allowed(root: Path, host: str) -> None:
    """Others get to read the models only if that was said."""
    with pytest.raises(UsageError, match=r"^\S+ can be reached by other machines.*--allow-public"):
        serve(root, host, ready=pytest.fail)


def test_public_address_when_allowed(root: Path) -> None:
    """Where it is allowed, the name in the Host header does not matter, as clients know the machine by many."""
    with BackgroundServer(root, "0.0.0.0", allow_public=True) as server:
        port = server.url.rpartition(":")[2]
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/models", headers={"Host": "models.lan"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert answer.status == 200


def test_public_address_with_named_hosts(root: Path) -> None:
    """Allowed names hold on a public address too."""
    with (
        BackgroundServer(root, "0.0.0.0", allow_public=True, allow_hosts=frozenset({"models.lan"})) as server,
        pytest.raises(urllib.error.HTTPError, match="403"),
    ):
        urllib.request.urlopen(f"http://127.0.0.1:{server.url.rpartition(':')[2]}/", timeout=20)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "::1", "[::1]"])
def test_loopback_addresses_need_no_leave(root: Path, host: str) -> None:
    """Every loopback address is served without further ado, and answers to its own name."""
    if ":" in host and not _has_ipv6():
        pytest.skip("this machine has no IPv6")
    with BackgroundServer(root, host) as server:
        assert get(server.url) == b"{}"


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("no.such.host.invalid", 0, "no address of this machine"),
        ("*", 0, "no address of this machine"),
        ("127.0.0.1", -1, "Port -1"),
        ("127.0.0.1", 65536, "Port 65536"),
        ("192.0.2.1", 0, "Cannot serve at 192.0.2.1"),
    ],
)
def test_addresses_that_cannot_be(root: Path, host: str, port: int, message: str) -> None:
    """An address or port that cannot be bound is named in the error."""
    with pytest.raises(UsageError, match=message):
        serve(root, host, port, allow_public=True, ready=pytest.fail)


def test_missing_root(tmp_path: Path) -> None:
    """A folder that is not there is an error before anything is bound."""
    with pytest.raises(UsageError, match=r"Cannot serve .*nothing.*No such file"):
        serve(tmp_path / "nothing", ready=pytest.fail)


def test_missing_aiohttp_says_how_to_get_it(root: Path) -> None:
    """Without the extra, the error names the command that installs it; importing the module works."""
    program = "import sys; sys.modules['aiohttp'] = None\n" + PROGRAM
    done = subprocess.run(
        [sys.executable, "-c", program, str(root)], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert "UsageError: Serving needs aiohttp" in done.stderr
    assert "pip install 'jarviscore-engine[server]'" in done.stderr


def test_error_in_ready_ends_the_server(root: Path) -> None:
    """What the caller's own code raises comes out, and nothing stays behind."""

    def fail(_url: str) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        serve(root, ready=fail)


def test_large_file_goes_out_by_sendfile(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every byte of a body is copied by the kernel: what sendfile says it sent is the whole file."""
    real, sent = os.sendfile, []

    def counted(out: int, source: int, offset: int, count: int) -> int:
        sent.append(real(out, source, offset, count))
        return sent[-1]

    monkeypatch.setattr(os, "sendfile", counted)
    with BackgroundServer(root) as server:
        host, _, port = server.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=30) as plain:
            plain.sendall(
                b"GET /acme/tiny/resolve/main/big.gguf HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            block, received = bytearray(1 << 20), 0
            while count := plain.recv_into(block):
                received += count
    assert sum(sent) == BIG_BYTES
    assert received > BIG_BYTES


def test_stuck_client_costs_no_cpu(root: Path) -> None:
    """A client that does not read is waited for, not asked again and again."""
    with serving(root) as (process, url), stuck_download(url) as plain:
        import psutil

        get(url)
        watched = psutil.Process(process.pid)
        before = sum(watched.cpu_times()[:2])
        select.select([], [], [plain], 1.0)
        assert sum(watched.cpu_times()[:2]) - before < 0.2


def exchange(url: str, *sent: bytes) -> socket.socket:
    host, _, port = url.removeprefix("http://").partition(":")
    plain = socket.create_connection((host, int(port)), timeout=20)
    for data in sent:
        plain.sendall(data)
    return plain


HALVES = {
    "nothing at all": b"",
    "half a line": b"GET /acme/tiny/res",
    "half a head": b"GET /acme/tiny/resolve/main/config.json HTTP/1.1\r\nHost: localhost\r\n",
    "nothing after an answer": b"GET /acme/tiny/resolve/main/config.json HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("sent", HALVES.values(), ids=HALVES)
@pytest.mark.row("attack/51-half-requests")
def test_a_connection_on_which_nothing_is_asked_ends(
    root: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """Nobody holds a descriptor for ever by asking half of something."""
    monkeypatch.setattr(patience, "IDLE_S", 0.2)
    with BackgroundServer(root) as server, exchange(server.url, sent) as plain:
        while plain.recv(1 << 16):
            pass
        assert get(server.url) == b"{}"


@pytest.mark.row("attack/51-half-requests")
def test_a_body_that_does_not_come_is_not_waited_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A length was said, and nothing follows: 408."""
    monkeypatch.setattr(patience, "BODY_S", 0.2)
    head = b"POST /api/models/acme/tiny/paths-info/main HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
    with BackgroundServer(root) as server, exchange(server.url, head) as plain:
        assert plain.recv(12) == b"HTTP/1.1 408"


@pytest.mark.row("attack/51-half-requests")
def test_a_client_that_does_not_read_on_is_cut_off(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download that stands still ends; what the kernels hold is all that it gets."""
    monkeypatch.setattr(patience, "PIECE_S", 0.5)
    with BackgroundServer(root) as server, stuck_download(server.url) as plain:
        port = int(server.url.rpartition(":")[2])
        held = psutil.Process().net_connections
        wait_until(
            lambda: not [c for c in held("tcp4") if c.laddr.port == port and c.status == "ESTABLISHED"],
            "its end",
        )
        received = 0
        with suppress(ConnectionError):
            while block := plain.recv(1 << 20):
                received += len(block)
        assert received < BIG_BYTES


@pytest.mark.row("network/server-still-hashes")
def test_a_pull_waits_for_files_that_are_still_hashed(
    root: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than any client waits for an answer: it is told to ask again, and does."""
    hash_, told, hashed = digests.Digests._hash, threading.Event(), threading.Event()

    def slow(self: digests.Digests, entry: Any, algorithm: str) -> str:
        assert told.wait(20)
        hashed.set()
        return hash_(self, entry, algorithm)

    def tell(self: Exception, text: str) -> None:
        Exception.__init__(self, text)
        told.set()

    monkeypatch.setattr(patience, "HASHING_S", 0.1)
    monkeypatch.setattr(patience, "ASK_AGAIN_S", 1)
    monkeypatch.setattr(digests.Digests, "_hash", slow)
    monkeypatch.setattr(digests.Hashing, "__init__", tell)
    with BackgroundServer(root) as server:
        words = ("acme/tiny", "--include", "config.json", "-d", tmp_path / "d", "--retries", 9)
        command.run("pull", *words, env={"HF_ENDPOINT": server.url}).check()
    assert hashed.is_set()
    assert (tmp_path / "d/config.json").read_bytes() == b"{}"


@pytest.mark.row("attack/51-half-requests")
def test_more_connections_than_descriptors_fill_no_log(root: Path) -> None:
    """While there are none left nobody is served, and nothing is printed; then it goes on."""
    with serving(root) as (process, url):
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (64, 64))
        many = [exchange(url, b"GET /half") for _ in range(200)]
        time.sleep(1.5)  # asyncio tries again after a second
        for plain in many:
            plain.close()
        assert get(url) == b"{}"
        process.terminate()
        _, err = process.communicate(timeout=10)
        assert err == ""


@pytest.mark.parametrize(
    "sent", [b"GARBAGE\r\n\r\n", b"GET /<script> HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\n<b>: x y\r\n\r\n"]
)
@pytest.mark.row("attack/43-stored-script")
def test_what_is_no_http_is_answered_as_harmlessly_as_all_else(root: Path, sent: bytes) -> None:
    """Nothing of it is repeated, no version is named, and no browser sniffs, runs or frames the answer."""
    with BackgroundServer(root) as server, exchange(server.url, sent) as plain:
        answer = b"".join(iter(lambda: plain.recv(1 << 16), b""))
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert b"nosniff" in answer
    assert b"default-src 'none'" in answer
    assert b"Server: jarvis\r\n" in answer
    assert b"<" not in answer
    assert b"GARBAGE" not in answer


BODIES = {"gzip": b"abc", "deflate": b"abc", "br": b"abc", "pony": b"{}"}


@pytest.mark.parametrize("coding", BODIES)
@pytest.mark.parametrize(
    "request_line", ["POST /api/models/acme/tiny/paths-info/main", "GET /v2/", "PUT /a/b"]
)
@pytest.mark.row("attack/51-half-requests")
def test_a_body_that_does_not_decode_is_refused_in_silence(
    root: Path, coding: str, request_line: str
) -> None:
    """Nobody fills the log with it."""
    head = (
        f"{request_line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Content-Encoding: {coding}\r\nContent-Length: {len(BODIES[coding])}\r\n\r\n"
    )
    with serving(root) as (process, url):
        with exchange(url, head.encode() + BODIES[coding]) as plain:
            answer = b"".join(iter(lambda: plain.recv(1 << 16), b""))
        fitting = {b"400"} if request_line.startswith("POST") else {b"200", b"400", b"404"}
        assert answer.split()[1] in fitting, answer
        assert get(url) == b"{}"
        process.terminate()
        assert process.communicate(timeout=10)[1] == ""
