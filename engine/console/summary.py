"""The line after a pull: how much, how fast, how verified, and where the time went."""

from collections import Counter
from collections.abc import Sequence
from urllib.parse import urlsplit

from engine.console.sizes import format_rate, format_seconds, format_size
from engine.console.words import how_verified
from engine.transfer.events import FileDone
from engine.transfer.job import Job
from engine.transport.auth import hub_origins, origin_of

WORTH_TELLING_S = 0.5
"""Where less time went, nobody asks where."""


def summary(
    files: Sequence[FileDone], jobs: Sequence[Job], *, seconds: float, cpu_s: float | None, typed: bool
) -> str:
    """One paragraph on files that have their final names. typed: the digest came from the command line."""
    fresh = [file for file in files if not file.already_there]
    if not fresh:
        return (
            f"{_count(len(files))} already there, {format_size(sum(f.size for f in files))}; nothing fetched."
        )
    tellers = {str(job.target): _teller(job) for job in jobs}
    sums = [f.sha256 if len(fresh) == 1 else None for f in fresh]
    checks = Counter(
        how_verified(f.verified, sha256, "you gave" if typed else tellers.get(f.path, "the server publishes"))
        for f, sha256 in zip(fresh, sums, strict=True)
    )
    parts = [_amount(fresh, len(files) - len(fresh), seconds), _checked(checks)]
    if seconds >= WORTH_TELLING_S and (where := where_time_went(fresh)):
        parts.append(f"Where the time went: {where}.")
        if cpu_s is not None:
            parts.append(f"CPU: {format_seconds(cpu_s)}.")
    return " ".join(parts)


def where_time_went(files: Sequence[FileDone]) -> str:
    """Shares of the time that the engine accounts for, largest first as they come; "" where it is none."""
    spent = {
        "link": sum(f.link_s for f in files),
        "waiting for the server": sum(f.wait_s for f in files),
        "rate limit": sum(f.limit_s for f in files),
        "disk": sum(f.disk_s for f in files),
        "hash": sum(f.hash_s for f in files),
    }
    if not spent["rate limit"]:
        del spent["rate limit"]
    if sum(spent.values()) <= 0:
        return ""
    return ", ".join(
        f"{name} {percent} %" for name, percent in zip(spent, _percents([*spent.values()]), strict=True)
    )


def _percents(values: Sequence[float]) -> list[int]:
    """Whole percents that sum to 100 (largest remainder)."""
    exact = [100 * value / sum(values) for value in values]
    whole = [int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: whole[i] - exact[i])
    for index in by_remainder[: 100 - sum(whole)]:
        whole[index] += 1
    return whole


def _amount(fresh: Sequence[FileDone], others: int, seconds: float) -> str:
    fetched, held = sum(f.fetched_bytes for f in fresh), sum(f.held_bytes for f in fresh)
    files = f"{_count(len(fresh))}, " if len(fresh) + others > 1 else ""
    rate = f" ({format_rate(fetched / seconds)})" if seconds > 0 and fetched else ""
    text = f"{files}{format_size(fetched)} in {format_seconds(seconds)}{rate}"
    text += f", {format_size(held)} more were here from an earlier run" if held else ""
    text += f", {_count(others)} already there" if others else ""
    return text


def _checked(checks: Counter[str]) -> str:
    if len(checks) == 1:
        return f"– {next(iter(checks))}."
    return f"– {'; '.join(f'{number} {words}' for words, number in checks.items())}."


def _teller(job: Job) -> str:
    """Of whose digest one speaks, where none was typed and one agreed."""
    if job.remote.digest is None and origin_of(job.remote.url) not in hub_origins():
        return "an earlier run was given"  # it stood in the journal; no answer of such a server tells one
    return f"{urlsplit(job.remote.url).hostname or 'the server'} publishes"


def _count(number: int) -> str:
    return f"{number} file{'' if number == 1 else 's'}"
