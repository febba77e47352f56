"""What a run of the model came to, and how it is shown (pure)."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from perf.simulation.cases import Case
from perf.simulation.files import File
from perf.simulation.links import UNLIMITED
from perf.simulation.world import World
from perf.trace import TAIL_SHARE, reached

SHARED_MEMORY = Path("/dev/shm")
HEAD = (
    "case",
    "last byte",
    "hashed",
    "of the link",
    "last 5 %",
    "from first idle lane",
    "lanes at most, at the end",
    "changes of lanes",
    "thrown away",
    "leases",
    "CPU a lease",
    "of a core",
    "journals",
    "largest lag of the hash",
)


@dataclass(frozen=True)
class Outcome:
    """Of one run. Times in seconds of the model's clock, but for cpu_s, which the decisions really took."""

    case: Case
    last_byte_s: float
    hashed_s: float
    tail_s: float
    """From 95 % of the bytes to the last one."""
    idle_s: float
    """From the first lane with nothing to do to the last byte."""
    lanes: tuple[tuple[float, int], ...]
    """When their number changed, and to what."""
    discarded_bytes: int
    leases: int
    cpu_s: float
    journal_bytes: int
    lag_bytes: float

    @property
    def link_share(self) -> float | None:
        """The rate to the last byte, of what the link could give."""
        total, size = self.case.link.total, self.case.pull.size * self.case.pull.files
        return size / self.last_byte_s / total if total != UNLIMITED else None


def play(case: Case, seed: int = 0) -> Outcome:
    """Run a case to its end; journals are really written, to memory where there is a folder for that."""
    memory = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="perf-", dir=memory) as folder:
        world = World(case.link, case.pull, seed, partial(File, folder=Path(folder))).run()
    decider = world.decider
    late = reached(world.came_over_time, TAIL_SHARE * case.pull.size * case.pull.files)
    idle_at = decider.first_idle_at if decider.first_idle_at is not None else world.last_byte_at
    return Outcome(
        case,
        world.last_byte_at,
        world.now,
        max(0.0, world.last_byte_at - (late or 0.0)),
        max(0.0, world.last_byte_at - idle_at),
        tuple(world.lanes_over_time),
        world.discarded,
        decider.cost.leases,
        decider.cost.seconds,
        decider.journal_bytes,
        world.hashing.largest_lag,
    )


def table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Rows of Markdown."""
    yield f"| {' | '.join(HEAD)} |"
    yield f"| --- |{' ---: |' * (len(HEAD) - 1)}"
    yield from (f"| {' | '.join(_cells(outcome))} |" for outcome in outcomes)


def _cells(outcome: Outcome) -> list[str]:
    counts = [count for _, count in outcome.lanes]
    share = outcome.link_share
    return [
        outcome.case.name,
        f"{outcome.last_byte_s:.1f} s",
        f"{outcome.hashed_s:.1f} s" if outcome.case.pull.hash_bytes_s else "–",
        f"{share:.0%}" if share is not None else "–",
        f"{outcome.tail_s:.2f} s",
        f"{outcome.idle_s:.2f} s",
        f"{max(counts)}, {counts[-1]}",
        f"{len(counts) - 1}",
        _size(outcome.discarded_bytes),
        f"{outcome.leases}",
        f"{1e6 * outcome.cpu_s / outcome.leases:.0f} µs",
        f"{outcome.cpu_s / outcome.last_byte_s:.1%}",
        _size(outcome.journal_bytes),
        _size(outcome.lag_bytes) if outcome.case.pull.hash_bytes_s else "–",
    ]


def _size(nbytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if nbytes < 1000:
            return f"{nbytes:.3g} {unit}"
        nbytes /= 1000
    return f"{nbytes:.3g} TB"
