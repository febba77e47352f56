"""The journal of a part: which segments are on disk, and what they hash to.

Format (docs/formats.md). A file of records, appended only. A record is

    u32 length (little-endian) | payload (MessagePack, `length` bytes) | u64 xxh3_64 of the payload

The first record is the header. Every other one is a checked segment, [index, xxh3_64 of its bytes], or, where a pull
was stopped in an orderly way, a piece of an unfinished one, [start, stop, xxh3_64 of these bytes]. Reading
ends at the first record that is short, too long, or does not agree with its hash: what stands before
it is good, what stands after it is cut off. Nothing is synced after the header: a journal that is ahead of
its data is found out, because held segments are hashed again before they are believed. What lanes had noted in
`pieces` beside it when all was killed (pieces.py) counts like records, and is written down as such by the next run.
"""

import os
import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Self

import msgspec
import xxhash

from engine.digest import Digest
from engine.errors import PathError, StoreError
from engine.regular_file import open_regular
from engine.remote_file import Identity, RemoteFile
from engine.spans import Grid, Span, SpanSet
from engine.store.disk import close_quietly, disk_errors
from engine.store.pieces import PIECES
from engine.store.pieces import read as pieces_at
from engine.telemetry import redact

CHECK = "xxh3_64"
_VERSION = 1
_LENGTH = struct.Struct("<I")
_HASH = struct.Struct("<Q")
_MAX_RECORD_BYTES = 1 << 16
_BLOCK = 1 << 18
_NO_MESSAGE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are no value of a type: a hash that is right says nothing of that."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What the segments belong to."""

    format: str = "jarvis-journal"
    version: int = _VERSION
    url: str
    """Redacted, for people."""
    url_hash: int
    """xxh3_64 of the whole URL, which may hold secrets: enough to tell another one."""
    size: int
    segment_size: int
    check: str = CHECK
    digest: str | None = None
    etag: str | None = None
    last_modified: str | None = None

    @property
    def grid(self) -> Grid:
        return Grid(self.size, self.segment_size)

    @property
    def identity(self) -> Identity:
        return Identity(size=self.size, etag=self.etag, last_modified=self.last_modified)


def url_hash(url: str) -> int:
    """How a journal remembers an address without its secrets."""
    return xxhash.xxh3_64_intdigest(url.encode())


def header_of(remote: RemoteFile, identity: Identity, digest: Digest | None, segment_size: int) -> Header:
    """The header of a new journal for this file; identity holds its size."""
    return Header(
        url=redact(remote.url),
        url_hash=url_hash(remote.url),
        size=identity.size or 0,
        segment_size=segment_size,
        digest=str(digest) if digest else None,
        etag=identity.etag,
        last_modified=identity.last_modified,
    )


class Claim(msgspec.Struct, frozen=True):
    """What a journal says is there; true as far as the data agrees."""

    header: Header
    checks: dict[int, int]
    pieces: dict[Span, int]
    seed: int
    """Hash of the header, of which `pieces` beside it must know."""
    end: int
    """Where its good part ends in the file."""

    @classmethod
    def parse(cls, raw: bytes) -> Self | None:
        """None where not even the header can be read."""
        payloads, end = read_records(raw)
        header = _header(payloads[0]) if payloads else None
        if header is None:
            return None
        checks, pieces, good = read_entries(payloads[1:], header.grid)
        end = end if good == len(payloads) - 1 else _length_of(payloads[: good + 1])
        return cls(header, checks, pieces, xxhash.xxh3_64_intdigest(payloads[0]), end)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Of the journal at path and of the pieces beside it, without their lock and without a change; None where
        none can be read."""
        try:
            with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
                claim = cls.parse(_content_of(file))
        except OSError:
            return None
        if claim is not None:
            for span, check in claim.noted(path).items():
                claim.pieces.setdefault(span, check)
        return claim

    def noted(self, path: Path) -> dict[Span, int]:
        """What lanes had noted beside the journal at path and it does not name."""
        found = pieces_at(path.with_name(PIECES), self.seed, self.header.grid)
        grid = self.header.grid
        return {span: check for span, check in found.items() if grid.index_of(span.start) not in self.checks}

    @property
    def nbytes(self) -> int:
        return self.header.grid.runs(self.checks).nbytes + SpanSet(self.pieces).nbytes


class Journal:
    """An open journal; one process appends, under the part's lock."""

    def __init__(self, fd: int, claim: Claim) -> None:
        self._fd = fd
        self._end = claim.end
        self.header = claim.header
        self.seed = claim.seed
        """Hash of the header."""
        self.checks = claim.checks
        """xxh3_64 by segment index, as read and appended."""
        self.pieces = claim.pieces
        """xxh3_64 by span, as read and appended, of what is there of segments without a check."""

    @classmethod
    def create(cls, path: Path, header: Header) -> Self:
        """A new journal at path, synced before any data exists. Raises StoreError."""
        with disk_errors("create the journal", path):
            fd = open_regular(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
            payload = msgspec.msgpack.encode(header)
            journal = cls(fd, Claim(header, {}, {}, xxhash.xxh3_64_intdigest(payload), 0))
            try:
                journal._write(payload)
                os.fsync(fd)
            except BaseException:
                journal.close()
                raise
        return journal

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """The journal at path with its torn or foreign tail cut off, and what lanes had noted beside it added; None
        where there is none that can be read."""
        with disk_errors("read the journal", path):
            try:
                fd = open_regular(path, os.O_RDWR)
            except FileNotFoundError:
                return None
            try:
                with open(fd, "rb", closefd=False) as file:
                    claim = Claim.parse(_content_of(file))
                if claim is not None:
                    os.ftruncate(fd, claim.end)
            except BaseException:
                os.close(fd)
                raise
        if claim is None:
            os.close(fd)
            return None
        journal = cls(fd, claim)
        journal._take_up(claim.noted(path))
        return journal

    def _take_up(self, noted_pieces: Mapping[Span, int]) -> None:
        """Write down what lanes had noted: their places are used again. A full disk keeps it for this run only."""
        grid = self.header.grid
        for span, check in noted_pieces.items():
            with suppress(StoreError):
                if span == grid.span_of(grid.index_of(span.start)):
                    self.append(grid.index_of(span.start), check)
                elif self.pieces.get(span) != check:
                    self.append_piece(span, check)

    def append(self, index: int, check: int) -> None:
        """Record a segment that is written. Raises StoreError; the journal then still ends with a whole record."""
        self._write(msgspec.msgpack.encode((index, check)))
        self.checks[index] = check

    def append_piece(self, span: Span, check: int) -> None:
        """Record a piece of one segment that will not be finished in this run. Raises StoreError likewise."""
        self._write(msgspec.msgpack.encode((span.start, span.stop, check)))
        self.pieces[span] = check

    def close(self) -> None:
        """May be called twice."""
        if self._fd >= 0:
            close_quietly(self._fd)
            self._fd = -1

    def _write(self, payload: bytes) -> None:
        record = _LENGTH.pack(len(payload)) + payload + _HASH.pack(xxhash.xxh3_64_intdigest(payload))
        with disk_errors("write the journal", None):
            try:
                written = 0
                while written < len(record):
                    written += os.pwrite(self._fd, record[written:], self._end + written)
            except OSError:
                os.ftruncate(self._fd, self._end)
                raise
        self._end += len(record)


def read_records(raw: bytes) -> tuple[list[bytes], int]:
    """The payloads of all good records from the start, and where the last of them ends."""
    payloads: list[bytes] = []
    at = 0
    while at + _LENGTH.size <= len(raw):
        (length,) = _LENGTH.unpack_from(raw, at)
        stop = at + _LENGTH.size + length + _HASH.size
        if length > _MAX_RECORD_BYTES or stop > len(raw):
            break
        payload = raw[at + _LENGTH.size : stop - _HASH.size]
        if _HASH.unpack_from(raw, stop - _HASH.size)[0] != xxhash.xxh3_64_intdigest(payload):
            break
        payloads.append(payload)
        at = stop
    return payloads, at


def _length_of(payloads: list[bytes]) -> int:
    return sum(_LENGTH.size + len(p) + _HASH.size for p in payloads)


def _header(payload: bytes) -> Header | None:
    """The header, if it is ours, of this version, and makes sense."""
    try:
        header = msgspec.msgpack.decode(payload, type=Header)
        if header.digest is not None:
            Digest.parse(header.digest)
    except (*_NO_MESSAGE, PathError):
        return None
    sound = header.format == "jarvis-journal" and header.version == _VERSION and header.check == CHECK
    return header if sound and header.size > 0 and header.segment_size > 0 else None


def _content_of(file: BinaryIO) -> bytes:
    """Up to where nothing but zeros comes, which no record is: a tail of them, however long, is a file system's."""
    content = bytearray()
    while (block := file.read(_BLOCK)).strip(b"\0"):
        content += block
    return bytes(content)


def read_entries(payloads: list[bytes], grid: Grid) -> tuple[dict[int, int], dict[Span, int], int]:
    """Checks by index and pieces by span, the latest winning, and how many records made sense before the first
    that does not."""
    checks: dict[int, int] = {}
    pieces: dict[Span, int] = {}
    good = 0
    for payload in payloads:
        try:
            entry = msgspec.msgpack.decode(payload, type=list[int])
        except _NO_MESSAGE:
            break
        *where, check = entry if len(entry) in (2, 3) else [-1, -1]
        if not _makes_sense(where, check, grid):
            break
        if len(where) == 1:
            checks[where[0]] = check
        else:
            pieces[Span(*where)] = check
        good += 1
    pieces = {span: check for span, check in pieces.items() if grid.index_of(span.start) not in checks}
    return checks, pieces, good


def _makes_sense(where: list[int], check: int, grid: Grid) -> bool:
    """A segment of this file, or a piece that lies within one."""
    if check < 0 or where[0] < 0:
        return False
    if len(where) == 1:
        return where[0] < grid.count
    start, stop = where
    return start < stop <= grid.size and grid.index_of(start) == grid.index_of(stop - 1)
