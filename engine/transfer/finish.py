"""The last steps of a file whose every byte is written, proven and hashed: compare, sync, rename, receipt."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from engine.digest import Digest
from engine.remote_file import Identity
from engine.store.disk import disk_errors, sync_folder
from engine.store.journal import CHECK, url_hash
from engine.store.part import Part
from engine.store.receipts import Checks, Receipt, hex_values
from engine.telemetry import redact
from engine.transfer.content import Content
from engine.transfer.events import Verified
from engine.transfer.job import Job


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """It has its final name."""

    size: int
    verified: Verified
    sha256: str | None
    disk_s: float


class Ending(msgspec.Struct, frozen=True):
    """A part that has deserved its final name, and what is to be said of it."""

    job: Job
    part: Part
    identity: Identity
    digest: Digest | None
    content: Content
    data: bytes | None = None
    """All of it, where it has not been written yet."""

    def write(self) -> None:
        """Put on disk what came whole."""
        if self.data is not None:
            self.part.write_whole(self.data)

    def vouch(self) -> None:
        """Write the receipt. Before the rename, which changes nothing that a receipt goes by: a kill after it leaves a
        file that is known, and one before it a receipt that fits nothing."""
        self._vouch_for(os.fstat(self.part.fd))

    def leave(self, final: os.stat_result) -> None:
        """Let go of the part. A copy on another file system is another file, so it gets its own receipt."""
        is_copy = final.st_ino != os.fstat(self.part.fd).st_ino
        self.part.leave_behind(final, self._vouch_for if is_copy else None)

    def _vouch_for(self, file: os.stat_result) -> None:
        self.job.receipts.write(_receipt(self.job, file, self.identity, self.digest, self.content))


def finish(ending: Ending) -> Finished:
    """Give one part its final name. Raises StoreError; the part is then still whole."""
    (outcome,) = finish_all([ending])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def finish_all(endings: Sequence[Ending]) -> list[Finished | Exception]:
    """Give parts their final names, step by step for all of them, so that they share what a sync costs: data first,
    then the receipts, the renames, each folder once. One that fails does not stop the others."""
    started = time.monotonic()
    errors: dict[int, Exception] = {}
    stats: dict[int, os.stat_result] = {}

    def each(step: Callable[[int, Ending], None]) -> None:
        for index, ending in enumerate(endings):
            if index not in errors:
                try:
                    step(index, ending)
                except Exception as exc:  # noqa: BLE001 - it is this file's, and raised or translated where that is
                    errors[index] = exc

    synced: set[Path] = set()

    def place(index: int, ending: Ending) -> None:
        stats[index] = ending.part.place(ending.job.target)

    def sync_folders(_: int, ending: Ending) -> None:
        for folder in ending.part.folders_to_sync(ending.job.target):
            if folder not in synced:
                with disk_errors("finish", ending.job.target):
                    sync_folder(folder)
                synced.add(folder)

    each(lambda _, ending: ending.write())
    each(lambda _, ending: ending.part.check_for(ending.job.target, ending.identity.size))
    if len(endings) > 1:
        each(lambda _, ending: ending.part.begin_sync())
    each(lambda _, ending: ending.part.sync_for(ending.job.target))
    each(lambda _, ending: ending.vouch())
    each(place)
    each(sync_folders)
    each(lambda index, ending: ending.leave(stats[index]))
    disk_s = (time.monotonic() - started) / len(endings)
    return [errors.get(i) or _finished(ending, disk_s) for i, ending in enumerate(endings)]


def _finished(ending: Ending, disk_s: float) -> Finished:
    sha256 = ending.content.digests.get("sha256")
    return Finished(
        size=ending.content.size, verified=how_verified(ending.digest, sha256), sha256=sha256, disk_s=disk_s
    )


def _receipt(
    job: Job, stat: os.stat_result, identity: Identity, digest: Digest | None, content: Content
) -> Receipt:
    count = -(-content.size // content.segment_size)
    return Receipt(
        path=str(job.target.absolute()),
        url=redact(job.remote.url),
        url_hash=url_hash(job.remote.url),
        revision=job.remote.revision,
        etag=identity.etag,
        last_modified=identity.last_modified,
        size=content.size,
        inode=stat.st_ino,
        mtime_ns=stat.st_mtime_ns,
        sha256=content.digests.get("sha256"),
        digest=str(digest) if digest and content.digests else None,
        checks=Checks(
            algorithm=CHECK, segment_size=content.segment_size, values=hex_values(content.checks, count)
        ),
    )


def how_verified(digest: Digest | None, sha256: str | None) -> Verified:
    if sha256 is None:
        return "transport"
    return True if digest is not None else "computed"
