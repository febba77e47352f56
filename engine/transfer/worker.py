"""A worker process: lanes at the other end of a pipe.

Started by sys.executable on this module (see hosts.py), never by multiprocessing's spawn, which would run the
caller's script again. It logs nothing and decides nothing. It dies with its parent: the end of the pipe, or
another parent than it was born with, ends the process at once, whatever its lanes are doing.
"""

import os
import signal
import sys
import threading
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle

import msgspec

from engine.settings import Settings
from engine.transfer.cells import Cells
from engine.transfer.lane_group import LaneGroup
from engine.transfer.messages import Down, Open, Up
from engine.transport.auth import Credentials

_ORPHAN_CHECK_S = 0.5


class Hello(msgspec.Struct, frozen=True, array_like=True):
    """The first message: what a worker needs to know. It comes through the pipe because of the credentials."""

    settings: Settings
    credentials: Credentials
    lanes: int
    first_turn: int
    max_block: int
    parent: int


def main(pipe_fd: int, cells_fd: int) -> None:
    """Serve orders until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches the whole group; the coordinator decides
    pipe = Connection(pipe_fd)
    try:
        _serve(pipe, cells_fd)
    except (EOFError, OSError):
        pass
    finally:
        sys.stderr.flush()
        os._exit(0)  # lanes may sit in a receive for ever; nothing here needs an orderly end


def _serve(pipe: Connection, cells_fd: int) -> None:
    hello = msgspec.msgpack.decode(pipe.recv_bytes(), type=Hello)
    cells = Cells(hello.lanes, cells_fd)
    os.close(cells_fd)
    encode, sending = msgspec.msgpack.Encoder().encode, threading.Lock()

    def emit(message: Up) -> None:
        with sending:
            try:
                pipe.send_bytes(encode(message))
            except OSError:
                os._exit(0)

    group = LaneGroup(
        hello.settings,
        hello.credentials,
        cells,
        emit,
        first_turn=hello.first_turn,
        max_block=hello.max_block,
    )
    decoder = msgspec.msgpack.Decoder(Down)
    while True:
        while not pipe.poll(_ORPHAN_CHECK_S):
            if os.getppid() != hello.parent:
                return
        order: Down = decoder.decode(pipe.recv_bytes())
        fds = (recv_handle(pipe), recv_handle(pipe)) if isinstance(order, Open) else ()
        group.handle(order, fds)
