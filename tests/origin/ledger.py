"""What the origin remembers: every request with what became of it. Tests judge clients by it."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
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
    refused: str | None = None
    """Name of the rule by which it was refused, where the origin has rules."""
    completed: bool = False
    """The whole answer, as it was meant to be, was handed to the kernel."""
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    expected: int | None = None
    """Body bytes that the answer has; None while unanswered."""
    is_waiting: bool = False
    """It hangs, stalls or is paced just now."""
    steps: int = 0
    """Grows with every change; for settle()."""

    @property
    def is_at_rest(self) -> bool:
        return self.ended is not None or self.is_waiting


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

    @contextlib.contextmanager
    def changing(self, record: Record | None = None) -> Iterator[None]:
        """Around every change, of a record or of anything else that someone may wait for."""
        with self.condition:
            yield
            if record is not None:
                record.steps += 1
            self.condition.notify_all()

    def open(self, request: Request, connection: int) -> Record:
        record = Record(
            request.method, request.target, request.path, request.headers, connection, request.body
        )
        with self.changing():
            self.requests.append(record)
        return record

    def close(self, record: Record) -> None:
        with self.changing(record):
            record.ended = time.monotonic()

    def count_sent(self, record: Record, nbytes: int) -> None:
        with self.changing(record):
            record.sent += nbytes
            self._sent[record.path] += nbytes

    def count_fired(self, record: Record | None, name: str, step: Callable[[], bool]) -> bool:
        """Run step, which says whether the fault may fire now, under the lock; and note it if it did."""
        with self.condition:
            if not step():
                return False
            if record is not None:
                record.faults.append(name)
            self.condition.notify_all()
            return True

    @contextlib.contextmanager
    def waiting(self, record: Record | None) -> Iterator[None]:
        """Around a hang, a stall or a rest."""
        if record is None:
            yield
            return
        with self.changing(record):
            record.is_waiting = True
        try:
            yield
        finally:
            with self.changing(record):
                record.is_waiting = False

    def settle(self, timeout_s: float = 0.5) -> None:
        """Let requests whose last byte a client may have already be noted as what they are.

        A client can have a byte, end, and be judged before the thread that sent it has counted it. So:
        each request that runs now comes to rest, or gets further without being at its end. (A sender
        that is blocked because nobody reads costs the timeout.)
        """
        with self.condition:
            steps = {record: record.steps for record in self.requests if not record.is_at_rest}
            self.condition.wait_for(
                lambda: all(r.is_at_rest or (r.steps > n and r.sent != r.expected) for r, n in steps.items()),
                timeout_s,
            )

    def bytes_sent(self, path: str | None = None) -> int:
        with self.condition:
            return sum(self._sent.values()) if path is None else self._sent[path]

    def wait(self, holds: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Until holds() is true; TimeoutError, naming what was waited for, when it does not become so."""
        with self.condition:
            if not self.condition.wait_for(holds, timeout_s):
                raise TimeoutError(f"the origin waited {timeout_s} s in vain for {what}")
