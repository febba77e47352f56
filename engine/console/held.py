"""What an unfinished file has on disk, by its journal, which is only read: no lock is taken, nothing is changed."""

from engine.store.journal import Claim
from engine.transfer.admission import can_continue
from engine.transfer.job import Job


def held_bytes(job: Job) -> int:
    """Bytes that the next run would not fetch again; 0 where there are none, or where they cannot be continued."""
    claim = Claim.read(job.partial / "journal")
    if claim is None or can_continue(claim.header, job.remote) is not None:
        return 0
    return claim.nbytes
