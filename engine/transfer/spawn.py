"""Starting a worker process: an interpreter on worker.py, and a pipe to it.

Stands alone, on os and subprocess, because the command starts a worker ahead, before it has loaded anything of its
own: a worker loads its part (urllib3 and ssl, 0.1 s) while the command loads its part.
"""

import atexit
import os
import subprocess
import sys

import engine
from engine.transfer.cells import memory_fd
from engine.transfer.pipe import Pipe

# The import root is handed over because neither the current folder nor anything that the caller's script
# added belongs on a worker's path: a download folder may hold a file named ssl.py.
_BOOT = (
    "import gc, sys; gc.disable(); sys.path[:] = sys.argv[2:]; "
    "from engine.transfer.worker import main; main(int(sys.argv[1]))"
)


class WorkerProcess:
    """A started worker that has not been greeted yet. Raises OSError when no process can be started."""

    def __init__(self) -> None:
        self.stderr_fd = memory_fd()
        try:
            self.pipe, theirs = Pipe.pair()
        except OSError:
            os.close(self.stderr_fd)
            raise
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and program, no word of a stranger's
                [*_interpreter(), _BOOT, str(theirs.fileno()), *_import_path()],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self.stderr_fd,
            )
        except BaseException:
            self.pipe.close()
            os.close(self.stderr_fd)
            raise
        finally:
            theirs.close()

    def end(self) -> None:
        """End it now, and wait until it is gone."""
        self.process.kill()
        self.process.wait()
        self.pipe.close()
        os.close(self.stderr_fd)


_ahead: list[WorkerProcess] = []


def start_ahead() -> None:
    """Start a worker that the next take() gets, if there is none. Without one everything works, just later."""
    if can_start_processes() and not _ahead:
        try:
            _ahead.append(WorkerProcess())
        except OSError:
            return  # who needs one will say what is wrong
        atexit.register(_end_ahead)


def take() -> WorkerProcess:
    """The worker that was started ahead, or a new one."""
    return _ahead.pop() if _ahead else WorkerProcess()


def can_start_processes() -> bool:
    """Whether a worker can be started from here: not in a frozen program, which has no interpreter to call."""
    return bool(sys.executable) and not getattr(sys, "frozen", False)


def _end_ahead() -> None:
    while _ahead:
        _ahead.pop().process.kill()  # unwaited for: it has done nothing, and this process ends


def _interpreter() -> list[str]:
    # -S: the path is handed over, so `site` has nothing to do. -P: nothing unsafe is put before it.
    return [sys.executable, "-P", "-S", "-c"]


def _import_path() -> list[str]:
    """The engine's own root first, then the caller's absolute entries but the current and script folders."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(engine.__file__)))  # noqa: PTH100, PTH120 - pathlib loads slowly
    script = os.path.dirname(os.path.abspath(sys.argv[0])) if sys.argv and sys.argv[0] else ""  # noqa: PTH100, PTH120 - likewise
    unsafe = {"", os.getcwd(), script}  # noqa: PTH109 - likewise
    return [root, *(p for p in sys.path if p not in unsafe and os.path.isabs(p))]  # noqa: PTH117 - likewise
