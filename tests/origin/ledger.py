"""What the origin remembers: every request with what became of it. Tests judge clients by it."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.origin.wire import Headers, Request


@dataclass(eq=False)
class Record:
    """One request and its answer; it grows until `ended` is set."""

    method: str
    target: str
    path: str
    headers: Headers
    connection: int
    """Number of the connection it came on, from 1."""
    request_body: bytes = b""
    range: tuple[int, int] | None = None
    """Asked for, half-open; None without a Range header that could be read."""
    status: int | None = None
    """None while unanswered, and for ever when nothing that is HTTP was answered."""
    sent: int = 0
    """Body bytes handed to the kernel."""
    faults: list[str] = field(default_factory=list)
    """Names of the faults that really happened to it, in order."""
    completed: bool = False
    """The whole answer, as it was meant to be, was handed to the kernel."""
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None


class Ledger:
    """Records and counters of one origin. Every change wakes those who wait for one."""

    def __init__(self) -> None:
        self.condition = threading.Condition()
        self.requests: list[Record] = []
        self.connections = 0
        """Accepted so far."""
        self.handshake_failures: list[str] = []
        """Why clients and the origin did not agree on TLS, in OpenSSL's words."""
        self.complaints: list[str] = []
        """Requests that were not HTTP."""
        self._sent: Counter[str] = Counter()

    def open(self, request: Request, connection: int) -> Record:
        record = Record(
            request.method, request.target, request.path, request.headers, connection, request.body
        )
        with self.condition:
            self.requests.append(record)
            self.condition.notify_all()
        return record

    def close(self, record: Record) -> None:
        with self.condition:
            record.ended = time.monotonic()
            self.condition.notify_all()

    def count_sent(self, record: Record, nbytes: int) -> None:
        with self.condition:
            record.sent += nbytes
            self._sent[record.path] += nbytes
            self.condition.notify_all()

    def count_fired(self, record: Record | None, name: str, step: Callable[[], bool]) -> bool:
        """Run step, which says whether the fault may fire now, under the lock; and note it if it did."""
        with self.condition:
            if not step():
                return False
            if record is not None:
                record.faults.append(name)
            self.condition.notify_all()
            return True

    def bytes_sent(self, path: str | None = None) -> int:
        with self.condition:
            return sum(self._sent.values()) if path is None else self._sent[path]

    def wait(self, holds: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Until holds() is true; TimeoutError, naming what was waited for, when it does not become so."""
        with self.condition:
            if not self.condition.wait_for(holds, timeout_s):
                raise TimeoutError(f"the origin waited {timeout_s} s in vain for {what}")
