"""Pulling models: what the sources found, what the store has already, and what is to be remembered of it.

A content that is in the store, or in another tool's store on this machine, costs no bytes: it gets its name before
the transfer begins, which then accepts it by its receipt like any file that was pulled before.
"""

from collections.abc import Sequence
from contextlib import nullcontext

from engine.errors import StoreError
from engine.library.finding import Found
from engine.library.holdings import Holdings
from engine.library.keys import key_of
from engine.library.records import record
from engine.model_downloader import Outcome, RateSource, pull
from engine.settings import Settings, home
from engine.store.at_work import at_work
from engine.store.blobs import Blobs
from engine.telemetry import Log
from engine.transfer.events import Event, FileDone, Notice, Observer
from engine.transfer.job import Job
from engine.transport.auth import Credentials

_log = Log(__name__)


def pull_models(
    found: Sequence[Found],
    settings: Settings,
    credentials: Credentials,
    observer: Observer,
    limit_rate: RateSource | None = None,
) -> list[tuple[Job, Outcome]]:
    """Fetch what was found under one scheduler, and remember the models that went into the store. Returns every job
    with its outcome, in order; a failed one does not stop the others. What a new version of a model came in place of
    is taken away. limit_rate and KeyboardInterrupt as with `pull`."""
    stored = [one for one in found if one.files and all(job.is_stored for job in one.files)]
    for one in stored:
        if one.shelf is not None and one.shelf.explanation is not None:
            observer(Notice(file=key_of(one.target), path="", message=one.shelf.explanation))
    with at_work(home()) if stored else nullcontext():
        done = pull_jobs(
            [job for one in found for job in one.jobs], settings, credentials, observer, limit_rate
        )
        outcomes = {job.target: outcome for job, outcome in done}
        renewed = [news for one in stored if (news := record(one, outcomes)) is not None]
    if renewed:
        from engine.library.succession import settle

        settle(renewed, observer)
    return done


def pull_jobs(
    jobs: Sequence[Job],
    settings: Settings,
    credentials: Credentials,
    observer: Observer,
    limit_rate: RateSource | None = None,
) -> list[tuple[Job, Outcome]]:
    """Fetch what the store has not, and keep what comes into it. Returns every job with its outcome, in order."""
    keeper = _Keeper({str(job.target): job for job in jobs if job.is_stored}, observer)
    holdings = Holdings(home(), settings, observer)
    for job in jobs:
        if not settings.force:
            holdings.supply(job)
    return list(zip(jobs, pull(jobs, settings, credentials, keeper, limit_rate), strict=True))


class _Keeper:
    """Passes events on, and makes a blob of every file that has come into the store."""

    def __init__(self, stored: dict[str, Job], observer: Observer) -> None:
        self._stored = stored
        self._observer = observer
        self._blobs = Blobs(home())

    def __call__(self, event: Event) -> None:
        if isinstance(event, FileDone) and event.path in self._stored:
            self._keep(self._stored[event.path], event)
        self._observer(event)

    def _keep(self, job: Job, done: FileDone) -> None:
        if done.sha256 is None or (done.already_there and self._blobs.find(done.sha256)):
            return
        receipt = job.receipts.find(job.target)
        if receipt is None:
            return
        try:
            self._blobs.adopt(receipt)
        except StoreError as exc:
            # The file is there and verified; only its next namesake will not find it.
            _log.warning("blob.refused", path=done.path, error=str(exc))
