"""A worker process outlives nobody."""

import os
import signal
import subprocess
import sys
import textwrap

import psutil

from tests.command import ROOT
from tests.integration.trial import wait_gone

PARENT = """
    import os, signal
    import msgspec
    from engine.settings import Settings
    from engine.transfer.cells import Cells
    from engine.transfer.messages import Hello
    from engine.transfer.spawn import WorkerProcess
    from engine.transport.auth import Credentials

    worker, cells = WorkerProcess(), Cells.shared_fd(1)
    hello = Hello(Settings(), Credentials(), 1, 0, 1 << 20, os.getpid())
    worker.pipe.send(msgspec.msgpack.encode(hello), fds=(cells,))
    keeper = os.fork()
    if keeper == 0:
        signal.pause()
    print(worker.process.pid, keeper, flush=True)
    input()
    os._exit(0)
"""


def test_a_worker_ends_with_its_parent_though_its_pipe_is_open() -> None:
    """A process that the program has forked keeps the other end of the pipe, so no end of it is seen: the worker
    notices that it has another parent now."""
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    assert parent.stdin and parent.stdout
    with parent.stdin, parent.stdout:
        worker, keeper = map(int, parent.stdout.readline().split())
        try:
            process = psutil.Process(worker)
            parent.stdin.write("\n")
            parent.stdin.flush()
            assert parent.wait(10) == 0
            wait_gone([process], timeout_s=5)
        finally:
            os.kill(keeper, signal.SIGKILL)
            if psutil.pid_exists(worker):
                os.kill(worker, signal.SIGKILL)
