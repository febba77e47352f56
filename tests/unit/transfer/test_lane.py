"""engine.transfer.lane: what its host may count on. Bytes are the integration tests' business."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import xxhash

from engine.settings import Settings
from engine.spans import Grid, Span
from engine.store.disk import write_all
from engine.store.pieces import Pieces
from engine.transfer import lease_writer
from engine.transfer.body_reader import BodyReader
from engine.transfer.cells import UNLIMITED, Cells
from engine.transfer.lane import Lane
from engine.transfer.lease_writer import PartFile
from engine.transfer.messages import (
    LaneFree,
    Lease,
    LeaseEnded,
    PieceWritten,
    SegmentWritten,
    Shortened,
    Up,
    Whole,
)
from engine.transport.auth import Credentials
from tests.integration.trial import wait_until
from tests.origin import File, Origin


@pytest.fixture
def origin(origin_factory: Callable[..., Origin]) -> Origin:
    return origin_factory({"m.gguf": b"0123456789"})


class Host:
    """A lane with what it says."""

    def __init__(self) -> None:
        self.said: list[Up] = []
        self.free = threading.Event()
        self.gate = threading.Event()
        self.ended = threading.Event()
        self.whole = threading.Event()
        self.cell = Cells(1)[0]
        self.cell.set_allowance(UNLIMITED)
        self.files: dict[int, PartFile] = {}
        self.lane = Lane(0, Settings(), Credentials(), self.cell, self.files, self._emit, turn=0)

    def _emit(self, message: Up) -> None:
        self.said.append(message)
        if isinstance(message, LaneFree):
            self.free.set()
        if isinstance(message, LeaseEnded):
            self.ended.set()
        if isinstance(message, Whole):
            self.whole.set()


def lease(number: int, url: str) -> Lease:
    return Lease(0, number, 0, url=url, span=Span(0, 10), is_probe=True)


def test_a_lease_that_is_revoked_before_it_is_taken_up_ends_all_the_same(origin: Origin) -> None:
    """The order may overtake the thread: the lease then ends unasked, once, and the lane is free for the next."""
    host = Host()
    host.lane.revoke(7)
    host.lane.take(lease(7, origin.url("m.gguf")))
    assert host.free.wait(10)
    host.lane.stop()
    host.lane.join(10)
    assert [type(message) for message in host.said] == [LeaseEnded, LaneFree]
    assert host.said[0] == LeaseEnded(0, 7, 0, is_revoked=True)
    assert origin.requests == []


def test_a_lane_that_is_stopped_while_it_waits_to_proceed_ends(origin: Origin) -> None:
    """The word to stop is for its loop, too: no thread stays behind."""
    before = set(threading.enumerate())
    host = Host()
    (thread,) = {thread for thread in threading.enumerate() if thread.name == "lane-0"} - before
    host.lane.take(lease(1, origin.url("m.gguf")))
    origin.ledger.wait(lambda: bool(origin.requests), 10, "the request")
    host.lane.stop()
    host.lane.join(10)
    assert not thread.is_alive()


SEGMENT = 1 << 16
SIZE = 8 * SEGMENT
STALLS_AT = 3 * SEGMENT + 100


class Halfway:
    """A lane whose server has sent three segments and a hundred bytes, and waits."""

    def __init__(self, origin: Origin, folder: Path) -> None:
        self.host = Host()
        self.path = folder / "data"
        self.path.write_bytes(bytes(SIZE))
        self.fd = os.open(self.path, os.O_RDWR)
        self.notes = Pieces.create(folder / "pieces", seed=0)
        self.host.files[0] = PartFile(self.fd, os.dup(self.fd), SIZE, Grid(SIZE, SEGMENT), self.notes)
        self.stall = origin.fault("stall", after_bytes=STALLS_AT, times=1)
        self.host.lane.take(Lease(0, 1, 0, url=origin.url("m.gguf"), span=Span(0, SIZE)))
        wait_until(lambda: self.host.cell.received >= STALLS_AT, "all that is sent")

    def pieces(self) -> list[Span]:
        """What the lane says it has written."""
        grid = Grid(SIZE, SEGMENT)
        whole = [grid.span_of(m.index) for m in self.host.said if isinstance(m, SegmentWritten)]
        return whole + [m.span for m in self.host.said if isinstance(m, PieceWritten)]

    def finish(self, origin: Origin) -> LeaseEnded:
        origin.release()
        assert self.host.ended.wait(10)
        self.host.lane.stop()
        self.host.lane.join(10)
        (ended,) = [message for message in self.host.said if isinstance(message, LeaseEnded)]
        return ended


@pytest.fixture
def paced_origin(origin_factory: Callable[..., Origin]) -> Origin:
    return origin_factory({"m.gguf": b"\xab" * SIZE})


@pytest.fixture
def halfway(paced_origin: Origin, tmp_path: Path) -> Iterator[Halfway]:
    halfway = Halfway(paced_origin, tmp_path)
    yield halfway
    os.close(halfway.fd)


@pytest.mark.parametrize("stop", [4 * SEGMENT, 4 * SEGMENT + 7, SIZE - 1])
def test_a_lease_that_is_shortened_ends_there(halfway: Halfway, paced_origin: Origin, stop: int) -> None:
    """To the byte: what the server sends beyond is not written."""
    halfway.host.lane.shorten(1, stop)
    assert Shortened(1, 0, stop, is_over=False) in halfway.host.said
    ended = halfway.finish(paced_origin)
    assert (ended.failure, ended.is_revoked) == (None, False)
    assert sum(len(piece) for piece in halfway.pieces()) == stop
    assert halfway.path.read_bytes() == b"\xab" * stop + bytes(SIZE - stop)


def test_a_lane_that_stands_still_is_woken_when_it_is_to_stop_there(halfway: Halfway) -> None:
    """What is written stays, and its lease ends at once, although its server says nothing: it is free for another."""
    halfway.host.lane.shorten(1, 10)
    (said,) = [message for message in halfway.host.said if isinstance(message, Shortened)]
    assert said.is_over
    assert halfway.host.free.wait(10)
    halfway.host.lane.stop()
    halfway.host.lane.join(10)
    assert sum(len(piece) for piece in halfway.pieces()) == said.stop <= STALLS_AT
    assert halfway.path.read_bytes() == b"\xab" * said.stop + bytes(SIZE - said.stop)
    (ended,) = [message for message in halfway.host.said if isinstance(message, LeaseEnded)]
    assert ended.is_revoked


def test_a_lease_is_never_made_longer(halfway: Halfway, paced_origin: Origin) -> None:
    """The answer to such an order is where it ends anyway; one that is over has none."""
    halfway.host.lane.shorten(1, SIZE + 5)
    halfway.host.lane.shorten(2, 5)
    assert [m for m in halfway.host.said if isinstance(m, Shortened)] == [
        Shortened(1, 0, SIZE, is_over=False)
    ]
    assert halfway.finish(paced_origin).failure is None
    halfway.host.lane.shorten(1, 5)
    assert halfway.path.read_bytes() == b"\xab" * SIZE
    assert len([m for m in halfway.host.said if isinstance(m, Shortened)]) == 1


def test_what_is_written_is_noted_until_it_is_told_and_after(halfway: Halfway, paced_origin: Origin) -> None:
    """Each segment with the check of what is on disk: a coordinator that is killed may not have heard of it."""
    halfway.finish(paced_origin)
    assert halfway.notes is not None
    data, grid = halfway.path.read_bytes(), Grid(SIZE, SEGMENT)
    expected = {span: xxhash.xxh3_64_intdigest(data[span.start : span.stop]) for span in halfway.pieces()}
    assert halfway.notes.read(grid) == expected


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_of_a_body_that_may_turn_out_to_be_none_nothing_is_noted(
    origin_factory: Callable[..., Origin], tmp_path: Path, framing: Any
) -> None:
    """Its frames may break, and then what came of it is not believed."""
    origin = origin_factory({"m.gguf": File(b"\xab" * SIZE, framing=framing)})
    host, _, fd = begin(origin, tmp_path)
    notes = Pieces.create(tmp_path / "pieces", seed=0)
    host.files[0] = msgspec.structs.replace(host.files[0], pieces=notes)
    host.lane.take(Lease(0, 1, 0, url=origin.url("m.gguf"), span=Span(0, SIZE)))
    assert host.ended.wait(10)
    host.lane.stop()
    host.lane.join(10)
    assert any(isinstance(message, SegmentWritten) for message in host.said)
    assert notes is not None and notes.read(Grid(SIZE, SEGMENT)) == {}
    os.close(fd)


WRONG_FROM, BREAKS_AT = SEGMENT + 700, 4 * SEGMENT + 5


@pytest.mark.row("body/chunks-that-do-not-fit")
def test_a_chunk_whose_end_does_not_come_is_not_believed(
    origin_factory: Callable[..., Origin], tmp_path: Path
) -> None:
    """Its size was wrong, so frames have come as content, whole segments of it; then the connection breaks."""
    origin = origin_factory({"m.gguf": File(b"\xab" * SIZE, framing="chunked")})
    origin.fault("chunk_of_frames", nbytes=6 * SEGMENT, after_bytes=WRONG_FROM)
    origin.fault("cut", after_bytes=BREAKS_AT)
    host, path, fd = begin(origin, tmp_path)
    host.lane.take(Lease(0, 1, 0, url=origin.url("m.gguf"), span=Span(0, SIZE)))
    told, ended = told_of(host)
    assert (origin.fired("chunk_of_frames"), origin.fired("cut")) == (1, 1)
    assert ended.failure is not None and ended.failure.kind != "frames"
    assert told == [Span(0, SEGMENT), Span(SEGMENT, WRONG_FROM)]
    assert ended.discarded_bytes > 2 * SEGMENT
    assert path.read_bytes()[: WRONG_FROM + 1] != b"\xab" * (WRONG_FROM + 1)  # the fault was one
    os.close(fd)


@pytest.mark.row("body/chunks-that-do-not-fit")
def test_a_chunk_of_all_that_was_asked_for_is_believed_as_it_comes(
    origin_factory: Callable[..., Origin], tmp_path: Path
) -> None:
    """Its size says no more than a length would: a break costs what it would cost there."""
    origin = origin_factory({"m.gguf": File(b"\xab" * SIZE, framing="chunked")})
    head = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-%d/%d\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n"
    origin.fault("garbage", data=(head % (SIZE - 1, SIZE, SIZE)).encode() + b"\xab" * BREAKS_AT)
    host, path, fd = begin(origin, tmp_path)
    host.lane.take(Lease(0, 1, 0, url=origin.url("m.gguf"), span=Span(0, SIZE)))
    told, ended = told_of(host)
    assert origin.fired("garbage") == 1 and ended.failure is not None
    assert told[:4] == [Span(n * SEGMENT, (n + 1) * SEGMENT) for n in range(4)]
    assert path.read_bytes()[: 4 * SEGMENT] == b"\xab" * 4 * SEGMENT
    os.close(fd)


def told_of(host: Host) -> tuple[list[Span], LeaseEnded]:
    """What a lane that is left to itself says it has written, and its last word."""
    assert host.ended.wait(10)
    host.lane.stop()
    host.lane.join(10)
    grid = Grid(SIZE, SEGMENT)
    told = [
        grid.span_of(message.index) if isinstance(message, SegmentWritten) else message.span
        for message in host.said
        if isinstance(message, SegmentWritten | PieceWritten)
    ]
    (ended,) = [message for message in host.said if isinstance(message, LeaseEnded)]
    return told, ended


def begin(origin: Origin, folder: Path) -> tuple[Host, Path, int]:
    """A lane with a part of SIZE bytes, nothing asked for yet; the part's path and descriptor."""
    host, path = Host(), folder / "data"
    path.write_bytes(bytes(SIZE))
    fd = os.open(path, os.O_RDWR)
    host.files[0] = PartFile(fd, os.dup(fd), SIZE, Grid(SIZE, SEGMENT))
    return host, path, fd


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_disk_that_fails_is_told_as_that(
    origin_factory: Callable[..., Origin], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, framing: Any
) -> None:
    """However the body comes, and though some of it is told already."""
    written: list[int] = []

    def fill_up(fd: int, data: bytes, offset: int) -> None:
        if offset >= SEGMENT:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(offset)

    monkeypatch.setattr(lease_writer, "write_all", fill_up)
    origin = origin_factory({"m.gguf": File(b"\xab" * SIZE, framing=framing)})
    host, _, fd = begin(origin, tmp_path)
    host.lane.take(Lease(0, 1, 0, url=origin.url("m.gguf"), span=Span(0, SIZE)))
    assert host.ended.wait(10)
    (ended,) = [message for message in host.said if isinstance(message, LeaseEnded)]
    assert written
    assert ended.failure is not None and (ended.failure.kind, ended.failure.errno) == ("disk", errno.ENOSPC)
    host.lane.stop()
    os.close(fd)


def test_what_came_before_a_revocation_is_not_written_after_it(
    paced_origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lane has a block in its hand when its lease is taken away: the bytes are somebody else's to write now."""
    in_hand, go = threading.Event(), threading.Event()

    def hold(*_: object) -> None:
        in_hand.set()
        assert go.wait(10)

    monkeypatch.setattr(BodyReader, "_adapt_block", hold)
    host, path, fd = begin(paced_origin, tmp_path)
    host.lane.take(Lease(0, 1, 0, url=paced_origin.url("m.gguf"), span=Span(0, SIZE)))
    assert in_hand.wait(10)
    host.lane.revoke(1)
    go.set()
    assert host.free.wait(10)
    host.lane.stop()
    host.lane.join(10)
    assert path.read_bytes() == bytes(SIZE)
    (free,) = [message for message in host.said if isinstance(message, LaneFree)]
    assert free.discarded_bytes > 0
    os.close(fd)


def test_a_block_in_the_hand_is_cut_where_the_lease_ends_by_now(
    paced_origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease is shortened between a read and its write: what lies beyond is somebody else's to write."""
    in_hand, go = threading.Event(), threading.Event()

    def hold(*_: object) -> None:
        in_hand.set()
        assert go.wait(10)

    monkeypatch.setattr(BodyReader, "_adapt_block", hold)
    paced_origin.fault("stall", after_bytes=1 << 14, times=1)
    host, path, fd = begin(paced_origin, tmp_path)
    host.lane.take(Lease(0, 1, 0, url=paced_origin.url("m.gguf"), span=Span(0, SIZE)))
    assert in_hand.wait(10)
    host.lane.shorten(1, 100)
    assert Shortened(1, 0, 100, is_over=False) in host.said
    go.set()
    assert host.ended.wait(10)
    host.lane.stop()
    host.lane.join(10)
    assert path.read_bytes() == b"\xab" * 100 + bytes(SIZE - 100)
    os.close(fd)


def test_a_revocation_waits_for_a_write_that_is_under_way(
    paced_origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it returns no byte of the lease can reach the file any more, so it returns after the write."""
    events: list[str] = []
    writing, go, over = threading.Event(), threading.Event(), threading.Event()

    def write_slowly(fd: int, data: bytes, offset: int) -> None:
        writing.set()
        assert go.wait(10)
        write_all(fd, data, offset)
        events.append("written")

    def revoke() -> None:
        host.lane.revoke(1)
        events.append("revoked")
        over.set()

    monkeypatch.setattr(lease_writer, "write_all", write_slowly)
    host, _, fd = begin(paced_origin, tmp_path)
    host.lane.take(Lease(0, 1, 0, url=paced_origin.url("m.gguf"), span=Span(0, SIZE)))
    assert writing.wait(10)
    thread = threading.Thread(target=revoke)
    thread.start()
    assert not over.wait(0.2)
    go.set()
    thread.join(10)
    host.lane.stop()
    host.lane.join(10)
    assert events[0] == "written"
    assert events.index("revoked") == len(events) - 1
    os.close(fd)


def test_a_revocation_of_an_earlier_lease_ends_nothing(halfway: Halfway, paced_origin: Origin) -> None:
    """Numbers are never used again: an order that comes late is about a lease that is over."""
    halfway.host.lane.revoke(7)
    ended = halfway.finish(paced_origin)
    assert (ended.failure, ended.is_revoked) == (None, False)
    assert halfway.path.read_bytes() == b"\xab" * SIZE


BUFFERS = {
    "as the kernel likes": ([0, 0], [1, 1]),
    "the same limit": ([1 << 16, 1 << 16], [1, 1]),
    "a little more": ([1 << 16, 1 << 17], [1, 1]),
    "less": ([1 << 17, 1 << 15], [1, 1]),
    "a limit that is new": ([0, 1 << 16], [1, 1]),
    "much more": ([1 << 14, 1 << 17], [1, 2]),
    "no limit any more": ([1 << 16, 0], [1, 2]),
}


@pytest.mark.parametrize(("buffers", "connections"), BUFFERS.values(), ids=BUFFERS)
def test_a_connection_whose_buffer_is_too_small_is_replaced(
    origin: Origin, buffers: list[int], connections: list[int]
) -> None:
    """It was made for a low rate limit, and would be slow without it; any other one is kept."""
    host = Host()
    for number, nbytes in enumerate(buffers, 1):
        host.cell.set_receive_buffer(nbytes)
        host.lane.take(msgspec.structs.replace(lease(number, origin.url("m.gguf")), whole=10))
        assert host.whole.wait(10)
        host.whole.clear()
    host.lane.stop()
    host.lane.join(10)
    assert [request.connection for request in origin.requests] == connections
