"""The coordinator's helper threads: they hash, sync and rename, and what comes of it goes back through the inbox."""

import contextlib
import queue
import threading
from collections.abc import Callable
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
    """As many as there are cores, started as work comes.

    Not an executor of the standard library: those take nothing more once a program's main thread has ended, while a
    pull in another one of its threads goes on (`threading._shutdown`).
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], Done] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._is_refusing = False

    def submit(self, work: Callable[[], Any], done: Done) -> None:
        """Run work on a helper thread, and done with its result where the inbox is read."""
        if self._is_refusing:
            return
        if len(self._threads) < max(usable_cores(), 2):
            name = f"helper-{len(self._threads)}"
            self._threads.append(threading.Thread(target=self._run, name=name, daemon=True))
            self._threads[-1].start()
        self._work.put((work, done))

    def refuse(self) -> None:
        """Take no more work."""
        self._is_refusing = True

    def end(self) -> None:
        """Wait for what is under way; what has not begun is dropped. May be called twice."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._work.get_nowait()
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _run(self) -> None:
        while (order := self._work.get()) is not None:
            work, done = order
            try:
                homecoming = Homecoming(done, work(), None)
            except Exception as exc:  # noqa: BLE001 - it is raised or translated on the coordinator's thread
                homecoming = Homecoming(done, None, exc)
            self._inbox.put((None, homecoming))
