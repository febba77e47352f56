"""The end of a pull, orderly or not: all leases are taken back, and what lanes have written by then still counts."""

import queue
import time
from typing import Any

from engine.transfer.fleet import Fleet
from engine.transfer.helper_threads import HelperThreads, Homecoming
from engine.transfer.hosts import Inbox
from engine.transfer.ledger import Ledger
from engine.transfer.messages import LeaseEnded, PieceWritten, SegmentWritten, Whole
from engine.transfer.roster import Roster

_LAST_WORDS_S = 0.5


class Shutdown:
    """Of one coordinator, whose loop does not run any more."""

    def __init__(
        self, inbox: Inbox, fleet: Fleet, threads: HelperThreads, ledger: Ledger, roster: Roster
    ) -> None:
        self._inbox = inbox
        self._fleet = fleet
        self._threads = threads
        self._ledger = ledger
        self._roster = roster

    def run(self, in_hand: tuple[Any, Any] | None) -> None:
        """End everything. in_hand: the message whose taking in was broken off. May be called twice."""
        self._threads.refuse()
        for transfer in self._roster.active.values():
            transfer.interrupt()
        self._ledger.revoke_all(time.monotonic())
        if in_hand is not None and isinstance(in_hand[1], SegmentWritten | PieceWritten):
            self._hear(*in_hand)
        self._wait()
        self._fleet.kill()
        self._hear_all()
        self._threads.end()
        self._hear_all()
        for transfer in self._roster.active.values():
            transfer.close()

    def _wait(self) -> None:
        """A moment for what lanes have to say: it will not be fetched again."""
        self._fleet.flush()
        until = time.monotonic() + _LAST_WORDS_S
        while self._ledger and (left := until - time.monotonic()) > 0:
            try:
                self._hear(*self._inbox.get(timeout=left))
            except queue.Empty:
                return

    def _hear_all(self) -> None:
        try:
            while True:
                self._hear(*self._inbox.get_nowait())
        except queue.Empty:
            pass

    def _hear(self, host: Any, message: Any) -> None:
        """What still counts when everything is being stopped: bytes on disk."""
        match message:
            case SegmentWritten():
                self._roster.active[message.file].segment_written(message)
            case PieceWritten():
                self._roster.active[message.file].piece_written(message)
            case LeaseEnded():
                self._ledger.strike(message.lease)
            case Whole():
                self._ledger.strike(message.ended.lease)
            case Homecoming():
                message.deliver()
            case None:
                self._ledger.strike_host(host)
