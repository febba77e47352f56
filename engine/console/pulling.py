"""`jarvis pull`: options in, files and an exit code out."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from engine.console.failing import warn_of_token
from engine.console.held import held_bytes
from engine.console.interruptibly import interruptibly
from engine.console.interrupts import PULL_INTERRUPTED
from engine.console.options import PullOptions, parse_options
from engine.console.reporter import Reporter
from engine.console.sizes import format_size
from engine.console.streams import is_terminal
from engine.console.summary import WORTH_TELLING_S, summary
from engine.errors import EngineError
from engine.library.finding import Found, are_known, credentials_for, find_jobs, wants_hub_token
from engine.library.pulling import pull_models
from engine.store.disk import disk_errors
from engine.transfer.job import Job
from engine.transport.auth import Credentials

_REDRAW_S = 0.15


Finder = Callable[[PullOptions, Credentials], list[Found]]


def run_pull(given: Mapping[str, Any], find: Finder = find_jobs) -> int:
    """Pull all targets; the exit code. find: what asks for their files. Raises UsageError or PathError for what was
    typed wrongly."""
    options = parse_options(given)
    if options.log_file is not None:
        start_log(options.log_file)
    reporter, jobs = Reporter(options.manner), list[Job]()
    try:
        return _pull(options, reporter, jobs, find)
    except KeyboardInterrupt:
        if not jobs:
            return reporter.interrupted(0, PULL_INTERRUPTED)
        kept = sum(held_bytes(job) for job in jobs if not reporter.has_ended(job))
        return reporter.interrupted(kept, what_is_kept(kept, force=options.settings.force))
    finally:
        reporter.close()


def _pull(options: PullOptions, reporter: Reporter, jobs: list[Job], find: Finder) -> int:
    credentials = credentials_for(options)
    if wants_hub_token(options):
        warn_of_token()
    if options.settings.processes != 0 and not options.dry_run and not are_known(options):
        from engine.transfer.spawn import start_ahead

        start_ahead()
    found = interruptibly(lambda: find(options, credentials), reporter.say)
    jobs += [job for one in found for job in one.jobs]
    for one in found:
        if one.error is not None:
            is_one_of_several = len(found) > 1 and one.target.url is None  # errors of URLs name them
            name = one.target.canonical
            reporter.failed(one.error, file=name, model=name if is_one_of_several else "")
    if options.dry_run:
        from engine.console.dry_run import dry_run

        return dry_run(jobs, options, reporter, credentials)
    if jobs:
        reporter.begin({str(job.target): job.remote.size for job in jobs})
        _run(found, options, reporter, credentials)
    code = reporter.end()
    if reporter.files and not options.manner.quiet:
        reporter.say(_summary(options, reporter, jobs))
    wanted = len(jobs) + sum(one.error is not None for one in found)
    if wanted > 1 and wanted > len(reporter.files):
        reporter.say(_what_failed(reporter, wanted, force=options.settings.force))
    return code


def _run(found: Sequence[Found], options: PullOptions, reporter: Reporter, credentials: Credentials) -> None:
    settings = options.settings
    if is_terminal() and not options.manner.quiet:
        settings = msgspec.structs.replace(settings, progress_interval_s=_REDRAW_S)
    done = pull_models(found, settings, credentials, reporter)
    for job, outcome in done:
        if isinstance(outcome, EngineError):
            reporter.failed(outcome, file=job.remote.name, path=str(job.target), kept_bytes=held_bytes(job))
    if options.into is not None:
        from engine.console.sharing import share_all

        share_all(options.into, found, {job.target: outcome for job, outcome in done}, options, reporter)


def _what_failed(reporter: Reporter, wanted: int, *, force: bool) -> str:
    """The end of a pull of many, whose errors may have scrolled away."""
    kept = sum(failure.kept_bytes for failure in reporter.failures)
    begun = f"; {format_size(kept)} of unfinished files are kept" if kept else ""
    failed = f"{wanted - len(reporter.files)} of {wanted} failed, for the reasons above{begun}."
    return f"{failed} {_again(force=force).capitalize()} fetches what is missing."


def what_is_kept(kept_bytes: int, *, force: bool) -> str:
    """What a person who has interrupted a pull wants to know."""
    if not kept_bytes:
        return "interrupted: nothing is kept of unfinished files. The same command starts them again."
    kept = f"{format_size(kept_bytes)} of unfinished files are kept"
    return f"interrupted: {kept}; {_again(force=force)} goes on from there."


def _again(*, force: bool) -> str:
    return "the same command without --force" if force else "the same command"


def start_log(path: Path) -> None:
    """Log to path until the process ends: what goes wrong at the very end belongs into it too. Raises StoreError."""
    from engine.telemetry import log_to_file

    with disk_errors("write the log", path):
        log_to_file(path)


def _summary(options: PullOptions, reporter: Reporter, jobs: Sequence[Job]) -> str:
    seconds = reporter.seconds
    cpu_s = _cpu_seconds() if seconds >= WORTH_TELLING_S else None
    return summary(reporter.files, jobs, seconds=seconds, cpu_s=cpu_s, typed=options.digest is not None)


def _cpu_seconds() -> float:
    """Of this process and its workers, which have ended by now."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
