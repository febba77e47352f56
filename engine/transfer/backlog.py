"""The jobs that have not begun, in order; those of several origins take turns, so that a silent one does not hold up
the others. Pure, and cheap however many there are: a number for each.

Of jobs that share a part, as files of one content do, each comes after the one before: the lock that it would wait
for is our own.
"""

from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path

from engine.transfer.job import Job
from engine.transport.auth import origin_of


class Backlog:
    """Numbers are places in the list of jobs."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._order = _by_turns([origin_of(job.remote.url) for job in jobs])
        self._next = 0
        self._freed: deque[int] = deque()
        """Their part was another one's when their turn came; it is free now."""
        self._behind: dict[Path, deque[int]] = {}
        """Parts that are taken, and who comes after."""
        self.count = len(jobs)
        self.known_bytes = sum(job.remote.size or 0 for job in jobs)
        """Sizes of those that have not begun, as far as they are known."""

    def __bool__(self) -> bool:
        return self.count > 0

    def __repr__(self) -> str:
        return f"<Backlog {self.count} of {len(self._jobs)}>"

    def take(self) -> int | None:
        """The next job that may begin; its part is taken until `release`. None where none may."""
        number = self._freed.popleft() if self._freed else self._next_free()
        if number is not None:
            self.count -= 1
            self.known_bytes -= self._jobs[number].remote.size or 0
        return number

    def release(self, number: int) -> None:
        """The job's part is free again."""
        part = self._jobs[number].partial
        followers = self._behind.pop(part)
        if followers:
            self._freed.append(followers.popleft())
            self._behind[part] = followers

    def _next_free(self) -> int | None:
        while self._next < len(self._jobs):
            number = self._order[self._next]
            part = self._jobs[number].partial
            self._next += 1
            if part not in self._behind:
                self._behind[part] = deque()
                return number
            self._behind[part].append(number)
        return None


def _by_turns(origins: Sequence[str]) -> Sequence[int]:
    """Places, first the first of each origin, then the second of each, and so on."""
    seen = Counter[str]()
    turns = []
    for origin in origins:
        turns.append(seen[origin])
        seen[origin] += 1
    return range(len(origins)) if len(seen) < 2 else sorted(range(len(origins)), key=turns.__getitem__)
