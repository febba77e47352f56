"""What an unfinished file has on disk, by its journal, which is only read: no lock is taken, nothing is changed."""

import msgspec

from engine.spans import SpanSet
from engine.store.journal import Header, read_entries, read_records
from engine.transfer.admission import can_continue
from engine.transfer.job import Job


def held_bytes(job: Job) -> int:
    """Bytes that the next run would not fetch again; 0 where there are none, or where they cannot be continued."""
    try:
        payloads, _ = read_records((job.partial / "journal").read_bytes())
        header = msgspec.msgpack.decode(payloads[0], type=Header)
        checks, pieces, _ = read_entries(payloads[1:], header.grid)
    except (OSError, IndexError, msgspec.DecodeError):
        return 0
    if can_continue(header, job.remote) is not None:
        return 0
    return header.grid.runs(checks).nbytes + SpanSet(pieces).nbytes
