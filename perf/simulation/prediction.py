"""How well the model foretells what was really measured (pure but for the model's own runs).

A predicted run is the model's time from the first request to the last byte's hash, and the time that `jarvis pull`
of 1 KiB takes in the same results: everything that is not the link. The model has no processor: what the machine can
carry and hash, as the scenario without any cap shows in the same results, is the most of every link. Nothing is fitted
to a scenario.
"""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from perf import results
from perf.results import Result
from perf.simulation import cases
from perf.simulation.cases import Case
from perf.simulation.links import UNLIMITED
from perf.simulation.outcome import play

BOUND = 0.15
_UNCAPPED = "http-2g-sha256"
_TOOLS = {"stall": "jarvis unstalled"}
_DRAWS = 41
"""Runs of the model for a scenario; which edges a pull meets is chance."""


@dataclass(frozen=True)
class Prediction:
    """Medians, in seconds."""

    scenario: str
    measured: tuple[float, ...]
    predicted: tuple[float, ...]
    load: float
    """Of the machine while it was measured: processes that ran or wanted to, by the kernel's count over a minute."""

    @property
    def off(self) -> float:
        """By how much of the measured time the prediction is too long."""
        return statistics.median(self.predicted) / statistics.median(self.measured) - 1

    @property
    def is_within(self) -> bool:
        return abs(self.off) <= BOUND


def startup_s(found: Sequence[Result]) -> float | None:
    """What a pull takes besides the link, from exec to exit."""
    times = _times(found, "tiny")
    return statistics.median(times) if times else None


def ceiling_bytes_s(found: Sequence[Result]) -> float:
    """What the machine carries and hashes where no link is in the way."""
    times = _times(found, _UNCAPPED)
    sizes = [block["size_bytes"] for one in found if (block := results.block(one, _UNCAPPED))]
    return sizes[0] / (statistics.median(times) - (startup_s(found) or 0.0)) if times else UNLIMITED


def _under(ceiling: float, case: Case) -> Case:
    return replace(case, link=replace(case.link, total=min(case.link.total, ceiling)))


def predictions(found: Sequence[Result]) -> list[Prediction]:
    """Of all scenarios that are in the results. Raises ValueError where the start-up time was not measured."""
    besides = startup_s(found)
    if besides is None:
        raise ValueError("no run of the scenario tiny: it tells what a pull takes besides the link")
    ceiling = ceiling_bytes_s(found)
    return [
        Prediction(
            name,
            times,
            tuple(besides + play(_under(ceiling, case), seed).hashed_s for seed in range(_DRAWS)),
            statistics.median(_of_ours(found, name, "load1") or [0.0]),
        )
        for name, case in cases.measured().items()
        if (times := _times(found, name))
    ]


def _times(found: Sequence[Result], scenario: str) -> tuple[float, ...]:
    return _of_ours(found, scenario, "wall_s")


def _of_ours(found: Sequence[Result], scenario: str, key: str) -> tuple[float, ...]:
    """From timed runs of our own command, with the default settings or those that the scenario is about."""
    return tuple(
        value
        for result in found
        if (block := results.block(result, scenario)) and block["as_specified"]
        for tool in [
            next(name for name in block["commands"] if name.startswith(_TOOLS.get(scenario, "jarvis")))
        ]
        for value in results.values(block, tool, key)
    )


def lines(rows: Sequence[Prediction]) -> Iterator[str]:
    """Rows of Markdown."""
    yield "| scenario | measured | least to most | load | predicted | least to most | off by | |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    for row in rows:
        cells = [
            row.scenario,
            *_figures(row.measured),
            f"{row.load:.1f}",
            *_figures(row.predicted),
            f"{row.off:+.1%}",
        ]
        yield f"| {' | '.join(cells)} | {'within' if row.is_within else '**outside**'} {BOUND:.0%} |"


def _figures(values: Sequence[float]) -> tuple[str, str]:
    return f"{statistics.median(values):.2f} s", f"{min(values):.2f} to {max(values):.2f}"
