"""The ways that lead to the origin: straight, far away, through a stall, behind a capped cable."""

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from perf import namespace, servers
from perf.delay import delayed
from perf.scenarios import Scenario
from perf.servers import Origin
from perf.stall import StallPoint, stalling


@dataclass
class Way:
    """Where a run goes to, and what befell it there."""

    origin: Origin
    facts: dict[str, Any] = field(default_factory=dict)
    stall: StallPoint | None = None

    @property
    def problem(self) -> str | None:
        """Why the run says nothing about its scenario."""
        is_missing = (
            self.stall is not None and "stalled_at_bytes" in self.facts and not self.stall.has_happened
        )
        return "the stall never came" if is_missing else None


def why_impossible(scenario: Scenario) -> str | None:
    """Why this machine has no such link; None if it has."""
    return namespace.why_impossible() if scenario.cap_bytes_s else None


@contextlib.contextmanager
def way_to(origin: Origin, scenario: Scenario, folder: Path, *, is_spared: bool) -> Iterator[Way]:
    """The scenario's link for one run. folder: empty, for a server of its own. is_spared: the same way, no stall."""
    if scenario.cap_bytes_s:
        with (
            namespace.capped(scenario.cap_bytes_s) as inside,
            servers.serve(folder, inside, origin.files) as capped,
        ):
            yield Way(capped)
    elif scenario.round_trip_s:
        with delayed(origin.http_port, scenario.round_trip_s) as port:
            yield Way(replace(origin, http_port=port))
    elif scenario.stalls:
        where = (
            None if is_spared else random.randint(scenario.size_bytes // 10, scenario.size_bytes * 9 // 10)
        )
        point = StallPoint(where)
        with stalling(origin.http_port, point) as port:
            facts: dict[str, Any] = {} if where is None else {"stalled_at_bytes": where}
            yield Way(replace(origin, http_port=port), facts, point)
    else:
        yield Way(origin)
