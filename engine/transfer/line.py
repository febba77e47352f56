"""What a lane knows of the connection under its answers."""

import socket

from engine.transfer.cells import Cell
from engine.transport.metered import bytes_waiting, wake


class Line:
    """A lane's socket, seen past urllib3 and TLS. One thread receives; others may wake it and count what waits."""

    def __init__(self, cell: Cell) -> None:
        self.socket: socket.socket | None = None
        self.broken: OSError | None = None
        """How the connection failed in the middle of the answer that is read; see transport.metered."""
        self._cell = cell
        self._buffer = 0
        """The receive buffer that it was made with, where that was not the kernel's choice."""

    def attach(self, wire: socket.socket) -> None:
        self.socket = wire
        self._buffer = self._cell.receive_buffer

    @property
    def has_outgrown_buffer(self) -> bool:
        """Whether the connection is one for a rate limit that is gone, or was much lower."""
        wanted = self._cell.receive_buffer
        return self._buffer > 0 and (not wanted or wanted > 2 * self._buffer)

    @property
    def waiting_bytes(self) -> int:
        """What the kernel holds of it that nobody has read."""
        return bytes_waiting(self.socket) if self.socket is not None else 0

    def wake(self) -> None:
        """End the receive that a thread is in; the connection is of no use afterwards."""
        if self.socket is not None:
            wake(self.socket)
