"""What follows behind the writers of one file: its hash, and syncs, so that the last one is short."""

from collections.abc import Callable
from typing import Any

from engine.transfer.frontier import Frontier

_SYNC_EVERY_BYTES = 256 << 20

StartTask = Callable[[Callable[[], Any], Callable[[Any], None]], None]
"""Runs its first argument, maybe on another thread, then its second with the result on the coordinator's."""


class Follower:
    """At most one hash step and one sync at a time. moved hears of each that is done, with the index of a held
    segment that turned out bad, else None."""

    def __init__(self, start_task: StartTask, moved: Callable[[int | None], None]) -> None:
        self._start_task = start_task
        self._moved = moved
        self.unsynced_bytes = 0
        self._is_hashing = self._is_syncing = False

    def follow(self, frontier: Frontier, advance: Callable[[], int | None], sync: Callable[[], None]) -> None:
        """Start what is worth it by now: advance moves the frontier, and sync the data."""
        if not self._is_hashing and frontier.has_work and not frontier.must_stop:
            self._is_hashing = True
            self._start_task(advance, self._advanced)
        if self.unsynced_bytes >= _SYNC_EVERY_BYTES and not self._is_syncing:
            self.unsynced_bytes, self._is_syncing = 0, True
            self._start_task(sync, self._synced)

    def _advanced(self, bad: int | None) -> None:
        self._is_hashing = False
        self._moved(bad)

    def _synced(self, _: None) -> None:
        self._is_syncing = False
        self._moved(None)
