"""What a transfer tells whoever watches it: plain values, in order, on the caller's thread.

Every size is in bytes, every time in seconds. The command prints them as JSON lines (the struct's tag
is the event's name), as bars, or as text; ModelDownloader turns Progress into its DownloadProgress.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

Verified = bool | Literal["computed", "transport"]
"""True: agrees with a digest known beforehand. "computed": hashed, nothing to compare with. "transport": not hashed."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Root of all events."""


class Plan(Event, frozen=True, tag="plan", tag_field="event", kw_only=True):
    """A file's size is known and its missing spans are planned; once a file."""

    file: str
    """Remote name of the file; with `path` it is the same in all events of one file."""
    path: str
    """Final path."""
    url: str
    """Redacted."""
    size: int | None
    held_bytes: int
    """Already on disk from an earlier run."""
    ranges: bool
    """False: the server has no ranges, so one stream, which cannot be resumed."""


class Progress(Event, frozen=True, tag="progress", tag_field="event", kw_only=True):
    """Where one file stands; every progress_interval_s, and once at its end."""

    file: str
    path: str
    phase: Literal["connecting", "downloading", "verifying", "done"]
    done_bytes: int
    """Held plus received; at most size."""
    hashed_bytes: int
    """How far SHA-256 has followed."""
    size: int | None
    bytes_per_s: float
    """Of this file, over the last seconds; decays to 0 when nothing comes."""
    eta_s: float | None
    lanes: int
    """Connections at work for this file now."""


class Retry(Event, frozen=True, tag="retry", tag_field="event", kw_only=True):
    """Something failed and is tried again."""

    file: str
    path: str
    url: str
    cause: str
    """In human words."""
    kind: str
    """Failure's kind, one word: reset, cut, stalled, slow, status, range, expired, connect, worker, …"""
    status: int | None = None
    offset: int | None = None
    """The first byte of what was asked for that is not on disk."""
    lane: int | None = None
    """Which connection of its process failed."""
    start: int | None = None
    stop: int | None = None
    """What it had been asked for: bytes of the file from start to stop."""
    wait_s: float = 0.0
    attempt: int = 0
    """0: not counted, because the file has got further since the last failure."""
    attempts: int = 0
    """How many are allowed."""


class Notice(Event, frozen=True, tag="notice", tag_field="event", kw_only=True):
    """A thing the user should know that is no failure: remote changed and so a restart, one stream only, …"""

    file: str
    path: str
    message: str


class Waiting(Event, frozen=True, tag="wait", tag_field="event", kw_only=True):
    """Another process holds the target; this one waits for it."""

    file: str
    path: str
    holder: str


class FileDone(Event, frozen=True, tag="file", tag_field="event", kw_only=True):
    """A file has its final name."""

    file: str
    path: str
    size: int
    sha256: str | None
    verified: Verified
    fetched_bytes: int
    """Received in this run and kept."""
    held_bytes: int
    """On disk before this run and used."""
    discarded_bytes: int
    """Received in this run and thrown away."""
    seconds: float
    retries: int = 0
    link_s: float = 0.0
    """Lanes' time spent receiving, as a share of this file's wall time (summed over lanes, divided by lanes)."""
    wait_s: float = 0.0
    """… spent waiting for connections and first bytes."""
    disk_s: float = 0.0
    """… spent writing, and syncing at the end."""
    limit_s: float = 0.0
    """… held back by the rate limit."""
    hash_s: float = 0.0
    """Wall time spent on SHA-256 after the last byte had come."""
    already_there: bool = False


class Failed(Event, frozen=True, tag="error", tag_field="event", kw_only=True):
    """A file, or the whole target (file is empty), has failed for good. Made by the command, which knows exit codes."""

    file: str
    path: str
    error: str
    """The error's class."""
    message: str
    exit_code: int
    kept_bytes: int = 0
    """What stays on disk and is used by the next run."""


class Shared(Event, frozen=True, tag="shared", tag_field="event", kw_only=True):
    """A model is where another tool looks for it, too (--into)."""

    into: Literal["hf-cache", "ollama"]
    model: str
    """What the other tool calls it."""
    root: str
    """That tool's store."""
    paths: list[str]
    """The model's files in the Hugging Face cache; the manifest in Ollama's store."""


class Done(Event, frozen=True, tag="done", tag_field="event", kw_only=True):
    """The pull is over. Made by the command."""

    files: int
    failed: int
    size: int
    fetched_bytes: int
    held_bytes: int
    discarded_bytes: int
    seconds: float
    exit_code: int


Observer = Callable[[Event], None]
