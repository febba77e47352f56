"""How many connections a pull takes on a real link, what it remembers of that, and slow ones among them."""

import json
from collections.abc import Callable
from typing import Any

from tests.command import Result
from tests.integration.trial import MIB, Trial
from tests.origin import Record

SIZE = 64 * MIB
RATE = MIB
"""Of one connection, a second: four would take sixteen seconds, 32 take two."""


def logged(trial: Trial, event: str) -> list[dict[str, Any]]:
    lines = map(json.loads, (trial.target.parent / "log.jsonl").read_text().splitlines())
    return [line for line in lines if line["event"] == event]


def pull(trial: Trial) -> Result:
    log = trial.target.parent / "log.jsonl"
    log.unlink(missing_ok=True)
    return trial.command.run(
        "pull", trial.url, "-o", trial.target, "--segment-size", MIB // 4, "--log-file", log
    ).check()


def test_capped_connections_get_many_and_the_next_pull_begins_there(try_file: Callable[..., Trial]) -> None:
    """Each connection brings as much as the first, so the number climbs to the ceiling, and is remembered."""
    trial = try_file(SIZE)
    trial.origin.fault("slow", rate=RATE)
    pull(trial)
    assert [line["lanes"] for line in logged(trial, "lanes.counted")] == [16, 32]
    trial.assert_exact()
    trial.target.unlink()
    pull(trial)
    assert [line for line in logged(trial, "lanes.counted") if line["before"] < 32] == []
    assert len({line["lane"].split(" lease=")[0] for line in logged(trial, "lease.sent")}) == 32


def test_slow_connections_among_fast_ones_hold_nothing_up(try_file: Callable[..., Trial]) -> None:
    """A third of them gets a twenty-fifth: they are replaced or relieved, and little is fetched twice."""
    trial = try_file(SIZE // 2)

    def is_slow(record: Record) -> bool:
        return record.connection % 3 == 0

    trial.origin.fault("slow", rate=RATE // 25, when=is_slow)
    trial.origin.fault("slow", rate=RATE, when=lambda record: not is_slow(record))
    result = pull(trial)
    assert result.seconds < 8, "a slow connection needs six seconds for one segment"
    assert trial.origin.bytes_sent() <= SIZE // 2 + 4 * MIB
    trial.assert_exact()
