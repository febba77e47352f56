"""What lies in the store, and may be damaged, older, newer, or somebody else's: journals, receipts, memories."""

import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import msgspec
import xxhash
from hypothesis import strategies as st

from engine.digest import Digest
from engine.remote_file import Identity, RemoteFile
from engine.spans import Span
from engine.store.journal import Claim, Header, Journal, header_of
from engine.store.receipts import Receipt, Receipts, hex_values
from engine.transfer.lane_memory import LaneMemory
from tests.fuzz.documents import HEX, anything, as_json, one_of, record
from tests.fuzz.target import Run, housed


def _journal() -> Iterator[Run]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal")

        def run(data: bytes) -> None:
            path.write_bytes(data)
            claim, journal = Claim.read(path), Journal.load(path)
            if claim is None or journal is None:
                assert claim is journal
                return
            assert 0 <= claim.nbytes <= claim.header.size * (1 + len(claim.pieces))
            assert claim.header.identity.size == claim.header.size
            journal.append(0, 7)
            journal.append_piece(Span(0, 1), 8)
            journal.close()
            again = Claim.read(path)
            assert again is not None and again.checks == {**claim.checks, 0: 7}

        yield run
        assert Claim.read(Path(folder, "none")) is Journal.load(Path(folder, "none")) is None
        Journal.create(path, _header()).close()


def _header(**changes: Any) -> Header:
    remote = RemoteFile(name=cast(Any, "m"), url="https://h.example/m?sig=1")
    made = header_of(remote, Identity(size=100, etag='"a"'), Digest("sha256", HEX), 10)
    return msgspec.structs.replace(made, **changes)


def _sealed(payload: bytes) -> bytes:
    return struct.pack("<I", len(payload)) + payload + struct.pack("<Q", xxhash.xxh3_64_intdigest(payload))


_HEADERS = st.builds(
    _header,
    size=st.sampled_from([100, 100, 0, -1, 1 << 62]),
    segment_size=st.sampled_from([10, 10, 0, 1 << 62]),
    format=st.sampled_from(["jarvis-journal", "jarvis-journal", "x"]),
    digest=st.sampled_from([f"sha256:{HEX}", None, "x"]),
).map(msgspec.msgpack.encode)
_ENTRIES = st.lists(st.integers(-1, 101), min_size=1, max_size=4).map(msgspec.msgpack.encode)


def _pack(value: Any) -> bytes:
    try:
        return msgspec.msgpack.encode(value)
    except (OverflowError, UnicodeError):
        return b"\xc1"


_PACKED = anything.map(_pack) | st.binary(max_size=20)


@st.composite
def _journals(draw: st.DrawFn) -> bytes:
    """Records whose hashes are right, whatever is in them: a flipped bit behind a good hash
    is what must be tried."""
    head = draw(_HEADERS | _HEADERS | _PACKED)
    if draw(st.integers(0, 3)) == 0:
        at, what = (
            draw(st.integers(0, len(head))),
            draw(st.binary(max_size=3) | st.sampled_from([b"\x91" * 3000, b"\xff\xff"])),
        )
        head = head[:at] + what + head[at + len(what) * draw(st.integers(0, 1)) :]
    return b"".join(map(_sealed, [head, *draw(st.lists(_ENTRIES | _ENTRIES | _PACKED, max_size=6))]))


journal = housed(
    "journal",
    _journals(),
    (
        b"\0\0\0\0",
        b"\3\0\0\0",
        b"\x92\0\0",
        b"\xff\xff\xff\xff",
        b"jarvis-journal",
        b"\x91",
        b"\xcf" + b"\xff" * 8,
    ),
    "store/journal.py",
)(_journal)


def _receipt() -> Iterator[Run]:
    with tempfile.TemporaryDirectory() as folder:
        receipts, target = Receipts(Path(folder, "receipts")), Path(folder, "m")
        target.write_bytes(b"")
        receipts.prepare()
        place = Path(receipts._place(str(target)))

        def run(data: bytes) -> None:
            place.write_bytes(data)
            found = receipts.find(target)
            if found is None:
                return
            assert found.fits(target.stat()) in (True, False)
            if found.grid is not None and found.checks is not None and found.grid.count:
                checks = {index: found.checks.value(index) for index in range(found.grid.count)}
                assert hex_values(checks, found.grid.count) == found.checks.values
            with suppress(UnicodeEncodeError):
                found.path.encode()
                receipts.write(msgspec.structs.replace(found, path=str(target)))
                assert receipts.find(target) == msgspec.structs.replace(found, path=str(target))

        yield run
        receipts.forget(target)
        receipts.forget(target)
        assert receipts.find(target) is None
        place.parent.rmdir()
        strange = os.fsdecode(b"/x\xff")
        receipts.write(Receipt(path=strange, url="", url_hash=0, size=0, inode=0, mtime_ns=0, sha256=None))


_CHECKS = record(
    {
        "algorithm": st.sampled_from(["xxh3_64", "x"]),
        "segment_size": st.integers(0, 3),
        "values": st.sampled_from(["0" * 16, "0" * 32, "", "g" * 16]),
    }
)
receipt = housed(
    "receipt",
    as_json(
        record(
            {
                "path": "/m",
                "url": st.text(max_size=3),
                "url_hash": 1,
                "size": st.integers(-1, 4),
                "inode": 1,
                "mtime_ns": 1,
                "sha256": st.sampled_from([HEX, None, "x"]),
            },
            digest=st.sampled_from([f"git-sha1:{HEX[:40]}", "x", None]),
            checks=_CHECKS,
            format=st.sampled_from(["jarvis-receipt", "y"]),
            version=st.integers(1, 2),
        )
        | anything
    ),
    (
        b'"path": "size": "checks": "values": "segment_size": "sha256": -1 1e9 '
        b"99999999999999999999999 \xff \\ud800 { [ null"
    ).split(),
    "store/receipts.py",
)(_receipt)


def _lanes() -> Iterator[Run]:
    with tempfile.TemporaryDirectory() as folder:
        memory, url = LaneMemory(Path(folder), "https://h.example/m"), "https://h.example/m"

        def run(data: bytes) -> None:
            memory._place.write_bytes(data)
            assert (found := memory.recall()) is None or 1 <= found <= 1024
            memory.note(len(data) % 1024 + 1)
            assert memory.recall() == len(data) % 1024 + 1

        yield run
        LaneMemory(Path("/proc/none"), url).note(1)
        assert LaneMemory(Path("/proc/none"), url).recall() is None


lanes = housed(
    "lane-memory", one_of("1 32 1024 1025 0 -1 1_0 x"), "0 1 -1 _ \n ² + 9 \xff", "transfer/lane_memory.py"
)(_lanes)
TARGETS = (journal, receipt, lanes)
