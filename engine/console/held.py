"""What an unfinished file has on disk, by its journal, which is only read: no lock is taken, nothing is changed."""

import msgspec

from engine.store.journal import Header, read_records
from engine.transfer.admission import can_continue
from engine.transfer.job import Job


def held_bytes(job: Job) -> int:
    """Bytes that the next run would not fetch again; 0 where there are none, or where they cannot be continued."""
    try:
        payloads, _ = read_records((job.partial / "journal").read_bytes())
        header = msgspec.msgpack.decode(payloads[0], type=Header)
        segments = {msgspec.msgpack.decode(payload, type=tuple[int, int])[0] for payload in payloads[1:]}
    except (OSError, IndexError, msgspec.DecodeError):
        return 0
    if can_continue(header, job.remote) is not None:
        return 0
    grid = header.grid
    return sum(len(grid.span_of(index)) for index in segments if 0 <= index < grid.count)
