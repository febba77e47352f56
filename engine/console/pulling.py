"""`jarvis pull`: options in, files and an exit code out."""

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import msgspec

from engine.console.options import PullOptions, parse_options
from engine.console.reporter import Reporter
from engine.console.sizes import format_size
from engine.console.streams import is_terminal
from engine.console.summary import summary
from engine.console.targets import credentials_for, find_jobs, interruptibly
from engine.errors import EngineError
from engine.model_downloader import pull
from engine.transfer.job import Job

_REDRAW_S = 0.15


def run_pull(given: Mapping[str, Any]) -> int:
    """Pull all targets; the exit code. Raises UsageError or PathError for what was typed wrongly."""
    options = parse_options(given)
    with ExitStack() as stack:
        if options.log_file is not None:
            from engine.telemetry import log_to_file

            stack.callback(log_to_file(options.log_file).close)
        reporter = Reporter(options)
        stack.callback(reporter.close)
        try:
            return _pull(options, reporter)
        except KeyboardInterrupt as exc:
            kept = getattr(exc, "kept_bytes", 0)
            reporter.interrupted(kept, _what_is_kept(kept))
            raise


def _pull(options: PullOptions, reporter: Reporter) -> int:
    credentials = credentials_for(options)
    found = interruptibly(lambda: find_jobs(options, credentials))
    jobs = [job for one in found for job in one.jobs]
    for one in found:
        if one.error is not None:
            reporter.failed(one.error, file=one.target.canonical)
    if jobs:
        reporter.begin(jobs)
        _run(jobs, options, reporter, credentials)
    code = reporter.end()
    if reporter.files and not options.quiet:
        reporter.say(
            summary(
                reporter.files,
                jobs,
                seconds=reporter.seconds,
                cpu_s=_cpu_seconds(),
                typed=options.digest is not None,
            )
        )
    return code


def _run(jobs: Sequence[Job], options: PullOptions, reporter: Reporter, credentials: Any) -> None:
    settings = options.settings
    if is_terminal() and not options.quiet:
        settings = msgspec.structs.replace(settings, progress_interval_s=_REDRAW_S)
    for job, outcome in zip(jobs, pull(jobs, settings, credentials, reporter), strict=True):
        if isinstance(outcome, EngineError):
            reporter.failed(outcome, file=job.remote.name, path=str(job.target))


def _what_is_kept(kept_bytes: int) -> str:
    again = "The same command goes on from there." if kept_bytes else "The same command starts again."
    return f"interrupted: {format_size(kept_bytes) if kept_bytes else 'nothing'} of unfinished files is kept. {again}"


def _cpu_seconds() -> float:
    """Of this process and its workers, which have ended by now."""
    import psutil

    times = psutil.Process().cpu_times()
    return float(
        times.user + times.system + getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
    )
