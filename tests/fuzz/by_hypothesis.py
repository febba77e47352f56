"""Fuzzing by Hypothesis: documents made by their grammar, and a finding made small before it is told."""

import time
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

from tests.fuzz.bounds import bounded, guarded
from tests.fuzz.corpus import seeds
from tests.fuzz.inputs import inputs
from tests.fuzz.target import Target

_ROUND = 400
"""Examples between two looks at the clock."""


class Found(Exception):
    """An input that brought out what its target does not declare: the cause of this."""

    def __init__(self, data: bytes) -> None:
        super().__init__(f"{len(data)} bytes: {data[:300]!r}")
        self.data = data


def examples(target: Target, count: int) -> None:
    """So many, the same in every run. Raises Found."""
    with guarded(), target.opened() as run:
        _round(target, run, derandomize=True, max_examples=count)


def for_seconds(target: Target, seconds: float) -> int:
    """As many as there is time for, others in every run; how many there were. Raises Found."""
    end, count = time.monotonic() + seconds, 0
    with guarded(), target.opened() as run:
        while time.monotonic() < end:
            count += _round(target, run, derandomize=False, max_examples=_ROUND)
    return count


def _round(target: Target, run: Any, **options: Any) -> int:
    count, last = 0, b""

    @settings(
        **options,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(target, list(seeds(target.name).values())))
    def judge(data: bytes) -> None:
        nonlocal count, last
        count, last = count + 1, data
        try:
            with bounded():
                run(data)
        except BaseException as exc:
            if isinstance(exc, KeyboardInterrupt):
                raise
            raise Found(data) from exc

    judge = judge if options["derandomize"] else seeded(time.time_ns())(judge)
    judge()
    return count
