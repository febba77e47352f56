"""Hosts run lanes: worker processes, or the calling process itself for small work.

Both take orders by send() and deliver what their lanes say into the coordinator's inbox, as (host, message);
(host, None) means that the host is gone and nothing of it writes any more.
"""

import os
import queue
import threading
from typing import Any, Protocol

import msgspec

from engine.settings import Settings
from engine.store.disk import disk_errors
from engine.transfer import spawn
from engine.transfer.cells import UNLIMITED, Cells
from engine.transfer.messages import Down, Hello, Up
from engine.transport.auth import Credentials

Inbox = queue.SimpleQueue[tuple[Any, Any]]


class Host(Protocol):
    """What the coordinator knows of a host."""

    cells: Cells
    is_process: bool
    has_spoken: bool
    """A worker that has not is still starting."""

    def send(self, order: Down, fds: tuple[int, ...] = ()) -> None:
        """Deliver an order, with the next flush() at the latest; fds, with Open, are copied, not taken. A host that is
        gone swallows it."""

    def flush(self) -> None:
        """Let what was sent go out."""

    def kill(self) -> None:
        """End it now and wait until it is gone. May be called twice."""


class ThreadHost:
    """Lanes on threads of this process."""

    is_process = False
    has_spoken = True

    def __init__(
        self, settings: Settings, credentials: Credentials, lanes: int, inbox: Inbox, *, max_block: int
    ) -> None:
        from engine.transfer.lane_group import (
            LaneGroup,  # loads urllib3, which a coordinator of processes never needs
        )

        self.cells = Cells(lanes)
        _unlimit(self.cells)

        def emit(message: Up) -> None:
            inbox.put((self, message))

        self._group = LaneGroup(settings, credentials, self.cells, emit, first_turn=0, max_block=max_block)

    def __repr__(self) -> str:
        return "<ThreadHost>"

    def send(self, order: Down, fds: tuple[int, ...] = ()) -> None:
        self._group.handle(order, tuple(os.dup(fd) for fd in fds))

    def flush(self) -> None:
        pass

    def kill(self) -> None:
        """Lanes have been revoked before, so none of them writes; those that are stuck end with the process."""
        self._group.stop()
        self._group.join(0.2)


class ProcessHost:
    """Lanes in a worker process."""

    is_process = True

    def __init__(
        self,
        settings: Settings,
        credentials: Credentials,
        lanes: int,
        inbox: Inbox,
        *,
        first_turn: int,
        max_block: int,
    ) -> None:
        self._is_gone = self.has_spoken = False
        with disk_errors("start a worker process", None):
            self._worker = spawn.take()
        self._process, self._pipe = self._worker.process, self._worker.pipe
        self._encode = msgspec.msgpack.Encoder().encode
        self._orders: list[bytes] = []
        """Not sent yet: one wake of the worker does for all that come up in one round of the coordinator."""
        cells_fd = Cells.shared_fd(lanes)
        try:
            self.cells = Cells(lanes, cells_fd)
            _unlimit(self.cells)
            self.send(Hello(settings, credentials, lanes, first_turn, max_block, os.getpid()), (cells_fd,))
        finally:
            os.close(cells_fd)
        self._reader = threading.Thread(target=self._read, args=(inbox,), name="host-reader", daemon=True)
        self._reader.start()

    def __repr__(self) -> str:
        return f"<ProcessHost {self._process.pid}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, order: Down, fds: tuple[int, ...] = ()) -> None:
        if fds:
            self.flush()
        self._orders.append(self._encode(order))
        if fds:
            self._send(fds)

    def flush(self) -> None:
        if self._orders:
            self._send()

    def _send(self, fds: tuple[int, ...] = ()) -> None:
        orders, self._orders = self._orders, []
        try:
            self._pipe.send(*orders, fds=fds)
        except OSError:
            pass  # gone; its reader tells the coordinator

    def kill(self) -> None:
        if self._is_gone:
            return
        self._is_gone = True
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._worker.end()

    def last_words(self) -> str:
        """The end of what the worker wrote to stderr, for the log."""
        if self._is_gone:
            return ""
        size = os.fstat(self._worker.stderr_fd).st_size
        return os.pread(self._worker.stderr_fd, 2000, max(0, size - 2000)).decode(errors="replace").strip()

    def _read(self, inbox: Inbox) -> None:
        decoder = msgspec.msgpack.Decoder(Up)
        try:
            while True:
                for payload in self._pipe.receive_all():
                    self.has_spoken = True
                    inbox.put((self, decoder.decode(payload)))
        except (EOFError, OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            # A worker that sends what is no message is not believed any more.
            # Only when the process is reaped is it sure that it writes no more.
            self._process.kill()
            self._process.wait()
            inbox.put((self, None))


def _unlimit(cells: Cells) -> None:
    for lane in range(len(cells)):
        cells[lane].set_allowance(UNLIMITED)
