"""Which lanes to give up on, and when to give up altogether. Pure: figures in, decisions out."""

from collections import deque
from collections.abc import Sequence
from typing import Literal

import msgspec

SLOW_AFTER_S = 0.5
SLOW_SHARE = 0.3
_WINDOW_S = 3.0


class Pulse:
    """The receive rate of one lane, over the last three seconds at most."""

    def __init__(self, now: float, received: int) -> None:
        self._samples: deque[tuple[float, int]] = deque([(now, received)])

    def sample(self, now: float, received: int) -> None:
        self._samples.append((now, received))
        while len(self._samples) > 2 and self._samples[1][0] <= now - _WINDOW_S:
            self._samples.popleft()

    @property
    def rate_bytes_s(self) -> float:
        return self.rate_over(_WINDOW_S)

    def rate_over(self, seconds: float) -> float:
        """Bytes a second in so many seconds before the last sample, or in what there is of them."""
        t1, n1 = self._samples[-1]
        older = (sample for sample in reversed(self._samples) if t1 - sample[0] >= seconds)
        t0, n0 = next(older, self._samples[0])
        return (n1 - n0) / (t1 - t0) if t1 > t0 else 0.0


class LaneView(msgspec.Struct, frozen=True):
    """A lane at work, as its judge sees it."""

    lease: int
    age_s: float
    """Since its body began; 0 while it waits for one."""
    silent_s: float
    rate_bytes_s: float
    is_waiting: bool
    """For the first byte."""
    is_throttled: bool
    is_writing: bool = False
    """At the disk."""


class Verdict(msgspec.Struct, frozen=True):
    """Take this lease away from its lane."""

    lease: int
    kind: Literal["stalled", "slow"]
    after_s: float


def judge(
    lanes: Sequence[LaneView],
    finished_rates: Sequence[float],
    stall_timeout_s: float,
    *,
    first_byte_s: float,
    is_limited: bool,
    slow_after_s: float = SLOW_AFTER_S,
) -> list[Verdict]:
    """Stalled: no byte for stall_timeout_s, or first_byte_s before the first. Slow: after slow_after_s under
    three tenths of the median, lanes that have finished included. Waiting for our own rate limiter or the disk is
    neither, and where the disk holds up half of the lanes, nobody's rate is its connection's. Nor is one of several
    slow where none gets more: that is the line."""
    verdicts = []
    rates = [lane.rate_bytes_s for lane in lanes if lane.age_s >= slow_after_s] + list(finished_rates)
    is_limited = is_limited or 2 * sum(lane.is_writing for lane in lanes) >= len(lanes)
    typical = median(rates) if len(rates) >= 3 and not is_limited else 0.0
    if len(lanes) > 1 and all(lane.rate_bytes_s < SLOW_SHARE * typical for lane in lanes):
        typical = 0.0
    for lane in lanes:
        limit = first_byte_s if lane.is_waiting else stall_timeout_s
        if lane.is_throttled or lane.is_writing:
            continue
        if lane.silent_s > limit:
            verdicts.append(Verdict(lane.lease, "stalled", lane.silent_s))
        elif lane.age_s >= slow_after_s and lane.rate_bytes_s < SLOW_SHARE * typical:
            verdicts.append(Verdict(lane.lease, "slow", lane.age_s))
    return verdicts


def median(figures: Sequence[float]) -> float:
    """The middle one; of an even number the upper. 0 of none. (statistics would cost a pull 5 ms of imports.)"""
    return sorted(figures)[len(figures) // 2] if figures else 0.0


class Attempts:
    """Counts failures of one file: anew once it got further than ever, and once per round of leases, so that
    eight lanes which lose one server count as one failure."""

    def __init__(self, allowed: int) -> None:
        self.allowed = allowed
        self.count = 0
        self.round = 0
        self.furthest = 0

    def failed(self, round_of_lease: int, furthest: int) -> bool:
        """Note a failure. True if it counts as a new one."""
        if round_of_lease < self.round:
            return False
        self.round += 1
        if furthest > self.furthest:
            self.furthest = furthest
            self.count = 0
        self.count += 1
        return True

    @property
    def are_exhausted(self) -> bool:
        return self.count > self.allowed
