"""The misbehaving origin itself, watched by curl and by raw sockets."""

import hashlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.certificates import Certificates
from tests.origin import Bytes, Changed, Origin, Pattern
from tests.unit.origin.made import get, raw

Make = Callable[..., Origin]
SIZE = 3_000_000
MODEL = Pattern(SIZE, seed=7)


# A good server


def test_whole_file_is_served_with_validators_and_length(origin_factory: Make, curl) -> None:
    """A plain GET answers 200 with everything, a strong ETag, Last-Modified, Accept-Ranges and length."""
    origin = origin_factory({"model.gguf": MODEL})
    got = curl(origin.url("model.gguf"))
    assert (got.code, got.status) == (0, 200)
    assert got.body == MODEL.read()
    assert got.headers["etag"].startswith('"')
    assert got.headers["last-modified"].endswith("GMT")
    assert got.headers["accept-ranges"] == "bytes"
    assert got.headers["content-length"] == str(SIZE)


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("0-0", 0, 1),
        ("0-999", 0, 1000),
        ("1048570-2097160", 1_048_570, 2_097_161),
        ("2999999-", SIZE - 1, SIZE),
        ("-10", SIZE - 10, SIZE),
        ("5-99999999", 5, SIZE),
    ],
)
def test_range_is_answered_exactly(origin_factory: Make, curl, asked: str, start: int, stop: int) -> None:
    """One range gives 206, that span clipped at the total, and a Content-Range that says so."""
    origin = origin_factory({"model.gguf": MODEL})
    got = curl(origin.url("model.gguf"), "-r", asked)
    assert got.status == 206
    assert got.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"
    assert got.body == MODEL.read(start, stop)
    record = origin.requests[0]
    assert (record.range[0], record.status, record.sent, record.completed) == (start, 206, stop - start, True)


def test_range_beyond_the_end_is_416_with_the_size(origin_factory: Make, curl) -> None:
    """A range that begins at or after the end gives 416 with `bytes */size`; of an empty file any does."""
    origin = origin_factory({"model.gguf": MODEL, "empty": b""})
    got = curl(origin.url("model.gguf"), "-r", f"{SIZE}-")
    assert (got.status, got.headers["content-range"]) == (416, f"bytes */{SIZE}")
    got = curl(origin.url("empty"), "-r", "0-5")
    assert (got.status, got.headers["content-range"]) == (416, "bytes */0")


@pytest.mark.parametrize("asked", ["bytes=0-1,4-5", "bytes=9-3", "bytes=-", "lines=1-2", "bytes=a-b"])
def test_odd_ranges_are_ignored(origin_factory: Make, asked: str) -> None:
    """Several ranges, backward ones and other units get everything (RFC 9110 §14.2)."""
    origin = origin_factory({"f": b"0123456789"})
    answer = raw(origin, get("f", f"Range: {asked}", "Connection: close"))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n0123456789")


def test_head_has_the_headers_and_no_body(origin_factory: Make) -> None:
    """HEAD answers as GET does, without the body."""
    origin = origin_factory({"model.gguf": MODEL})
    answer = raw(origin, "HEAD /model.gguf HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert f"Content-Length: {SIZE}".encode() in answer
    assert answer.endswith(b"\r\n\r\n")


def test_preconditions(origin_factory: Make, curl) -> None:
    """If-Match with another ETag is 412, If-Range with another gives everything, If-None-Match 304."""
    origin = origin_factory({"f": b"0123456789"})
    url, etag = origin.url("f"), origin.files["f"].etag
    assert curl(url, "-H", 'If-Match: "other"').status == 412
    assert curl(url, "-H", f'If-Match: "other", {etag}').status == 200
    assert curl(url, "-H", f"If-None-Match: {etag}").status == 304
    assert curl(url, "-r", "2-4", "-H", 'If-Range: "other"').body == b"0123456789"
    assert curl(url, "-r", "2-4", "-H", f"If-Range: {etag}").body == b"234"


def test_connection_is_kept_and_counted(origin_factory: Make, tmp_path: Path) -> None:
    """Several requests of one client come on one connection, and the records say which."""
    origin = origin_factory({"f": b"0123456789"})
    url = origin.url("f")
    subprocess.run(["curl", "-sS", "--noproxy", "*", url, url, url], check=True, capture_output=True)
    assert [record.connection for record in origin.requests] == [1, 1, 1]
    assert origin.connections == 1
    assert origin.bytes_sent("f") == 30


def test_unknown_path_is_404(origin_factory: Make, curl) -> None:
    """What is not there is 404, and recorded."""
    origin = origin_factory()
    assert curl(origin.url("no/such.gguf")).status == 404
    assert [(r.path, r.status) for r in origin.requests] == [("no/such.gguf", 404)]


def test_a_broken_origin_is_told() -> None:
    """An exception inside the origin is no fault of the client's, and so fails whoever closes the origin."""

    def broken(_record: object) -> bool:
        raise LookupError("no such thing")

    with pytest.raises(RuntimeError, match="no such thing"), Origin({"f": b""}) as origin:
        origin.fault("stall", when=broken)
        assert raw(origin, get("f")) == b""


# Content


def test_pattern_reads_the_same_at_every_cut() -> None:
    """A range of a pattern is the same bytes however it is cut, and no block is another's copy."""
    whole = MODEL.read()
    assert len(whole) == SIZE
    assert MODEL.read(1_048_000, 2_098_000) == whole[1_048_000:2_098_000]
    assert MODEL.sha256() == hashlib.sha256(whole).hexdigest()
    assert Pattern(SIZE, seed=8).read() != whole
    blocks = {Pattern(64 << 20).read(n << 20, (n << 20) + 64) for n in range(64)}
    assert len(blocks) == 64


def test_first_difference_tells_the_offset(tmp_path: Path) -> None:
    """A file is compared to its length; the offset of the first wrong byte is told."""
    path = MODEL.write_to(tmp_path / "copy")
    assert MODEL.first_difference(path) is None
    data = bytearray(path.read_bytes())
    data[2_345_678] ^= 1
    path.write_bytes(data)
    assert MODEL.first_difference(path) == 2_345_678
    path.write_bytes(MODEL.read() + b"x")
    assert MODEL.first_difference(path) == SIZE
    path.write_bytes(MODEL.read(0, 1000))
    assert MODEL.first_difference(path) == 1000


def test_changed_content_differs_only_where_told() -> None:
    """Another version has the same size and differs in one byte of each stretch, however it is cut."""
    old, new = bytes(10_000), Changed(Bytes(bytes(10_000)), first=100, every=4096)
    whole = new.read()
    assert [i for i in range(10_000) if whole[i] != old[i]] == [100, 4196, 8292]
    assert b"".join(new.read(i, min(i + 77, 10_000)) for i in range(0, 10_000, 77)) == whole


# Faults in the middle of a body


def test_reset_happens_after_exactly_so_many_bytes(origin_factory: Make, curl) -> None:
    """reset: the bytes before it arrive, then RST; once if told once."""
    origin = origin_factory({"model.gguf": MODEL})
    origin.fault("reset", path="model.gguf", after_bytes=1_000_000, times=1)
    got = curl(origin.url("model.gguf"))
    assert (got.code, len(got.body)) == (56, 1_000_000)
    assert curl(origin.url("model.gguf")).body == MODEL.read()
    assert origin.fired("reset") == 1
    assert [(r.sent, r.completed, r.faults) for r in origin.requests] == [
        (1_000_000, False, ["reset"]),
        (SIZE, True, []),
    ]


def test_cut_ends_the_body_early(origin_factory: Make, curl) -> None:
    """cut: FIN in the middle of a body whose length was promised."""
    origin = origin_factory({"model.gguf": MODEL})
    origin.fault("cut", after_bytes=12_345)
    got = curl(origin.url("model.gguf"))
    assert (got.code, len(got.body)) == (18, 12_345)


def test_stall_keeps_the_connection_open_and_can_be_released(origin_factory: Make) -> None:
    """stall: so many bytes, then silence until release(), then the rest."""
    origin = origin_factory({"f": b"0123456789"})
    origin.fault("stall", after_bytes=4, times=1)
    with socket.create_connection((origin.host, origin.port), 10) as sock:
        sock.sendall(get("f", "Connection: close").encode())
        received = b""
        while not received.endswith(b"0123"):
            received += sock.recv(65536)
        origin.wait_fired("stall")
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        origin.release()
        sock.settimeout(10)
        assert sock.recv(6, socket.MSG_WAITALL) == b"456789"


@pytest.mark.alone
def test_close_ends_stalled_connections_at_once(tls: Certificates) -> None:
    """Leaving the origin ends every connection and thread, stalled, hanging or blocked in sending."""
    before = threading.active_count()
    for certificates in (None, tls):
        with Origin({"f": Pattern(50 << 20)}, tls=certificates) as origin:
            origin.fault("hang_before_headers", nth=1)
            origin.fault("stall", after_bytes=10, nth=2)
            words = ["curl", "-ksS", "--noproxy", "*", "--limit-rate", "1k", "-o", "/dev/null"]
            clients = []
            for count in (1, 2, 3):
                clients.append(subprocess.Popen([*words, origin.url("f")], stderr=subprocess.DEVNULL))
                origin.wait_requests(count)
            origin.wait_fired("stall")
            silent = socket.create_connection((origin.host, origin.port), 10)  # no handshake, no request
            started = time.monotonic()
        assert time.monotonic() - started < 1
        assert threading.active_count() == before
        silent.close()
        clients[2].kill()  # it would go on reading from its own kernel's buffer, at its limited rate
        for client in clients:
            assert client.wait(10) != 0


@pytest.mark.alone
def test_slow_drips(origin_factory: Make, curl) -> None:
    """slow: so many bytes a second, from after_bytes on."""
    origin = origin_factory({"model.gguf": MODEL})
    origin.fault("slow", after_bytes=SIZE - 20_000, rate=40_000)
    started = time.monotonic()
    assert curl(origin.url("model.gguf")).body == MODEL.read()
    assert 0.4 < time.monotonic() - started < 2


def test_same_size_corruption_inverts_one_byte(origin_factory: Make, curl) -> None:
    """same_size_corruption: in every answer that holds the offset, that byte is wrong; nothing else tells."""
    origin = origin_factory({"model.gguf": MODEL})
    origin.fault("same_size_corruption", offset=2_000_000)
    clean = curl(origin.url("model.gguf"), "-r", "0-1999999")
    assert clean.body == MODEL.read(0, 2_000_000)
    assert origin.fired("same_size_corruption") == 0
    got = curl(origin.url("model.gguf"), "-r", "1500000-2500000")
    wanted = bytearray(MODEL.read(1_500_000, 2_500_001))
    wanted[500_000] ^= 0xFF
    assert got.body == wanted
    assert got.headers["etag"] == clean.headers["etag"]
