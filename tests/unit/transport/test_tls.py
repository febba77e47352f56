"""The TLS stream: what comes through it is what a TLS socket of the standard library would give, and nobody is
trusted who should not be."""

import contextlib
import random
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest

from engine.errors import UsageError
from engine.settings import Settings
from engine.transport.tls import TlsStream, tls_context

CONTENT = random.Random(9).randbytes(700_000)
Script = Callable[[ssl.SSLSocket], None]


@pytest.fixture
def connect(tls) -> Iterator[Callable[..., TlsStream]]:
    """A stream to a real TLS server that plays a script."""
    with contextlib.ExitStack() as stack:

        def start(
            script: Script, *, identity=None, settings=None, host="localhost", version=None
        ) -> TlsStream:
            context = (identity or tls.server).context()
            if version is not None:
                context.maximum_version = version
            near, far = socket.socketpair()
            near.settimeout(20)
            far.settimeout(20)

            def serve() -> None:
                with contextlib.suppress(OSError), context.wrap_socket(far, server_side=True) as wire:
                    script(wire)
                    wire.unwrap()
                far.close()

            thread = threading.Thread(target=serve)
            thread.start()
            stack.callback(thread.join)
            stack.callback(near.close)
            client = tls_context(settings or Settings(cacert=str(tls.cacert)))
            return client.wrap_socket(near, server_hostname=host)

        yield start


def receive_all(stream: TlsStream, block: int) -> bytes:
    got, buffer = bytearray(), bytearray(block)
    while count := stream.recv_into(buffer):
        got += buffer[:count]
    return bytes(got)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("block", [1, 1000, 16_384, 1 << 20])
def test_content_comes_through(connect, version, block):
    """Whatever the block, all bytes and then the end; what was sent arrives too."""
    content = CONTENT if block > 1 else CONTENT[:3000]
    heard: list[bytes] = []

    def script(wire: ssl.SSLSocket) -> None:
        heard.append(wire.recv(100))
        wire.sendall(content)
        wire.unwrap()

    stream = connect(script, version=version)
    assert stream.version() == ("TLSv1.2" if version == ssl.TLSVersion.TLSv1_2 else "TLSv1.3")
    stream.sendall(b"hello")
    assert receive_all(stream, block) == content
    assert heard == [b"hello"]
    stream.close()


def test_much_is_sent(connect):
    """What is sent is not bounded by a buffer."""
    heard = bytearray()

    def script(wire: ssl.SSLSocket) -> None:
        while len(heard) < len(CONTENT):
            heard.extend(wire.recv(1 << 16))
        wire.sendall(b"done")

    stream = connect(script)
    stream.sendall(CONTENT)
    assert stream.recv_into(bytearray(9)) == 4
    assert bytes(heard) == CONTENT
    stream.close()


def test_it_does_not_wait_for_a_full_buffer(connect):
    """A receive hands out what has come: liveness is counted per receive."""
    release = threading.Event()

    def script(wire: ssl.SSLSocket) -> None:
        wire.sendall(b"first")
        release.wait(20)
        wire.sendall(b"second")

    stream = connect(script)
    buffer = bytearray(1 << 20)
    assert stream.recv_into(buffer) == 5
    release.set()
    assert stream.recv_into(buffer) == 6
    stream.close()


def test_plain_text_and_ciphertext_never_mix(connect):
    """recv and send go through TLS too: urllib3 calls them where a TLS proxy carries another TLS connection."""
    heard: list[bytes] = []

    def script(wire: ssl.SSLSocket) -> None:
        heard.append(wire.recv(100))
        wire.sendall(b"answer")

    stream = connect(script)
    assert stream.send(b"question") == 8
    assert stream.recv(100) == b"answer"
    assert heard == [b"question"]
    stream.close()


def test_timeout_passes_and_loses_nothing(connect):
    """A timeout of the wire is a TimeoutError; what comes later is read as if nothing had been."""
    release = threading.Event()

    def script(wire: ssl.SSLSocket) -> None:
        release.wait(20)
        wire.sendall(CONTENT)

    stream = connect(script)
    stream.settimeout(0.05)
    with pytest.raises(TimeoutError):
        stream.recv_into(bytearray(10))
    stream.settimeout(20)
    release.set()
    assert receive_all(stream, 1 << 16) == CONTENT
    stream.close()


@pytest.mark.row("network/tls-forged-record")
def test_bytes_before_a_forged_record_are_handed_out(connect):
    """What was decrypted before the connection is tampered with comes out; then an error, and nothing after it."""

    def script(wire: ssl.SSLSocket) -> None:
        wire.sendall(CONTENT[:5000])
        plain = socket.socket(fileno=wire.detach())
        plain.sendall(b"\x17\x03\x03\x00\x40" + bytes(64) + b"HTTP/1.1 200 OK")
        plain.close()

    stream = connect(script)
    got, buffer = bytearray(), bytearray(1 << 20)
    with pytest.raises(ssl.SSLError):
        while count := stream.recv_into(buffer):
            got += buffer[:count]
    assert got == CONTENT[:5000]
    for _ in range(2):
        with pytest.raises(ssl.SSLError):
            stream.recv_into(buffer)
    stream.close()


def test_an_end_without_close_notify_is_none(connect):
    """What came before it is handed out; then an error, for a body may lack its end."""

    def script(wire: ssl.SSLSocket) -> None:
        wire.sendall(CONTENT[:5000])
        socket.socket(fileno=wire.detach()).close()

    stream = connect(script)
    got, buffer = bytearray(), bytearray(1 << 20)
    with pytest.raises(ConnectionResetError, match="cut short"):
        while count := stream.recv_into(buffer):
            got += buffer[:count]
    assert got == CONTENT[:5000]
    with pytest.raises(ConnectionResetError):
        stream.recv_into(buffer)
    stream.close()


REFUSED = [
    ("expired", "localhost"),
    ("wrong_host", "localhost"),
    ("self_signed", "localhost"),
    ("server", "h.example"),
]


@pytest.mark.parametrize(("identity", "host"), REFUSED)
@pytest.mark.row("network/tls-untrusted")
def test_nobody_is_trusted_who_should_not_be(connect, tls, identity, host):
    """Expired, another host's, self-signed: the handshake fails, unless --insecure was asked for."""
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(lambda wire: None, identity=getattr(tls, identity), host=host)
    stream = connect(
        lambda wire: wire.sendall(b"x"),
        identity=getattr(tls, identity),
        host=host,
        settings=Settings(insecure=True),
    )
    assert receive_all(stream, 10) == b"x"
    stream.close()


def test_unknown_authority_is_refused(connect):
    """The system's trust knows nothing of a throw-away authority."""
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(lambda wire: None, settings=Settings())


@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
def test_cacert_that_is_none(tmp_path, content):
    """A --cacert file that is missing or holds no certificate is an error that names it."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"ca\.pem"):
        tls_context(Settings(cacert=str(path)))


def test_end_during_handshake():
    """A server that goes away in the handshake is a broken connection; one that speaks no TLS is a TLS error."""
    for said, error in ((b"", ConnectionError), (b"HTTP/1.1 400 Bad Request\r\n\r\n", ssl.SSLError)):
        near, far = socket.socketpair()
        with near, far:
            far.sendall(said)
            far.shutdown(socket.SHUT_WR)
            with pytest.raises(error):
                tls_context(Settings(insecure=True)).wrap_socket(near, server_hostname="localhost")


def test_wire_stays_open_for_its_reader(connect):
    """As with a socket's makefile: closing the connection leaves the body readable; closing both closes the wire."""
    stream = connect(lambda wire: wire.sendall(CONTENT))
    body = stream.makefile("rb")
    stream.close()
    assert body.read(10) == CONTENT[:10]
    body.close()
    body.close()
    assert stream.wire.fileno() == -1
    with pytest.raises(ValueError, match="closed"):
        body.readinto(bytearray(1))
