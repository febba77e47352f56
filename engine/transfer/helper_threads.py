"""The coordinator's helper threads: they hash, sync and rename, and what comes of it goes back through the inbox."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from engine.transfer.cores import usable_cores
from engine.transfer.hosts import Inbox
from engine.transfer.tasks import Done


class Homecoming:
    """What a helper thread has done, on its way back to the coordinator's thread."""

    def __init__(self, done: Done, result: Any, exc: BaseException | None) -> None:
        self._done, self._result, self._exc = done, result, exc

    def deliver(self) -> None:
        self._done(self._result, self._exc)


class HelperThreads:
    """As many as there are cores, started with the first work."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._pool: ThreadPoolExecutor | None = None
        self._is_refusing = False

    def submit(self, work: Callable[[], Any], done: Done) -> None:
        """Run work on a helper thread, and done with its result where the inbox is read."""
        if self._is_refusing:
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(max(usable_cores(), 2), thread_name_prefix="helper")
        self._pool.submit(self._run, work, done)

    def refuse(self) -> None:
        """Take no more work."""
        self._is_refusing = True

    def end(self) -> None:
        """Wait for what is under way; what has not begun is dropped. May be called twice."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _run(self, work: Callable[[], Any], done: Done) -> None:
        try:
            homecoming = Homecoming(done, work(), None)
        except Exception as exc:  # noqa: BLE001 - it is raised or translated on the coordinator's thread
            homecoming = Homecoming(done, None, exc)
        self._inbox.put((None, homecoming))
