"""Fuzzing by Hypothesis: documents made by their grammar, and a finding made small before it is told."""

import time
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

from tests.fuzz.bounds import bounded, guarded
from tests.fuzz.corpus import seeds
from tests.fuzz.inputs import inputs
from tests.fuzz.target import Run, Target

_ROUND = 100
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
    """The seeds, and as many others as there is time for, new ones in every run; how many there were. Raises Found."""
    end, count = time.monotonic() + seconds, 0
    with guarded(), target.opened() as run:
        for data in seeds(target.name).values():
            _judge(run, data)
            count += 1
        while time.monotonic() < end:
            count += _round(target, run, derandomize=False, max_examples=_ROUND)
    return count


def _judge(run: Run, data: bytes) -> None:
    try:
        with bounded():
            run(data)
    except KeyboardInterrupt:
        raise
    except BaseException as exc:
        raise Found(data) from exc


def _round(target: Target, run: Run, **options: Any) -> int:
    count = 0

    @settings(
        **options,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(target, list(seeds(target.name).values())))
    def judge(data: bytes) -> None:
        nonlocal count
        count += 1
        _judge(run, data)

    judge = judge if options["derandomize"] else seeded(time.time_ns())(judge)
    judge()
    return count
