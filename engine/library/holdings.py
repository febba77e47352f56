"""Contents that are on this machine already, by digest: in our blobs, or in another tool's store."""

from pathlib import Path

import msgspec

from engine.digest import Digest
from engine.errors import StoreError
from engine.settings import Settings
from engine.store.blobs import Blobs
from engine.store.disk import disk_errors
from engine.store.journal import url_hash
from engine.store.linking import place
from engine.store.receipts import Receipt
from engine.telemetry import Log, redact
from engine.transfer.admission import adopted, hash_file, target_stat, vouching
from engine.transfer.content import algorithms_for
from engine.transfer.events import Notice, Observer
from engine.transfer.job import Job

_log = Log(__name__)


class Holdings:
    """What need not be fetched. root: of the store."""

    def __init__(self, root: Path, settings: Settings, observer: Observer) -> None:
        self._blobs = Blobs(root)
        self._settings = settings
        self._observer = observer

    def supply(self, job: Job) -> bool:
        """Give a stored job's target its content, with a receipt, if that is on this machine. What is found is hashed
        before it is believed. Whatever goes wrong here costs a download, and is logged."""
        digest = job.remote.digest
        if not job.is_stored or digest is None:
            return False
        try:
            if vouching(job, self._settings) is not None:
                return False  # it has its content
            if digest.algorithm == "sha256" and (blob := self._blobs.find(digest.hex)) is not None:
                self._blobs.view(blob, job.target, _receipt_of(job, blob))
                return True
            return target_stat(job.target) is None and self._supply_from_elsewhere(job, digest)
        except (StoreError, OSError) as exc:
            _log.info("holding.unusable", file=job.remote.name, error=str(exc))
        return False

    def _supply_from_elsewhere(self, job: Job, digest: Digest) -> bool:
        from engine.store.elsewhere import find_elsewhere

        for path in find_elsewhere(digest, job.remote.size):
            before = path.stat()
            self._tell(job, path)
            digests = hash_file(path, algorithms_for(digest, self._settings), self._settings.chunk_size)
            if digests[digest.algorithm] != digest.hex:
                _log.warning("holding.corrupt", path=str(path), digest=str(digest))
                continue
            with disk_errors("make the folder of", job.target):
                job.target.parent.mkdir(parents=True, exist_ok=True)
            place(path, job.target)
            after = job.target.stat()
            if (after.st_size, path.stat().st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                job.target.unlink()  # it changed under our eyes: what was hashed is not what was taken
                continue
            adopted(job, digests)
            return True
        return False

    def _tell(self, job: Job, path: Path) -> None:
        self._observer(
            Notice(
                file=job.remote.name,
                path=str(job.target),
                message=f"{job.remote.name} is on this machine already, as {str(path)!r}. It is checked, not fetched.",
            )
        )


def _receipt_of(job: Job, blob: Receipt) -> Receipt:
    """A blob's proof, for this file of this model."""
    return msgspec.structs.replace(
        blob,
        url=redact(job.remote.url),
        url_hash=url_hash(job.remote.url),
        revision=job.remote.revision,
        etag=None,
        last_modified=None,
        digest=str(job.remote.digest),
    )
