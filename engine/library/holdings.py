"""Contents that are on this machine already, by digest: in our blobs, or in another tool's store."""

from pathlib import Path

import msgspec

from engine.errors import StoreError
from engine.settings import Settings
from engine.store.blobs import Blobs
from engine.store.journal import url_hash
from engine.store.receipts import Receipt
from engine.telemetry import Log, redact
from engine.transfer.admission import vouching
from engine.transfer.events import Observer
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
        except (StoreError, OSError) as exc:
            _log.info("holding.unusable", file=job.remote.name, error=str(exc))
        return False


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
