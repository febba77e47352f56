"""Mending a file on disk: what is still as it was received is kept, the rest is fetched again.

The sound segments go into a part with a journal, as if an earlier run had left them there, and the pull continues
that. The damaged file keeps its name until the verified one takes it over.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from engine.digest import Digest
from engine.errors import Busy, EngineError
from engine.library.remembered import remote_of
from engine.library.views import folder_name
from engine.manifest_record import Layer, ModelManifest
from engine.model_downloader import loose_job, stored_job
from engine.remote_file import RemoteFile, RemoteName
from engine.store.disk import disk_errors
from engine.store.journal import Header, url_hash
from engine.store.part import Part
from engine.store.receipts import Receipt
from engine.transfer.frontier import check_of
from engine.transfer.job import Job

_COPY_BYTES = 4 << 20


def job_for_layer(manifest: ModelManifest, layer: Layer) -> Job:
    """The job that fetches a model's file again, from where it came. Raises EngineError where that is not known."""
    if not layer.url or "#" in manifest.model_key:
        raise EngineError(
            f"{layer.filename!r} of {manifest.model_key} cannot be repaired: it was imported, or its address had a "
            "query, which is not kept. Import it again, or pull it from its address with --force."
        )
    return stored_job(remote_of(manifest, layer), folder_name(manifest))


def job_for_receipt(receipt: Receipt) -> Job:
    """The job that fetches a loose file again. Raises EngineError where its address was a secret, which no receipt
    holds."""
    path = Path(receipt.path)
    if url_hash(receipt.url) != receipt.url_hash or receipt.sha256 is None:
        raise EngineError(
            f"{str(path)!r} cannot be repaired: its address had a query, which is not kept, or it was never hashed. "
            "Pull it again from its address with --force."
        )
    remote = RemoteFile(
        name=RemoteName("file"), url=receipt.url, size=receipt.size, digest=Digest.parse(receipt.sha256)
    )
    return loose_job(remote, path)


def salvage(path: Path, receipt: Receipt, bad: Sequence[int], job: Job) -> int:
    """Put the sound segments of a damaged file where the job's pull goes on from; how many bytes they are.

    Raises Busy while the file is being pulled, StoreError."""
    grid, checks, digest = receipt.grid, receipt.checks, job.remote.digest
    part = Part.try_open(job.partial)
    if part is None:
        raise Busy(f"{str(path)!r} is being pulled by {Part.holder(job.partial)}.")
    try:
        job.receipts.doubt(job.target)
        if grid is None or checks is None:
            return 0
        header = Header(
            url=receipt.url,
            url_hash=url_hash(job.remote.url),
            size=receipt.size,
            segment_size=checks.segment_size,
            digest=str(digest) if digest else None,
        )
        part.start(header, receipt.size, "sparse")
        sound = [index for index in range(grid.count) if index not in set(bad)]
        with disk_errors("copy the sound segments of", path), path.open("rb", buffering=0) as file:
            for index in sound:
                span = grid.span_of(index)
                _copy(file.fileno(), part.fd, span.start, span.stop)
                assert part.journal is not None  # noqa: S101 - start() made it
                part.journal.append(index, checks.value(index))
        return sum(grid.span_of(index).stop - grid.span_of(index).start for index in sound)
    finally:
        part.close()


def bad_segments(path: Path, receipt: Receipt) -> list[int]:
    """Segments that are no longer what was received, by the receipt's checks. Raises StoreError."""
    grid, checks = receipt.grid, receipt.checks
    if grid is None or checks is None:
        return []
    with disk_errors("read", path), path.open("rb", buffering=0) as file:
        buffer = memoryview(bytearray(min(_COPY_BYTES, checks.segment_size)))
        size = os.fstat(file.fileno()).st_size
        spans = [grid.span_of(index) for index in range(grid.count)]
        return [
            index
            for index, span in enumerate(spans)
            if span.stop > size
            or check_of(file.fileno(), span.start, span.stop, buffer) != checks.value(index)
        ]


def _copy(source: int, target: int, start: int, stop: int) -> None:
    while start < stop:
        data = os.pread(source, min(_COPY_BYTES, stop - start), start)
        if not data:
            return  # it has become shorter: the pull will find the segment wanting
        start += os.pwrite(target, data, start)
