"""The lanes of one host: orders from the coordinator go to the lane they are for. Runs inside a worker
process, and in the calling process for small work; both are the same code."""

import errno
import os
from collections.abc import Callable

from engine.settings import Settings
from engine.spans import Grid
from engine.store.pieces import Pieces
from engine.transfer.cells import Cells
from engine.transfer.lane import Lane
from engine.transfer.lease_writer import PartFile
from engine.transfer.messages import Close, Closed, Down, Lease, Open, Proceed, Revoke, Shorten, Up
from engine.transport.auth import Credentials

_UNKNOWN_SIZE = 1 << 62
_WITHOUT_PIECES = 2
"""Descriptors of a part."""


class LaneGroup:
    """Owns the lanes and the parts' descriptors of one host. Not thread-safe: one caller."""

    def __init__(
        self,
        settings: Settings,
        credentials: Credentials,
        cells: Cells,
        emit: Callable[[Up], None],
        *,
        first_turn: int,
        max_block: int,
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        self._cells = cells
        self._emit = emit
        self._first_turn = first_turn
        self._max_block = max_block
        self._lanes: dict[int, Lane] = {}
        self._files: dict[int, PartFile] = {}

    def handle(self, order: Down, fds: tuple[int, ...] = ()) -> None:
        """Obey one order. fds come with Open: data, lock and, for some, pieces; owned by this group from now on."""
        match order:
            case Open(file, size, segment_size, seed):
                grid = Grid(_UNKNOWN_SIZE if size is None else size, segment_size)
                pieces = Pieces(fds[2], seed) if len(fds) > _WITHOUT_PIECES else None
                self._files[file] = PartFile(fds[0], fds[1], size, grid, pieces)
            case Lease() | Proceed():
                self._lane(order.lane).take(order)
            case Shorten(lane, lease, stop):
                self._lane(lane).shorten(lease, stop)
            case Revoke(lane, lease):
                self._lane(lane).revoke(lease)
            case Close(file):
                self._emit(Closed(file, self._close_file(file)))

    def stop(self) -> None:
        """Ask all lanes to end; descriptors are closed when the lanes are known to be idle or the process ends."""
        for lane in self._lanes.values():
            lane.stop()

    def join(self, timeout_s: float) -> None:
        """Wait a little for the lanes, then close all files."""
        for lane in self._lanes.values():
            lane.join(timeout_s)
        for file in list(self._files):
            self._close_file(file)

    def _lane(self, number: int) -> Lane:
        """Lanes start with their first lease."""
        if number not in self._lanes:
            self._lanes[number] = Lane(
                number,
                self._settings,
                self._credentials,
                self._cells[number],
                self._files,
                self._emit,
                turn=self._first_turn + number,
                max_block=self._max_block,
            )
        return self._lanes[number]

    def _close_file(self, file: int) -> int:
        """The errno with which that ended; 0 where it went well."""
        part = self._files.pop(file, None)
        if part is None:
            return 0
        try:
            os.close(part.fd)
        except OSError as exc:
            return exc.errno or errno.EIO
        finally:
            os.close(part.lock)
            if part.pieces is not None:
                part.pieces.close()
        return 0
