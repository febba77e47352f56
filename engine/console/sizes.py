"""Sizes, rates and times as people type and read them. Pure.

Typed: k, M, G, T are powers of 1000 and Ki, Mi, Gi, Ti powers of 1024, with or without a B; case does not count.
Shown: powers of 1000 always, as disks and networks are sold.
"""

import re

from engine.errors import UsageError

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?))?(b?)", re.IGNORECASE | re.ASCII)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_MAX = 1 << 62


def parse_size(text: str) -> int:
    """Bytes from "8MiB", "500k", "1.5 GB" or "4096". Raises UsageError for anything else, and for less than one."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"Not a size: {text[:40]!r}. Write it as 8MiB, 500k or 1.5GB.")
    number, unit, binary, _ = match.groups()
    size = float(number) * (1024 if binary else 1000) ** _POWERS[(unit or "").lower()]
    if not 1 <= size < _MAX:
        raise UsageError(f"A size of {text[:40]!r} is out of range: it must be one byte at least.")
    # Whole numbers stay exact: float holds 53 bits.
    return (
        int(number) * (1024 if binary else 1000) ** _POWERS[(unit or "").lower()]
        if "." not in number
        else int(size)
    )


def parse_rate(text: str) -> int:
    """Bytes a second from "10MB/s", "10M" or "500KiB/s". Raises UsageError; bits are refused, not guessed at."""
    bare = re.sub(r"(?i)(?:/s|ps)$", "", text.strip())
    if re.search(r"(?i)bits?$", bare):
        raise UsageError(f"A rate is in bytes, not bits: {text[:40]!r}. Write it as 10MB/s or 500k.")
    try:
        return parse_size(bare)
    except UsageError:
        raise UsageError(
            f"Not a rate: {text[:40]!r}. Write it as 10MB/s or 500k, one byte at least."
        ) from None


def format_size(size_bytes: float) -> str:
    """ "999 B", "1.0 kB", "2.1 GB"."""
    if size_bytes < 999.5:
        return f"{size_bytes:.0f} B"
    for unit in ("kB", "MB", "GB"):
        size_bytes /= 1000
        if size_bytes < 999.95:
            return f"{size_bytes:.1f} {unit}"
    return f"{size_bytes / 1000:.1f} TB"


def format_rate(bytes_per_s: float) -> str:
    """ "671 MB/s", "3.2 GB/s"; three digits are enough for what changes all the time."""
    for unit in ("B/s", "kB/s", "MB/s"):
        if bytes_per_s < 999.5:
            return f"{bytes_per_s:.1f} {unit}" if 0 < bytes_per_s < 10 else f"{bytes_per_s:.0f} {unit}"
        bytes_per_s /= 1000
    return f"{bytes_per_s:.2f} GB/s"


def format_seconds(seconds: float) -> str:
    """ "0.04 s", "3.2 s", "1m 23s"."""
    if seconds < 0.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {rest:02d}s"
