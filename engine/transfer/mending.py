"""What to do when content is complete and its digest is wrong: find out who is to blame, and mend it if that works.

(1) Every segment is read back and compared with its xxh3: where the two differ, the disk lied, and those are fetched
again. (2) The source is asked again what it publishes: if that has changed, say so. (3) A sample of segments is fetched
once more (all of them for small files or with --repair); if any differs, the way here is to blame and all are fetched.
Then the digest decides once more. Each step is taken once. Pure.
"""

from typing import Literal

from engine.spans import Grid

SAMPLE_SEGMENTS = 8
SMALL_BYTES = 2 << 30

Step = Literal["reread", "ask", "sample", "all", "give up"]


class Mending:
    """Which step comes next for one file."""

    def __init__(self, grid: Grid, *, repair: bool, is_stream: bool) -> None:
        self._grid = grid
        self._takes_all = repair or grid.size <= SMALL_BYTES or is_stream
        self._done: list[Step] = []
        self._before: dict[int, int] = {}
        self.differing: set[int] = set()
        """Segments that came differently the second time."""

    def next_step(self) -> Step:
        """The next step after a wrong digest; call once for each time that it was found wrong."""
        if "reread" not in self._done:
            step: Step = "reread"
        elif "ask" not in self._done:
            step = "ask"
        elif "all" in self._done or not self._grid.size:
            step = "give up"  # what has no bytes cannot be fetched again
        elif self._takes_all or self.differing:
            step = "all"
        elif "sample" in self._done:
            step = "give up"
        else:
            step = "sample"
        self._done.append(step)
        return step

    def refetch(self, step: Step, checks: dict[int, int]) -> list[int]:
        """The segments to fetch again for "sample" or "all"; their present checks are remembered."""
        count = self._grid.count
        if step == "all":
            chosen = list(range(count))
        else:
            chosen = sorted({round(i * (count - 1) / (SAMPLE_SEGMENTS - 1)) for i in range(SAMPLE_SEGMENTS)})
        self._before = {index: checks[index] for index in chosen}
        return chosen

    def arrived(self, index: int, check: int) -> None:
        """A segment was fetched again."""
        if self._before.get(index, check) != check:
            self.differing.add(index)
