"""What a torture run has found, and its table."""

import signal
import statistics
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.torture.dice import SEGMENT, Case, Victim

_GROUPS: tuple[tuple[Victim, signal.Signals], ...] = (
    ("coordinator", signal.SIGKILL),
    ("coordinator", signal.SIGTERM),
    ("coordinator", signal.SIGINT),
    ("worker", signal.SIGKILL),
)


@dataclass
class Kill:
    """A signal that was sent."""

    victim: Victim
    signal: signal.Signals
    at: float
    held_share: float
    """Of the file, by its journal at that moment."""
    refetched_lanes: float = 0.0
    """What was fetched twice because of it, in units of lanes x segment."""
    lost_lanes: float = 0.0
    """What of that was on disk already, and in no journal; of commands, whose ends leave something to look at."""

    @property
    def counts(self) -> bool:
        """Whether it fell in the midst of the file."""
        return 0.01 <= self.held_share <= 0.99


@dataclass
class Tally:
    """Of one run. Any thread may add to it."""

    seed: int
    kills: list[Kill] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    sizes: set[int] = field(default_factory=set)
    files: int = 0
    corrupt: int = 0
    clean_ups: int = 0
    """Pulls that went on only after somebody had taken something away by hand."""
    orphans: int = 0
    late_ends: int = 0
    """Coordinators whose last worker was gone only after a second by the clock, busy machine or not."""
    slowest_end_s: float = 0.0
    """From a coordinator's end to that of its last worker, by the clock."""
    sent_bytes: int = 0
    refetched_otherwise: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def counted(self) -> int:
        with self._lock:
            return sum(kill.counts for kill in self.kills)

    def violation(self, case: Case, what: str) -> None:
        with self._lock:
            self.violations.append(f"--seed {self.seed} --case {case.number}: {case}: {what}")

    def add(self, case: Case, kills: Sequence[Kill], sent_bytes: int, refetched_otherwise: int) -> None:
        """A file that came to its end."""
        with self._lock:
            self.files += 1
            self.sizes.add(case.size)
            self.kills += kills
            self.sent_bytes += sent_bytes
            self.refetched_otherwise += refetched_otherwise

    def found(self, what: str, number: int = 1) -> None:
        """Of what must not be: corrupt, clean_ups, orphans."""
        with self._lock:
            setattr(self, what, getattr(self, what) + number)

    def ended_within(self, seconds: float) -> None:
        with self._lock:
            self.slowest_end_s = max(self.slowest_end_s, seconds)
            self.late_ends += seconds > 1

    def lines(self) -> list[str]:
        """The table, for people."""
        groups = [
            (f"{victim}, {number.name}", [k for k in self.kills if (k.victim, k.signal) == (victim, number)])
            for victim, number in _GROUPS
        ]
        sizes = f"{len(self.sizes)} sizes ({min(self.sizes, default=0):,} to {max(self.sizes, default=0):,} bytes)"
        otherwise = self.refetched_otherwise / max(self.sent_bytes, 1)
        return [
            f"seed {self.seed}: {self.files} files of {sizes}, segments of {SEGMENT:,} bytes, "
            f"{self.sent_bytes:,} bytes sent",
            "",
            "in lanes x segment   |       |           | fetched twice  | of it on disk",
            "victim, signal       | kills | at 1-99 % | median | worst | worst",
            *[_row(name, kills) for name, kills in [*groups, ("all", self.kills)]],
            "",
            f"corrupt files {self.corrupt}, manual clean-ups {self.clean_ups}, "
            f"processes left after a second of their own {self.orphans}",
            f"workers gone after {self.slowest_end_s * 1000:.0f} ms at most by the clock, {self.late_ends} times after "
            f"more than a second; fetched twice with no kill near {otherwise:.2%}",
            *[f"VIOLATION {text}" for text in self.violations],
        ]


def _row(name: str, kills: Sequence[Kill]) -> str:
    twice = [kill.refetched_lanes for kill in kills] or [0.0]
    lost = max((kill.lost_lanes for kill in kills), default=0.0)
    counted = sum(kill.counts for kill in kills)
    figures = f"{statistics.median(twice):6.2f} | {max(twice):5.2f} | {lost:5.2f}"
    return f"{name:20} | {len(kills):5} | {counted:9} | {figures}"
