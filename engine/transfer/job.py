"""What a pull is asked to do with one file."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from engine.remote_file import RemoteFile
from engine.store.receipts import Receipts


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Fetch remote to target."""

    remote: RemoteFile
    target: Path
    """Absolute."""
    partial: Path
    """Folder of the part, on the target's file system."""
    receipts: Receipts
    spares_others: bool = False
    """A file under target that we did not bring stays, unless --force: a server chose its name."""
    is_stored: bool = False
    """Whether target is a view in the store, of a content that is kept as a blob."""
    refresh: Callable[[], RemoteFile] | None = None
    """Ask the source again what it publishes; used when content does not agree with its digest."""
