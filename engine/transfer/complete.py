"""A pull of nothing but files that are there already: it needs no coordinator, no lane and no lock."""

from collections.abc import Sequence

from engine.errors import EngineError
from engine.settings import Settings
from engine.transfer.admission import accepted, has_part
from engine.transfer.events import FileDone, Observer
from engine.transfer.finish import how_verified
from engine.transfer.job import Job
from engine.transfer.progress import Tracker
from engine.transfer.tally import Tally


def all_there(jobs: Sequence[Job], settings: Settings, observer: Observer) -> list[FileDone] | None:
    """What became of every job, and told, where receipts prove all targets; None where there may be more to do, and
    nothing has been told then."""
    try:
        done = [_already_there(job, settings) for job in jobs]
    except (OSError, EngineError):
        return None  # a folder in the way, for one: the coordinator says so, of that file alone
    files = [file for file in done if file is not None]
    if len(files) < len(jobs):
        return None
    for file in files:
        observer(Tracker(0.0).last(0.0, file))
        observer(file)
    return files


def _already_there(job: Job, settings: Settings) -> FileDone | None:
    tally = Tally()
    receipt = accepted(job, settings)
    if receipt is None or has_part(job):
        return None
    return tally.already_there(
        job.remote,
        str(job.target),
        size=receipt.size,
        sha256=receipt.sha256,
        verified=how_verified(job.remote.digest, receipt.sha256),
    )
