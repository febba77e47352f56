"""Hosts run lanes: worker processes, or the calling process itself for small work.

Both take orders by send() and deliver what their lanes say into the coordinator's inbox, as (host, message);
(host, None) means that the host is gone and nothing of it writes any more.
"""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Protocol

import msgspec

import engine
from engine.settings import Settings
from engine.transfer.cells import UNLIMITED, Cells
from engine.transfer.messages import Down, Hello, Up
from engine.transfer.pipe import Pipe
from engine.transport.auth import Credentials

Inbox = queue.SimpleQueue[tuple[Any, Any]]

# The import root is handed over because neither the current folder nor anything that the caller's script
# added belongs on a worker's path: a download folder may hold a file named ssl.py.
_BOOT = (
    "import gc, sys, json; gc.disable(); sys.path[:] = json.loads(sys.argv[3]); "
    "from engine.transfer.worker import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)


class Host(Protocol):
    """What the coordinator knows of a host."""

    cells: Cells
    is_process: bool

    def send(self, order: Down, fds: tuple[int, ...] = ()) -> None:
        """Deliver an order; fds, with Open, are copied, not taken. A host that is gone swallows it."""

    def kill(self) -> None:
        """End it now and wait until it is gone. May be called twice."""


class ThreadHost:
    """Lanes on threads of this process."""

    is_process = False

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
        cells_fd = Cells.shared_fd(lanes)
        self._pipe, theirs = Pipe.pair()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the host
        try:
            self.cells = Cells(lanes, cells_fd)
            _unlimit(self.cells)
            self._process = subprocess.Popen(
                [*_interpreter(), _BOOT, str(theirs.fileno()), str(cells_fd), json.dumps(_import_path())],
                pass_fds=(theirs.fileno(), cells_fd),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
            )
        except BaseException:
            self._pipe.close()
            self._stderr.close()
            raise
        finally:
            theirs.close()
            os.close(cells_fd)
        hello = Hello(settings, credentials, lanes, first_turn, max_block, os.getpid())
        self._encode = msgspec.msgpack.Encoder().encode
        self.send(hello)
        self._reader = threading.Thread(target=self._read, args=(inbox,), name="host-reader", daemon=True)
        self._reader.start()

    def __repr__(self) -> str:
        return f"<ProcessHost {self._process.pid}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, order: Down, fds: tuple[int, ...] = ()) -> None:
        try:
            self._pipe.send(self._encode(order), fds)
        except OSError:
            pass  # gone; its reader tells the coordinator

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._pipe.close()
        self._stderr.close()

    def last_words(self) -> str:
        """The end of what the worker wrote to stderr, for the log."""
        if self._stderr.closed:
            return ""
        self._stderr.seek(max(0, self._stderr.seek(0, os.SEEK_END) - 2000))
        return self._stderr.read().decode(errors="replace").strip()

    def _read(self, inbox: Inbox) -> None:
        decoder = msgspec.msgpack.Decoder(Up)
        try:
            while True:
                inbox.put((self, decoder.decode(self._pipe.receive()[0])))
        except (EOFError, OSError):
            # Only when the process is reaped is it sure that it writes no more.
            self._process.kill()
            self._process.wait()
            inbox.put((self, None))


def can_start_processes() -> bool:
    """Whether a worker can be started from here: not in a frozen program, which has no interpreter to call."""
    return bool(sys.executable) and not getattr(sys, "frozen", False)


def _interpreter() -> list[str]:
    # -S: the path is handed over, so `site` has nothing to do. -P: nothing unsafe is put before it.
    return [sys.executable, "-P", "-S", "-c"]


def _import_path() -> list[str]:
    """The engine's own root first, then the caller's absolute entries but the current and script folders."""
    root = str(Path(engine.__file__).parent.parent)
    script = str(Path(sys.argv[0]).absolute().parent) if sys.argv and sys.argv[0] else ""
    unsafe = {"", str(Path.cwd()), script}
    return [root, *(p for p in sys.path if p not in unsafe and Path(p).is_absolute())]


def _unlimit(cells: Cells) -> None:
    for lane in range(len(cells)):
        cells[lane].set_allowance(UNLIMITED)
