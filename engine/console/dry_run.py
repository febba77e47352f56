"""`jarvis pull --dry-run`: what would be fetched, without writing anything."""

from collections.abc import Sequence

from engine.console.held import held_bytes
from engine.console.options import PullOptions
from engine.console.reporter import Reporter
from engine.console.sizes import format_size
from engine.errors import EngineError
from engine.settings import Settings
from engine.spans import Span
from engine.telemetry import redact
from engine.transfer.admission import vouching
from engine.transfer.events import Plan
from engine.transfer.job import Job
from engine.transport.auth import Credentials
from engine.transport.bodies import status_failure
from engine.transport.ranges import format_range, parse_content_range
from engine.transport.retry import WireError
from engine.transport.verdicts import error_of
from engine.transport.wire import Wire


def dry_run(jobs: Sequence[Job], options: PullOptions, reporter: Reporter, credentials: Credentials) -> int:
    """A plan event and a line for each job; the exit code. Files of unknown size are asked for one byte."""
    plans = []
    wire = Wire(options.settings, credentials)
    try:
        for job in jobs:
            try:
                plans.append(plan := _plan(job, options.settings, wire))
            except EngineError as exc:
                reporter.failed(exc, file=job.remote.name, path=str(job.target))
                continue
            reporter(plan)
            reporter.say(_in_words(plan))
    finally:
        wire.close()
    if plans:
        reporter.say(_total(plans))
    return reporter.end()


def _plan(job: Job, settings: Settings, wire: Wire) -> Plan:
    size, ranges = job.remote.size, True
    if receipt := vouching(job, settings):
        size, held = receipt.size, receipt.size
    else:
        if size is None:
            size, ranges = _ask(job.remote.url, wire)
        held = 0 if settings.force else held_bytes(job)
    return Plan(
        file=job.remote.name,
        path=str(job.target),
        url=redact(job.remote.url),
        size=size,
        held_bytes=held,
        ranges=ranges,
    )


def _ask(url: str, wire: Wire) -> tuple[int | None, bool]:
    """Size of a file, and whether its server has ranges, from the answer to a request for its first byte.

    Not HEAD: signed addresses are signed for GET alone, and some servers refuse or misanswer it.
    """
    try:
        answer = wire.open("GET", url, {"Range": format_range(Span(0, 1))}, read_timeout_s=30.0)
        if answer.status not in (200, 206, 416):
            raise WireError(status_failure(answer))
    except WireError as exc:
        raise error_of(exc.failure) from exc
    answer.close()
    content_range = parse_content_range(answer.headers.get("content-range"))
    if answer.status != 200:
        return (content_range.total if content_range else None), True
    length = answer.headers.get("content-length", "")
    return (int(length) if length.isascii() and length.isdigit() else None), False


def _in_words(plan: Plan) -> str:
    if plan.size is not None and plan.held_bytes == plan.size and plan.size:
        return f"{plan.file}: already there, {format_size(plan.size)} -> {plan.path}"
    size = "size unknown" if plan.size is None else format_size(plan.size)
    held = f", of which {format_size(plan.held_bytes)} are held" if plan.held_bytes else ""
    return f"{plan.file}: {size}{held} -> {plan.path}"


def _total(plans: Sequence[Plan]) -> str:
    missing = sum((plan.size or 0) - plan.held_bytes for plan in plans)
    unknown = " and what is of unknown size" if any(plan.size is None for plan in plans) else ""
    files = f"{len(plans)} file{'' if len(plans) == 1 else 's'}"
    return f"{files}; {format_size(missing)}{unknown} would be fetched. Nothing was written."
