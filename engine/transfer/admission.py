"""What is there already: a finished target, a part of an earlier run, content that was once set aside."""

import os
import stat
from pathlib import Path

from engine.digest import Digest, start_hash
from engine.errors import PathError, StoreError
from engine.remote_file import RemoteFile
from engine.settings import Settings
from engine.store.disk import disk_errors
from engine.store.journal import Header, url_hash
from engine.store.receipts import Receipt
from engine.telemetry import redact
from engine.transfer.content import algorithms_for
from engine.transfer.frontier import read_span
from engine.transfer.job import Job
from engine.transport.auth import hub_origins, origin_of


def accepted(job: Job, settings: Settings) -> Receipt | None:
    """The receipt by which a finished target is accepted without reading it; None where there is no such proof."""
    receipt = vouching(job, settings)
    if receipt is not None and receipt.sha256 is None and settings.hash is not None:
        return None  # it was pulled without hashing, and now that is asked for
    return receipt


def must_be_hashed(job: Job, settings: Settings) -> bool:
    """Whether a target that is there may be what is asked for, and reading it will tell."""
    if settings.force or settings.hash is None or target_stat(job.target) is None:
        return False
    return job.remote.digest is not None or vouching(job, settings) is not None


def vouching(job: Job, settings: Settings) -> Receipt | None:
    """The receipt that says that a finished target is what is asked for, hashed or not; None where there is none."""
    if settings.force:
        return None
    found = target_stat(job.target)
    receipt = job.receipts.find(job.target) if found else None
    if found is None or receipt is None or not receipt.fits(found):
        return None
    digest = job.remote.digest
    if digest is None:
        return receipt if receipt.url_hash == url_hash(job.remote.url) else None
    return receipt if str(digest) in (f"sha256:{receipt.sha256}", receipt.digest) else None


def has_part(job: Job) -> bool:
    """Whether some pull has left a part of it, or is at work on one."""
    return job.partial.is_dir() and not job.partial.is_symlink()


def target_stat(target: Path) -> os.stat_result | None:
    """The target's stat; None where nothing is. Raises StoreError where something else than a file is in the way."""
    with disk_errors("look at", target):
        try:
            found = os.stat(target)  # noqa: PTH116 - asked twice for each of a thousand files
        except FileNotFoundError:
            return None
    if not stat.S_ISREG(found.st_mode):  # the last rename would replace a device or a pipe, /dev/null too
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "something that is no file"
        raise StoreError(
            f"Cannot write {str(target)!r}: {what} is in the way. Move it or choose another name."
        )
    return found


def wanted(remote: RemoteFile) -> str:
    """What a lock says that it is held for: the address without its secrets, and the digest where one is known."""
    return f"{url_hash(remote.url):016x} {remote.digest or '-'}"


def is_another(theirs: str, remote: RemoteFile) -> bool:
    """Whether a lock's holder fetches something else than this: neither its address nor its digest."""
    address, _, digest = theirs.partition(" ")
    ours = wanted(remote).partition(" ")
    return bool(theirs) and address != ours[0] and (digest != ours[2] or digest == "-")


def hash_file(path: Path, algorithms: tuple[str, ...], chunk_size: int) -> dict[str, str]:
    """Digests of a file, read once, at most chunk_size bytes at a time. Raises StoreError."""
    with disk_errors("read", path), path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        hashers = {name: start_hash(name, size) for name in algorithms}
        buffer = memoryview(bytearray(min(chunk_size, max(size, 1))))
        for piece in read_span(file.fileno(), 0, size, buffer):
            for hasher in hashers.values():
                hasher.update(piece)
    return {name: hasher.hexdigest() for name, hasher in hashers.items()}


def can_continue(header: Header, remote: RemoteFile) -> str | None:
    """Why a journal's part cannot be continued for this remote file; None when it can."""
    same_url = header.url_hash == url_hash(remote.url)
    if remote.size is not None and header.size != remote.size:
        return f"it has {header.size:,} bytes and the file now has {remote.size:,}"
    if remote.digest is not None and (header.digest == str(remote.digest) or same_url):
        return None
    if remote.digest is not None and header.digest is None and header.url == redact(remote.url):
        return None  # a link that was signed anew; if it is another file after all, the digest tells, and it is mended
    if not same_url:
        return "it was begun for another address"
    return (
        None
        if header.identity.has_validator or header.digest
        else "the server gave nothing to tell versions apart"
    )


def hash_target(job: Job, settings: Settings) -> dict[str, str]:
    """Digests of a target whose receipt does not say them. Raises StoreError."""
    return hash_file(job.target, algorithms_for(job.remote.digest, settings), settings.chunk_size)


def adopted(job: Job, digests: dict[str, str]) -> Receipt:
    """A receipt, written, for a target that was there already and is what was asked for."""
    found, known = job.target.stat(), job.receipts.find(job.target)
    receipt = Receipt(
        path=str(job.target),
        url=redact(job.remote.url),
        url_hash=url_hash(job.remote.url),
        revision=job.remote.revision,
        size=found.st_size,
        inode=found.st_ino,
        mtime_ns=found.st_mtime_ns,
        sha256=digests["sha256"],
        digest=str(job.remote.digest) if job.remote.digest else None,
        checks=known.checks if known and known.fits(found) else None,
    )
    job.receipts.write(receipt)
    return receipt


def published_digest(remote: RemoteFile, etag: str | None) -> Digest | None:
    """What the Hub's own answer publishes: its ETag is the SHA-256 of a large file and Git's SHA-1 of a small one.
    Of no other origin is an ETag taken for a digest, nor of what a redirect leads to."""
    if "/resolve/" not in remote.url or origin_of(remote.url) not in hub_origins():
        return None
    text = (etag or "").removeprefix("W/").strip('"')
    for algorithm in ("sha256", "git-sha1"):
        try:
            return Digest.parse(f"{algorithm}:{text}")
        except PathError:
            continue
    return None
