"""A worker process: lanes at the other end of a pipe.

Started by sys.executable on this module (see spawn.py), never by multiprocessing's spawn, which would run the
caller's script again. It logs nothing and decides nothing. It dies with its parent: the end of the pipe, or
another parent than it was born with, ends the process at once, whatever its lanes are doing.
"""

import gc
import os
import signal
import sys

import msgspec

from engine.transfer.cells import Cells
from engine.transfer.lane_group import LaneGroup
from engine.transfer.messages import Down, Hello, Up
from engine.transfer.pipe import Pipe

_ORPHAN_CHECK_S = 0.5
_NICENESS = 5
"""Where processors are short, the hash goes first: it is the one thing that cannot be shared out, and what it has not
done when the last byte comes is waited for."""


def main(pipe_fd: int) -> None:
    """Serve orders until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches the whole group; the coordinator decides
    os.nice(_NICENESS)
    gc.freeze()  # what the imports made stays; spawn.py starts us with the collector off
    gc.enable()
    try:
        _serve(Pipe.from_fd(pipe_fd))
    except (EOFError, OSError):
        pass
    finally:
        sys.stderr.flush()
        os._exit(0)  # lanes may sit in a receive for ever; nothing here needs an orderly end


def _serve(pipe: Pipe) -> None:
    greeting, (cells_fd,) = pipe.receive()
    hello = msgspec.msgpack.decode(greeting, type=Hello)
    cells = Cells(hello.lanes, cells_fd)
    os.close(cells_fd)
    encode = msgspec.msgpack.Encoder().encode

    def emit(message: Up) -> None:
        try:
            pipe.send(encode(message))
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
        try:
            order, fds = pipe.receive(_ORPHAN_CHECK_S)
        except TimeoutError:
            if os.getppid() != hello.parent:
                return
        else:
            group.handle(decoder.decode(order), fds)
