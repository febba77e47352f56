"""How many connections a pull takes on a real link, what it remembers of that, and slow ones among them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.transfer.lane_memory import LaneMemory
from tests.integration.trial import MIB, Trial, wait_until
from tests.origin import Record

SIZE = 32 * MIB
RATE = MIB
"""Of one connection, a second."""


def logged(trial: Trial, event: str) -> list[dict[str, Any]]:
    log = trial.target.parent / "log.jsonl"
    text = log.read_text() if log.exists() else ""
    lines = map(json.loads, text[: text.rfind("\n") + 1].splitlines())
    return [line for line in lines if line["event"] == event]


def arguments(trial: Trial) -> tuple[object, ...]:
    log = trial.target.parent / "log.jsonl"
    return ("pull", trial.url, "-o", trial.target, "--segment-size", MIB // 4, "--log-file", log)


def test_capped_connections_get_many_and_the_next_pull_begins_there(
    try_file: Callable[..., Trial], tmp_path: Path
) -> None:
    """Each connection brings as much as the first, so the number climbs to the ceiling, and is remembered."""
    trial = try_file(1 << 30)
    trial.origin.fault("slow", rate=RATE)
    home = tmp_path / "home"
    memory = LaneMemory(home / "lanes", trial.url)
    first = trial.command.spawn(*arguments(trial), env={"JARVIS_HOME": str(home)})
    wait_until(lambda: memory.recall() == 32, "32 lanes to have proved themselves", timeout_s=30)
    first.interrupt_group()
    first.wait().check(130)
    assert [line["lanes"] for line in logged(trial, "lanes.counted")] == [16, 32]

    (trial.target.parent / "log.jsonl").unlink()
    second = trial.command.spawn(*arguments(trial), env={"JARVIS_HOME": str(home)})
    wait_until(lambda: lanes_at_work(trial) == 32, "all of them to work", timeout_s=30)
    second.interrupt_group()
    second.wait().check(130)
    assert [line for line in logged(trial, "lanes.counted") if line["before"] < 16] == []


def lanes_at_work(trial: Trial) -> int:
    return len({line["lane"].split(" lease=")[0] for line in logged(trial, "lease.sent")})


def test_slow_connections_among_fast_ones_hold_nothing_up(try_file: Callable[..., Trial]) -> None:
    """A third of them gets next to nothing: they are replaced or relieved, and little is fetched twice."""
    trial = try_file(SIZE)

    def is_slow(record: Record) -> bool:
        return record.connection % 3 == 0

    trial.origin.fault("slow", rate=RATE // 250, when=is_slow)
    trial.origin.fault("slow", rate=RATE, when=lambda record: not is_slow(record))
    result = trial.command.run(*arguments(trial)).check()
    assert result.seconds < 30, "a slow connection needs a minute for one segment"
    assert trial.origin.bytes_sent() <= SIZE + 4 * MIB
    trial.assert_exact()
