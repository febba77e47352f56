"""The journal: whatever happens to its bytes, it never vouches for what was not written."""

import os
import resource
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import msgspec
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import NoSpace, StoreError
from engine.store.journal import Claim, Header, Journal, read_records, url_hash
from tests.properties import steady

HEADER = Header(
    url="https://h.example/m?…",
    url_hash=url_hash("https://h.example/m?sig=secret"),
    size=10 * 1000 + 1,
    segment_size=1000,
    digest="sha256:" + "0" * 64,
    etag='"v1"',
    last_modified="Mon, 01 Jan 2024 00:00:00 GMT",
)
CHECKS = {0: 0, 3: (1 << 64) - 1, 10: 7}


def write(path: Path, checks: dict[int, int] = CHECKS, header: Header = HEADER) -> bytes:
    """A journal as a run leaves it; returns its bytes."""
    journal = Journal.create(path, header)
    for index, check in checks.items():
        journal.append(index, check)
    journal.close()
    return path.read_bytes()


def read(path: Path) -> tuple[Header, dict[int, int]] | None:
    journal = Journal.load(path)
    if journal is None:
        return None
    journal.close()
    return journal.header, journal.checks


def open_descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def record(payload: bytes) -> bytes:
    """A sound record, by the format's definition rather than by our writer."""
    return struct.pack("<I", len(payload)) + payload + struct.pack("<Q", xxhash.xxh3_64_intdigest(payload))


def test_round_trip(tmp_path):
    """What was appended is read again, in a later process as in this one; the latest of an index wins."""
    raw = write(tmp_path / "journal", {**CHECKS, 4: 4})
    journal = Journal.load(tmp_path / "journal")
    assert (journal.header, journal.checks) == (HEADER, {**CHECKS, 4: 4})
    journal.append(4, 5)
    journal.append(5, 6)
    journal.close()
    journal.close()
    assert read(tmp_path / "journal") == (HEADER, {**CHECKS, 4: 5, 5: 6})
    assert (tmp_path / "journal").read_bytes().startswith(raw)


def test_format_is_what_it_says(tmp_path):
    """A stranger's reader needs no more than length, MessagePack and hash."""
    raw = write(tmp_path / "journal", {3: 9})
    fields = msgspec.to_builtins(HEADER)
    assert raw == record(msgspec.msgpack.encode(fields)) + record(msgspec.msgpack.encode([3, 9]))
    assert b"secret" not in raw


@pytest.mark.row("journal/torn-tail")
def test_torn_tail(tmp_path):
    """Cut anywhere in its last record, a journal reads as if that record had never been; what follows is sound."""
    path = tmp_path / "journal"
    before, raw = write(path, {0: 1, 3: 4}), write(path, {0: 1, 3: 4, 5: 6})
    assert raw.startswith(before)
    for end in range(len(before), len(raw)):
        path.write_bytes(raw[:end])
        journal = Journal.load(path)
        assert journal.checks == {0: 1, 3: 4}
        assert path.read_bytes() == before, "the tail is cut off"
        journal.append(7, 8)
        journal.close()
        assert read(path) == (HEADER, {0: 1, 3: 4, 7: 8})


def test_torn_header(tmp_path):
    """Cut anywhere in its header, a journal is none."""
    path = tmp_path / "journal"
    raw = write(path, {})
    for end in range(len(raw)):
        path.write_bytes(raw[:end])
        assert read(path) is None


@pytest.mark.row("journal/flipped-bit")
def test_flipped_bits(tmp_path):
    """Any bit of a journal may rot: checks may be missing then, but none is wrong, and the header is right or none."""
    path = tmp_path / "journal"
    raw = write(path)
    for place in range(len(raw)):
        for bit in range(8):
            rotten = bytearray(raw)
            rotten[place] ^= 1 << bit
            path.write_bytes(rotten)
            got = read(path)
            if got is not None:
                assert got[0] == HEADER
                assert got[1].items() <= CHECKS.items()
                assert got[1] != CHECKS, "the flip was noticed"


@given(st.binary(max_size=200), st.integers(0, 300))
@steady(300)
def test_garbage_in_the_middle(tmp_path_factory, garbage, place):
    """Bytes that were put in, over or after a journal never make it say what was not written."""
    path = tmp_path_factory.getbasetemp() / "journal-with-garbage"
    raw = write(path)
    path.write_bytes(raw[:place] + garbage + raw[place + len(garbage) :])
    got = read(path)
    if got is not None:
        assert got[0] == HEADER
        assert got[1].items() <= CHECKS.items()


@given(st.binary())
@steady(300)
def test_read_records_takes_anything(raw):
    """Whatever the bytes, only records that agree with their hash come out, and the end is theirs."""
    payloads, end = read_records(raw)
    assert b"".join(map(record, payloads)) == raw[:end]


NOT_OURS = [
    ("empty", b""),
    ("garbage", b"GGUF" * 100),
    ("zeros", bytes(4096)),
    ("a huge length", struct.pack("<I", 0xFFFFFFFF) + b"x" * 100),
    ("a length just too large", struct.pack("<I", (1 << 16) + 1) + bytes((1 << 16) + 9)),
    ("a record that is no header", record(msgspec.msgpack.encode([3, 9]))),
    ("a record that is no MessagePack", record(b"\xc1")),
    ("an empty record", record(b"")),
    (
        "a text that is no UTF-8",
        record(msgspec.msgpack.encode(HEADER).replace(b"h.example", b"h.\xff\xfeample")),
    ),
    ("a header nested for ever", record(b"\x81\xa1x" + b"\x91" * 60_000 + b"\xc0")),
]


@pytest.mark.parametrize("raw", [row[1] for row in NOT_OURS], ids=[row[0] for row in NOT_OURS])
@pytest.mark.row("journal/foreign-version")
def test_not_a_journal(tmp_path, raw):
    """A file that is no journal is none, and is left as it is."""
    (tmp_path / "journal").write_bytes(raw)
    assert read(tmp_path / "journal") is None
    assert (tmp_path / "journal").read_bytes() == raw


@pytest.mark.row("journal/long-tail-of-zeros")
def test_a_tail_of_zeros_is_not_read(tmp_path):
    """Of half a gigabyte, as a file system may leave one: no memory is taken for it, and it is cut off."""
    path = tmp_path / "journal"
    write(path)
    sound = path.read_bytes()
    os.truncate(path, len(sound) + (512 << 20))
    tracemalloc.start()
    try:
        assert read(path) == (HEADER, CHECKS)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert path.read_bytes() == sound


FOREIGN = [
    {"version": 2},
    {"format": "other-journal"},
    {"check": "crc32"},
    {"size": 0},
    {"size": -1},
    {"segment_size": 0},
    {"segment_size": -8},
    {"size": "10"},
    {"digest": 5},
    {"digest": "sha256:short"},
    {"url_hash": None},
]


@pytest.mark.parametrize("change", FOREIGN, ids=str)
@pytest.mark.row("journal/foreign-version")
def test_foreign_header(tmp_path, change):
    """Another version, check or format, and sizes or digests that make no sense, are no journal of ours."""
    fields = msgspec.to_builtins(HEADER) | change
    (tmp_path / "journal").write_bytes(
        record(msgspec.msgpack.encode(fields)) + record(msgspec.msgpack.encode([3, 9]))
    )
    assert read(tmp_path / "journal") is None


def test_unknown_field_of_the_header(tmp_path):
    """What a later program of the same version has added is read over."""
    fields = msgspec.to_builtins(HEADER) | {"later": [1, 2]}
    (tmp_path / "journal").write_bytes(record(msgspec.msgpack.encode(fields)))
    assert read(tmp_path / "journal") == (HEADER, {})


@pytest.mark.parametrize(
    "odd",
    [
        [-1, 5],
        [11, 5],
        [1 << 40, 5],
        [3],
        [3, 4, 5, 6],
        [150, 90, 5],
        ["3", 4],
        [3, -1],
        [3, 0.5],
        {"3": 4},
        None,
    ],
    ids=str,
)
def test_record_that_makes_no_sense(tmp_path, odd):
    """A record with a sound hash but an index out of range, or of another shape, ends the journal."""
    path = tmp_path / "journal"
    good = write(path, {1: 2})
    path.write_bytes(good + record(msgspec.msgpack.encode(odd)) + record(msgspec.msgpack.encode([4, 5])))
    assert read(path) == (HEADER, {1: 2})
    assert path.read_bytes() == good


def test_missing(tmp_path):
    """No file is no journal."""
    assert Journal.load(tmp_path / "journal") is None


def test_symlink_is_refused(tmp_path):
    """A journal is never read or written through a symbolic link: it could lead to any file of the user's."""
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "journal").symlink_to(precious)
    for step in (
        lambda: Journal.load(tmp_path / "journal"),
        lambda: Journal.create(tmp_path / "journal", HEADER),
    ):
        with pytest.raises(StoreError, match="symbolic link"):
            step()
    assert precious.read_text() == "mine"


@pytest.mark.parametrize("kind", ["folder", "fifo"])
def test_not_a_file(tmp_path, kind):
    """Something else under the journal's name is an error in words, and nobody waits for it."""
    path = tmp_path / "journal"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    with pytest.raises(StoreError):
        Journal.load(path)
    assert Claim.read(path) is None


def test_claim_is_only_read(tmp_path):
    """What a journal says can be had without a change to it, its torn end too; no journal says nothing."""
    path = tmp_path / "journal"
    raw = write(path, {0: 1, 10: 2})
    path.write_bytes(raw + b"torn")
    claim = Claim.read(path)
    assert (claim.header, claim.checks, claim.nbytes, claim.end) == (HEADER, {0: 1, 10: 2}, 1001, len(raw))
    assert path.read_bytes() == raw + b"torn"
    assert Claim.read(tmp_path / "none") is None


def test_create_replaces(tmp_path):
    """A new journal starts with nothing."""
    write(tmp_path / "journal")
    write(tmp_path / "journal", {})
    assert read(tmp_path / "journal") == (HEADER, {})


FULL_DISK = """
import resource, sys
from pathlib import Path
from engine.errors import NoSpace
from engine.store.journal import Journal
path, limit = Path(sys.argv[1]), int(sys.argv[2])
journal = Journal.load(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
for index in range(5, 9):
    try:
        journal.append(index, index)
    except NoSpace as exc:
        print("failed", index, 'kept' in str(exc), index in journal.checks)
        break
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.append(9, 9)
journal.close()
"""


def test_append_after_a_failed_append(tmp_path):
    """When the disk is full in the midst of a record, at whichever byte, the journal still ends with a whole record;
    once there is room again, the next record follows and nothing is lost. (A limit on file sizes cuts real writes.)"""
    path = tmp_path / "journal"
    good = write(path)
    raw = write(path, {**CHECKS, 5: 5})
    for limit in range(len(good), len(raw)):
        path.write_bytes(good)
        done = subprocess.run(
            [sys.executable, "-c", FULL_DISK, str(path), str(limit)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("failed 5 True False\n", "")
        assert read(path) == (HEADER, {**CHECKS, 9: 9})


def test_create_on_a_full_disk(tmp_path):
    """No room for even a header: NoSpace, and no descriptor is left open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = open_descriptors()
    resource.setrlimit(resource.RLIMIT_FSIZE, (5, hard))
    try:
        with pytest.raises(NoSpace):
            Journal.create(tmp_path / "journal", HEADER)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert open_descriptors() == before
    assert read(tmp_path / "journal") is None


def test_url_hash_tells_addresses_apart():
    """Another query is another address, without the query being kept."""
    assert url_hash("https://h/m?a=1") != url_hash("https://h/m?a=2")
    assert url_hash("https://h/m") == url_hash("https://h/m")
