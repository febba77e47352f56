"""Every random choice of a torture run, from one seed: which files, over how many lanes, struck where. Pure."""

import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

SEGMENT = 64 << 10
"""The smallest that `--segment-size` takes."""
SIZES = (SEGMENT + 1, 4 * SEGMENT, 33 * SEGMENT - 7, 128 * SEGMENT, 400 * SEGMENT + 12_345)
BEATS = 20
"""Pieces a second in which the origin sends a paced body (tests/origin/stream.py)."""
_FASTEST = BEATS * SEGMENT
"""Bytes a second on a connection: what is sent at once, and so may be under way, is a segment at most."""
_MOST_BLOWS = 12
_FOR_WORKERS = 0.42

Victim = Literal["coordinator", "worker"]


@dataclass(frozen=True)
class Blow:
    """A signal to come."""

    share: float
    """Of the file, which must have been sent; 0: from the start on, 1: when all of it has been."""
    delay_s: float
    """To wait after that."""
    victim: Victim
    signal: signal.Signals
    choice: float
    """Which one of several workers, as a share of their number."""


@dataclass(frozen=True)
class Case:
    """One file, pulled to its end through blows."""

    number: int
    seed: int
    """Of its content."""
    size: int
    lanes: int
    workers: int
    pace: int
    """Bytes a second on each connection."""
    has_digest: bool
    is_forked: bool
    """Off the starter, which is quicker; else an interpreter is started, as a user does it."""
    blows: tuple[Blow, ...]

    @property
    def beat_bytes(self) -> int:
        """What the origin sends at once on a connection."""
        return max(1, self.pace // BEATS)

    def __str__(self) -> str:
        return f"case {self.number} ({self.size:,} bytes, {self.lanes} lanes, {self.workers} workers)"


def draw(seed: int, number: int, sizes: Sequence[int] = SIZES) -> Case:
    """The case of this number; sizes take turns, so that each is drawn with seeds of its own."""
    dice = random.Random(f"{seed}/{number}")
    size = sizes[number % len(sizes)]
    lanes = dice.randint(2, 8)
    workers = min(lanes, dice.choice((0, 1, 1, 2, 2, 3)))
    seconds = dice.uniform(0.5, 1.5)
    most = min(_MOST_BLOWS, 2 + size // SEGMENT // 12)
    blows = [_blow(dice, has_workers=workers > 0) for _ in range(dice.randint(1, most))]
    return Case(
        number=number,
        seed=dice.randrange(1 << 16),
        size=size,
        lanes=lanes,
        workers=workers,
        pace=max(SEGMENT, min(_FASTEST, int(size / lanes / seconds))),
        has_digest=dice.random() < 0.5,
        is_forked=dice.random() < 0.9,
        blows=tuple(sorted(blows, key=lambda blow: blow.share)),
    )


def _blow(dice: random.Random, *, has_workers: bool) -> Blow:
    share, longest_s = dice.uniform(0.02, 0.98), 1 / BEATS
    when = dice.random()
    if when < 0.04:
        share, longest_s = 0.0, 0.4
    elif when > 0.94:
        share = 1.0
    is_for_worker = has_workers and dice.random() < _FOR_WORKERS
    orderly = dice.choice((signal.SIGTERM, signal.SIGINT))
    number = signal.SIGKILL if is_for_worker or dice.random() < 0.6 else orderly
    return Blow(
        share=share,
        delay_s=dice.uniform(0, longest_s),
        victim="worker" if is_for_worker else "coordinator",
        signal=number,
        choice=dice.random(),
    )
