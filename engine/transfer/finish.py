"""The last steps of a file whose every byte is written, proven and hashed: compare, sync, rename, receipt."""

import os
import time

import msgspec

from engine.digest import Digest
from engine.remote_file import Identity
from engine.store.journal import CHECK, url_hash
from engine.store.part import Part
from engine.store.receipts import Checks, Receipt, hex_values
from engine.telemetry import redact
from engine.transfer.events import Verified
from engine.transfer.job import Job


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What the file turned out to be."""

    size: int
    segment_size: int
    checks: dict[int, int]
    digests: dict[str, str]
    """Hex by algorithm; empty where hashing is off."""


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """It has its final name."""

    verified: Verified
    sha256: str | None
    disk_s: float


def agrees(digest: Digest | None, content: Content) -> bool:
    """Whether content is what was promised; nothing promised or nothing hashed agrees with everything."""
    return digest is None or not content.digests or content.digests[digest.algorithm] == digest.hex


def finish(job: Job, part: Part, identity: Identity, digest: Digest | None, content: Content) -> Finished:
    """Give the part its final name, which it has deserved. Raises StoreError; the part is then still whole."""
    started = time.monotonic()
    part.finish(
        job.target,
        witness=lambda stat: job.receipts.write(_receipt(job, stat, identity, digest, content)),
    )
    return Finished(
        verified=how_verified(digest, content.digests.get("sha256")),
        sha256=content.digests.get("sha256"),
        disk_s=time.monotonic() - started,
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
