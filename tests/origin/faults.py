"""Faults: which requests they strike, and the count of how often they really did.

What each one does stands in manners.py (before an answer, instead of it, or with it) and in
stream.py (in the middle of a body).
"""

import inspect
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.origin.ledger import Ledger, Record

Stage = Literal["accept", "before", "answer", "body"]


@dataclass(frozen=True)
class Kind:
    """A named fault: when it acts, and the function that does it (keyword-only arguments are its options)."""

    name: str
    stage: Stage
    act: Callable[..., Any]


KINDS: dict[str, Kind] = {}


def kind(stage: Stage, name: str | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as a fault, under its own name or another."""

    def register(act: Callable[..., Any]) -> Callable[..., Any]:
        label = name or act.__name__
        KINDS[label] = Kind(label, stage, act)
        return act

    return register


@dataclass(eq=False)
class Fault:
    """One fault as ordered by a test."""

    kind: Kind
    ledger: Ledger
    path: str | None = None
    """Only this path (without query); None: any."""
    method: str | None = None
    times: int | None = None
    """How often it may fire; None: always."""
    nth: int | Collection[int] | None = None
    """Only the nth (from 1) of the requests that pass the other filters."""
    range_start: int | None = None
    """Only requests whose Range starts there."""
    when: Callable[[Record], bool] | None = None
    probability: float = 1.0
    seed: int = 0
    after_bytes: int | tuple[int, int] = 0
    """Body faults: once so many bytes of this answer's body are sent; (low, high): at random between."""
    offset: int | None = None
    """Body faults: instead, once the answer reaches this offset of the file."""
    options: dict[str, Any] = field(default_factory=dict)
    fired: int = 0
    seen: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        # A misspelt option would be a fault that never happens.
        parameters = inspect.signature(self.kind.act).parameters.values()
        allowed = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
        needed = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty}
        if not needed <= set(self.options) <= allowed:
            raise TypeError(f"{self.kind.name} takes {sorted(allowed)}, not {sorted(self.options)}")

    def strikes(self, record: Record) -> bool:
        """Whether it is meant for this request; to be asked once a request."""
        if self.path not in (None, record.path) or self.method not in (None, record.method):
            return False
        if self.range_start is not None and (record.range is None or record.range[0] != self.range_start):
            return False
        if self.when is not None and not self.when(record):
            return False
        return self._is_its_turn()

    def _is_its_turn(self) -> bool:
        with self.ledger.condition:
            self.seen += 1
            wanted = (self.nth,) if isinstance(self.nth, int) else self.nth
            if wanted is not None and self.seen not in wanted:
                return False
            return self.probability >= 1 or self._random.random() < self.probability

    def strikes_at_the_door(self, open_connections: int) -> bool:
        """Whether it is meant for the newest connection; nth then counts connections."""
        return open_connections > self.options.get("n", 0) and self._is_its_turn()

    def claim(self, record: Record | None = None) -> bool:
        """Take one of its times and count it as fired; False when none is left."""
        return self.ledger.count_fired(record, self.kind.name, self._take)

    def _take(self) -> bool:
        if self.times is not None and self.fired >= self.times:
            return False
        self.fired += 1
        return True

    @property
    def has_times_left(self) -> bool:
        return self.times is None or self.fired < self.times

    def point(self, start: int) -> int:
        """Where in a body that begins at offset start of the file it acts; may lie outside of it."""
        if self.offset is not None:
            return self.offset - start
        if isinstance(self.after_bytes, tuple):
            with self.ledger.condition:
                return self._random.randint(*self.after_bytes)
        return self.after_bytes
