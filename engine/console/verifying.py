"""`jarvis verify`: hash files again, and compare with their receipts or with a digest that was typed."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from stat import S_ISREG

import msgspec

from engine.console.options import Manner
from engine.console.reporter import Reporter
from engine.console.sizes import format_size
from engine.digest import Digest, start_hash
from engine.errors import DigestMismatch, EngineError, NotFound, StoreError, UsageError
from engine.library.lookup import unreadable
from engine.library.mending import Subject, mend, subjects_of
from engine.library.repair import bad_segments
from engine.settings import MIB, home
from engine.store import layout
from engine.store.disk import disk_errors
from engine.store.receipts import Receipt, Receipts
from engine.transfer.events import FileDone, Progress
from engine.transfer.frontier import read_span

_REPORT_S = 0.25
_BLOCK = 4 * MIB
_SHOWN = 5
_ADVICE = "`jarvis verify --repair` fetches what is damaged again; do not trust the file until then."


def run_verify(texts: Sequence[str], sha256: str | None, manner: Manner, *, repair: bool = False) -> int:
    """Verify files, and the files of models; the exit code. Without any, all models of the store. What is damaged
    is mended, if repair says so. Raises UsageError, PathError or NotFound for what was typed wrongly."""
    if sha256 is not None and (len(texts) != 1 or repair):
        raise UsageError("--sha256 judges one file that is named, and repairs nothing.")
    expected = Digest.parse(sha256) if sha256 is not None else None
    if expected is not None and expected.algorithm != "sha256":
        raise UsageError(f"--sha256 takes a SHA-256 digest, not {expected.algorithm}.")
    receipts = Receipts(layout.receipts(home()))
    reporter = Reporter(manner)
    subjects = subjects_of(texts)
    reporter.begin({str(subject.path): None for subject in subjects})
    try:
        for subject in subjects:
            try:
                _verify(subject.path, expected, subject.digest, receipts, reporter)
            except (DigestMismatch, NotFound) as exc:
                _mend(subject, exc, receipts, reporter) if repair else _fail(subject, exc, reporter)
            except EngineError as exc:
                _fail(subject, exc, reporter)
        for fault in () if texts else unreadable(also_misplaced=True):
            reporter.failed(fault, file="")
        return reporter.end()
    finally:
        reporter.close()


def _fail(subject: Subject, exc: EngineError, reporter: Reporter) -> None:
    reporter.failed(exc, file=subject.path.name, path=str(subject.path))


def _mend(subject: Subject, fault: EngineError, receipts: Receipts, reporter: Reporter) -> None:
    reporter.say(f"{fault}".replace(_ADVICE, "Mending it."))
    try:
        outcome = mend(subject, receipts, reporter)
    except EngineError as exc:
        outcome = exc
    if isinstance(outcome, DigestMismatch):
        outcome = DigestMismatch(
            f"{outcome} It may be another version on the server by now, which `jarvis update` pulls.",
            expected=outcome.expected,
            actual=outcome.actual,
        )
    if isinstance(outcome, EngineError):
        _fail(subject, outcome, reporter)


def _verify(
    path: Path, typed: Digest | None, kept: Digest | None, receipts: Receipts, reporter: Reporter
) -> None:
    """typed: what the user says it is. kept: what its model's manifest says."""
    expected = typed or kept
    stat = _stat(path)
    receipt = receipts.find(path) or receipts.find(path.resolve())
    wanted = expected.hex if expected else receipt.sha256 if receipt else None
    if wanted is None and (receipt is None or receipt.checks is None):
        raise EngineError(
            f"Nothing is known about {str(path)!r}: it has no receipt, for it was not pulled by this command. "
            "Say what it should hash to with --sha256."
        )
    if not typed and receipt and receipt.sha256 in (None, wanted) and receipt.size != stat.st_size:
        raise _resized(path, stat.st_size, receipt, wanted)  # it may have any size by now: not worth hashing
    started = time.monotonic()
    actual = _hash(path, stat.st_size, reporter)
    if wanted is None or actual != wanted:
        _judge(path, stat.st_size, wanted, actual, receipt)
    elif receipt is not None and actual == receipt.sha256:
        _renew(receipt, stat, receipts)
    reporter(
        FileDone(
            file=path.name,
            path=str(path),
            size=stat.st_size,
            sha256=actual,
            verified=True if wanted else "transport",
            fetched_bytes=0,
            held_bytes=stat.st_size,
            discarded_bytes=0,
            seconds=time.monotonic() - started,
        )
    )
    reporter.say(f"{path.name}: {format_size(stat.st_size)}, {_how(typed, kept, receipt)}")


def _stat(path: Path) -> os.stat_result:
    with disk_errors("look at", path):
        try:
            found = path.stat()
        except FileNotFoundError:
            raise NotFound(f"There is no file {str(path)!r}.") from None
    if not S_ISREG(found.st_mode):
        raise StoreError(f"Cannot verify {str(path)!r}: it is no file. Name the files that are to be hashed.")
    return found


def _how(typed: Digest | None, kept: Digest | None, receipt: Receipt | None) -> str:
    if typed is not None:
        return "verified against the digest you gave"
    if receipt is None or not receipt.url or (kept is not None and receipt.sha256 != kept.hex):
        return "verified against the digest in its model's manifest"
    if receipt.sha256 is None:
        return "as it was received, by its segments' checks; it was pulled without hashing"
    kind = "the digest that was published" if receipt.digest else "the SHA-256 computed when it was pulled"
    return f"verified against {kind} ({receipt.url})"


def _hash(path: Path, size: int, reporter: Reporter) -> str:
    """SHA-256 in hex, telling how far it is."""
    hasher, done, told = start_hash("sha256", size), 0, time.monotonic()
    begun = told
    with disk_errors("read", path), path.open("rb", buffering=0) as file:
        for piece in read_span(file.fileno(), 0, size, memoryview(bytearray(_BLOCK))):
            hasher.update(piece)
            done += len(piece)
            now = time.monotonic()
            if now - told >= _REPORT_S:
                told, rate = now, done / (now - begun)
                reporter(_progress(path, done, size, rate))
    return hasher.hexdigest()


def _progress(path: Path, done: int, size: int, rate: float) -> Progress:
    return Progress(
        file=path.name,
        path=str(path),
        phase="verifying",
        done_bytes=size,
        hashed_bytes=done,
        size=size,
        bytes_per_s=rate,
        eta_s=(size - done) / rate,
        lanes=0,
    )


def _judge(path: Path, size: int, wanted: str | None, actual: str, receipt: Receipt | None) -> None:
    """The digest is wrong, or there is none: say where. Returns if the segments' checks vouch for the file."""
    if receipt is not None and receipt.size != size:
        raise _resized(path, size, receipt, wanted, actual)
    if receipt is not None and receipt.sha256 == actual and wanted is not None:
        raise DigestMismatch(
            f"{str(path)!r} is whole, and of another version than its model's manifest has: SHA256 is {actual}, not "
            f"{wanted}. An update was interrupted; `jarvis update` finishes it, `jarvis verify --repair` brings the "
            "former version back.",
            expected=wanted,
            actual=actual,
        )
    bad = bad_segments(path, receipt) if receipt else []
    if wanted is None and not bad:
        return
    where = f" {_in_words(bad, receipt)}" if bad and receipt else ""
    against = "what was given" if wanted and not (receipt and receipt.sha256 == wanted) else "its receipt"
    raise DigestMismatch(
        f"{str(path)!r} does not agree with {against}: SHA256 is {actual}, not {wanted or 'known'}.{where}"
        + (f" {_ADVICE}" if against != "what was given" else ""),
        expected=wanted or "",
        actual=actual,
    )


def _resized(path: Path, size: int, receipt: Receipt, wanted: str | None, actual: str = "") -> DigestMismatch:
    return DigestMismatch(
        f"{str(path)!r} has {size:,} bytes; it had {receipt.size:,} when it was pulled. {_ADVICE}",
        expected=wanted or "",
        actual=actual,
    )


def _in_words(bad: Sequence[int], receipt: Receipt) -> str:
    grid = receipt.grid
    assert grid is not None  # noqa: S101 - bad segments are found by the grid
    spans = [grid.span_of(index) for index in bad[:_SHOWN]]
    shown = ", ".join(f"{span.start:,} to {span.stop:,}" for span in spans)
    more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return f"{len(bad)} of {grid.count} segments have changed: bytes {shown}{more}."


def _renew(receipt: Receipt, stat: os.stat_result, receipts: Receipts) -> None:
    """The content is the same in another inode or with another time: let the receipt speak for it again."""
    if not receipt.fits(stat):
        receipts.write(msgspec.structs.replace(receipt, inode=stat.st_ino, mtime_ns=stat.st_mtime_ns))
