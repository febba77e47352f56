"""Metered connections on real sockets, plain and TLS: every byte that arrived is counted and handed out, a stuck
reader is released, and nothing but content ever comes out of it."""

import contextlib
import random
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator

import pytest
import urllib3
from urllib3.util import Timeout

from engine.settings import Settings
from engine.transport.metered import NoMeter, connection_classes, wake
from engine.transport.tls import tls_context

CONTENT = random.Random(5).randbytes(1 << 20)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close() sends RST
WAIT_S = 20

Script = Callable[[socket.socket], None]


class Recorder:
    """A meter that remembers, and tells when enough has come."""

    def __init__(self, enough: int = 1, receive_buffer: int = 0) -> None:
        self.receive_buffer = receive_buffer
        self.sockets: list[socket.socket] = []
        self.receives: list[int] = []
        self.threads: set[int] = set()
        self.failures: list[OSError] = []
        self.has_enough = threading.Event()
        self._enough = enough

    def attach(self, wire: socket.socket) -> None:
        self.sockets.append(wire)

    def received(self, nbytes: int) -> None:
        self.receives.append(nbytes)
        self.threads.add(threading.get_ident())
        if sum(self.receives) >= self._enough:
            self.has_enough.set()

    def broke(self, failure: OSError) -> None:
        self.failures.append(failure)


class Server:
    """Accepts connections, each on a thread of its own that plays a script with the (TLS) socket after the request's
    head has come. Closing it ends them all."""

    def __init__(self, context: ssl.SSLContext | None, script: Script) -> None:
        self._context, self._script = context, script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._wires: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        wake(self._listener)
        self._threads[0].join()
        self._listener.close()
        for wire in self._wires:
            wake(wire)
        for thread in self._threads[1:]:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                self._wires.append(connection)
                thread.start()

    def _serve(self, wire: socket.socket) -> None:
        with contextlib.suppress(OSError):
            wire.settimeout(WAIT_S)
            if self._context:
                wire = self._context.wrap_socket(wire, server_side=True)
                self._wires.append(wire)
            _read_request(wire)
            self._script(wire)
        wire.close()


@pytest.fixture(params=["plain", "tls", "tls of the standard library"])
def serve(request, tls) -> Iterator[Callable[[Script], int]]:
    """Starts a server with a script; returns its port."""
    context = tls.server.context() if request.param != "plain" else None
    with contextlib.ExitStack() as stack:

        def start(script: Script) -> int:
            server = Server(context, script)
            stack.callback(server.close)
            return server.port

        start.scheme = "https" if context else "http"
        cacert = str(tls.cacert)
        start.client = {
            "plain": None,
            "tls": tls_context(Settings(cacert=cacert)),
            "tls of the standard library": ssl.create_default_context(cafile=cacert),
        }[request.param]
        yield start


def _read_request(wire: socket.socket) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := wire.recv(65536)):
            raise OSError("the client is gone")
        data += more


@pytest.fixture
def pool(serve) -> Iterator[Callable[..., urllib3.HTTPConnectionPool]]:
    """Pools as a lane has them, with metered connections."""
    with contextlib.ExitStack() as stack:

        def make(port: int, meter: object) -> urllib3.HTTPConnectionPool:
            if serve.scheme == "https":
                made = urllib3.HTTPSConnectionPool("127.0.0.1", port, maxsize=1, ssl_context=serve.client)
            else:
                made = urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=1)
            made.ConnectionCls = connection_classes(meter)[serve.scheme]
            stack.callback(made.close)
            return made

        yield make


def get(pool: urllib3.HTTPConnectionPool, read_timeout_s: float = WAIT_S) -> urllib3.BaseHTTPResponse:
    return pool.urlopen(
        "GET",
        "/",
        retries=False,
        preload_content=False,
        decode_content=False,
        timeout=Timeout(connect=WAIT_S, read=read_timeout_s),
    )


def read_all(response: urllib3.BaseHTTPResponse, block: int) -> tuple[bytes, Exception | None]:
    """All that is handed out, and the error that ended it."""
    got = bytearray()
    try:
        while data := response.read(block, decode_content=False):
            got += data
    except Exception as exc:
        return bytes(got), exc
    return bytes(got), None


def reset(wire: socket.socket) -> None:
    """End the connection with RST, under TLS too, without a word of goodbye."""
    plain = socket.socket(fileno=wire.detach()) if isinstance(wire, ssl.SSLSocket) else wire
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    plain.close()


def drain(wire: socket.socket) -> None:
    """Wait until the client has gone."""
    with contextlib.suppress(OSError):
        while wire.recv(65536):
            pass


@pytest.mark.parametrize("block", [1 << 10, 1 << 17, 1 << 21])
def test_whole_body_is_counted(serve, pool, block):
    """Every receive is told, headers included, and the connection is kept for the next request."""

    def script(wire: socket.socket) -> None:
        for _ in range(2):
            wire.sendall(HEAD % len(CONTENT) + CONTENT)
            with contextlib.suppress(OSError):
                _read_request(wire)

    meter = Recorder()
    connections = pool(serve(script), meter)
    for request in range(1, 3):
        response = get(connections)
        assert read_all(response, block) == (CONTENT, None)
        response.release_conn()
        assert len(meter.sockets) == 1, "one connection for both"
        assert sum(meter.receives) == request * (len(HEAD % len(CONTENT)) + len(CONTENT))
    assert meter.threads == {threading.get_ident()}


def test_receive_buffer_is_as_it_was_asked_for(serve, pool):
    """Whoever reads slowly may have the kernel take in little; the body is whole all the same."""

    def script(wire: socket.socket) -> None:
        wire.sendall(HEAD % len(CONTENT) + CONTENT)
        drain(wire)

    meters = [Recorder(receive_buffer=nbytes) for nbytes in (16 << 10, 64 << 10)]
    for meter in meters:
        assert read_all(get(pool(serve(script), meter)), 1 << 14) == (CONTENT, None)
        assert len(meter.sockets) == 1
    small, large = (m.sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) for m in meters)
    assert large == 4 * small


@pytest.mark.parametrize("sent", [1, 1000, 65536, 300_001])
def test_what_arrived_before_a_reset_is_handed_out(serve, pool, sent):
    """A read of 1 MiB is cut by a reset: what had arrived comes out first, the error with the next read. The server
    resets only when the reader says that all of it is in."""
    meter = Recorder(enough=sent + len(HEAD % len(CONTENT)))

    def script(wire: socket.socket) -> None:
        wire.sendall(HEAD % len(CONTENT) + CONTENT[:sent])
        assert meter.has_enough.wait(WAIT_S)
        reset(wire)

    response = get(pool(serve(script), meter))
    got, error = read_all(response, 1 << 20)
    assert got == CONTENT[:sent]
    assert isinstance(error, urllib3.exceptions.ProtocolError)
    told = [type(failure) for failure in meter.failures]
    # An SSLSocket of Python before 3.13 takes a reset for the end; only the length tells then.
    assert told == [ConnectionResetError] or (told == [] and type(serve.client) is ssl.SSLContext)
    with pytest.raises(urllib3.exceptions.HTTPError):
        while response.read(1, decode_content=False):
            pytest.fail("bytes after the end")


def test_what_arrived_before_a_stall_is_handed_out(serve, pool):
    """The same for a read timeout: bytes first, then the timeout."""
    done = threading.Event()

    def script(wire: socket.socket) -> None:
        wire.sendall(HEAD % len(CONTENT) + CONTENT[:5000])
        done.wait(WAIT_S)

    response = get(pool(serve(script), Recorder()), read_timeout_s=0.3)
    got, error = read_all(response, 1 << 20)
    done.set()
    assert got == CONTENT[:5000]
    assert isinstance(error, urllib3.exceptions.ReadTimeoutError)


def test_early_end_is_an_error(serve, pool):
    """An orderly end before Content-Length: all bytes, then IncompleteRead; never a body that looks whole."""

    def script(wire: socket.socket) -> None:
        wire.sendall(HEAD % len(CONTENT) + CONTENT[:70_000])
        if isinstance(wire, ssl.SSLSocket):
            wire.unwrap()

    got, error = read_all(get(pool(serve(script), Recorder())), 1 << 20)
    assert got == CONTENT[:70_000]
    assert isinstance(error, urllib3.exceptions.ProtocolError)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Le"])
def test_timeout_before_headers_is_a_timeout(serve, pool, said):
    """A server that says nothing, or half a head, is silent: not gone, and not speaking another protocol."""
    done = threading.Event()

    def script(wire: socket.socket) -> None:
        wire.sendall(said)
        done.wait(WAIT_S)

    connections = pool(serve(script), Recorder())
    with pytest.raises(urllib3.exceptions.HTTPError) as caught:
        get(connections, read_timeout_s=0.3)
    done.set()
    assert isinstance(caught.value, urllib3.exceptions.ReadTimeoutError)


def test_reset_before_headers_is_a_reset(serve, pool):
    """A connection that breaks before a word is a ConnectionResetError inside."""
    connections = pool(serve(reset), Recorder())
    with pytest.raises(urllib3.exceptions.ProtocolError) as caught:
        get(connections)
    assert isinstance(caught.value.args[1], ConnectionError)


def test_wake_releases_a_stuck_reader(serve, pool):
    """A reader that waits for bytes returns when its socket is woken from another thread, with the bytes before."""
    meter = Recorder(enough=len(HEAD % len(CONTENT)) + 100)

    def script(wire: socket.socket) -> None:
        wire.sendall(HEAD % len(CONTENT) + CONTENT[:100])
        drain(wire)

    response = get(pool(serve(script), meter))
    result: list[tuple[bytes, Exception | None]] = []
    reader = threading.Thread(target=lambda: result.append(read_all(response, 1 << 20)))
    reader.start()
    assert meter.has_enough.wait(WAIT_S)
    wake(meter.sockets[0])
    reader.join(WAIT_S / 2)
    assert not reader.is_alive()
    got, error = result[0]
    assert got == CONTENT[:100]
    assert error is not None


def test_wake_releases_a_reader_that_waits_for_headers(serve, pool):
    """Also before the first byte."""
    asked = threading.Event()

    def script(wire: socket.socket) -> None:
        asked.set()
        drain(wire)

    meter = Recorder()
    connections = pool(serve(script), meter)
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            get(connections)
        except urllib3.exceptions.HTTPError as exc:
            errors.append(exc)

    reader = threading.Thread(target=ask)
    reader.start()
    assert asked.wait(WAIT_S)
    wake(meter.sockets[0])
    reader.join(WAIT_S / 2)
    assert not reader.is_alive()
    assert len(errors) == 1


def test_nothing_but_content_comes_out_of_a_woken_reader(serve, pool):
    """Woken in full flight, at thirty different moments, a reader hands out a prefix of the content: never
    ciphertext, never another byte."""

    def script(wire: socket.socket) -> None:
        with contextlib.suppress(OSError):
            wire.sendall(HEAD % (64 * len(CONTENT)))
            for _ in range(64):
                wire.sendall(CONTENT)

    port, whole, chance = serve(script), CONTENT * 64, random.Random(11)
    for _ in range(30):
        meter = Recorder(enough=chance.randrange(1, 3_000_000))
        connections = pool(port, meter)
        response = get(connections)
        result: list[tuple[bytes, Exception | None]] = []
        reader = threading.Thread(target=lambda r=response, out=result: out.append(read_all(r, 1 << 18)))
        reader.start()
        assert meter.has_enough.wait(WAIT_S)
        wake(meter.sockets[0])
        reader.join(WAIT_S / 2)
        assert not reader.is_alive()
        got, error = result[0]
        assert whole.startswith(got)
        assert error is not None or len(got) == len(whole)
        response.close()


def test_wake_of_what_is_closed_is_no_error():
    """A socket that is closed already, or was never connected, needs no waking; it may be woken twice."""
    one, other = socket.socketpair()
    with one, other:
        wake(one)
        wake(one)
        assert other.recv(1) == b""
    wake(one)
    with socket.socket() as fresh:
        wake(fresh)
    wake(object())  # a TLS-in-TLS transport has no socket of its own


def test_no_meter():
    """Requests that nobody watches use the same classes."""
    meter = NoMeter()
    one, other = socket.socketpair()
    with one, other:
        meter.attach(one)
        meter.received(5)
        meter.broke(OSError())
    assert set(connection_classes(meter)) == {"http", "https"}
