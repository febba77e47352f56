"""Killed at half, run again: what the server sent twice, and how soon the second run asked for something."""

import threading
import time
from pathlib import Path
from typing import Any

from perf import measure, ranges
from perf.measure import Run
from perf.payload import allocated_bytes
from perf.servers import Origin

SEGMENT_BYTES = 8 << 20  # the engine's default segment


def kill_and_resume(
    argv: list[str],
    env: dict[str, str],
    log: Path,
    target: Path,
    origin: Origin,
    timeout_s: float,
    size_bytes: int,
) -> tuple[dict[str, Any], str | None]:
    """(facts, problem). The started process alone gets SIGKILL, once half of the file lies at the target.

    The same command is started at once, while the first one's workers may still be dying.
    """
    origin.paced_log.write_bytes(b"")
    first = Run(argv, env, log)
    half = size_bytes // 2
    measure.wait_until(lambda: first.is_over() or allocated_bytes(target.parent) >= half, timeout_s)
    if first.is_over():
        return {}, f"ended before half of the file was there: exit {first.wait(1).code}"
    first.kill()
    second = Run(argv, env, log)
    orphans = _Orphans(first.pid)
    done = second.wait(timeout_s)
    orphans.join()
    killed = first.wait(5)
    if not origin.wait_idle():
        return {}, "the server still holds connections"
    requests = ranges.parse(origin.paced_log.read_text().splitlines())
    after = [request for request in requests if request.began >= second.started_at]
    before = [request for request in requests if request.began < second.started_at]
    if not before or not after:
        return {}, f"{len(before)} requests before the kill, {len(after)} after it: nothing to compare"
    facts = {
        "wall_s": done.wall_s,
        "user_s": done.user_s,
        "sys_s": done.sys_s,
        "leftovers": done.leftovers + killed.leftovers,
        "orphans_gone_s": orphans.gone_s,
        "first_request_s": max(0.0, min(request.began for request in after) - second.started_at),
        **compare(before, after),
    }
    return facts, None if done.code == 0 else f"exit {done.code} of the second run"


def compare(before: list[ranges.Request], after: list[ranges.Request]) -> dict[str, float]:
    """What the requests before and after the kill say; refetched_share is 1.0 at one segment for each lane."""
    lanes = ranges.peak_connections(before)
    again = ranges.sent_again(before, after)
    return {
        "lanes": lanes,
        "sent_first_bytes": sum(stop - start for start, stop in ranges.delivered(before)),
        "sent_second_bytes": sum(request.sent_bytes for request in after),
        "refetched_bytes": again,
        "refetched_share": again / (lanes * SEGMENT_BYTES),
    }


class _Orphans(threading.Thread):
    """Watches how long what a killed process left behind stays alive, at most 5 s."""

    def __init__(self, leader: int) -> None:
        super().__init__(name="orphans")
        self._leader = leader
        self._killed_at = time.monotonic()
        self.gone_s = 0.0
        self.start()

    def run(self) -> None:
        measure.wait_until(lambda: not measure.session_pids(self._leader), 5.0)
        self.gone_s = time.monotonic() - self._killed_at
