"""Many ordeals, a few at a time, until there have been enough kills."""

import itertools
import threading
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.command import Command
from tests.torture.dice import SIZES, Case, draw
from tests.torture.ordeal import Ordeal
from tests.torture.tally import Tally

_NOT_INHERITED = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


class Run:
    """Cases of one seed. At a time `jobs` of them, each with an origin of its own."""

    def __init__(self, command: Command, folder: Path, seed: int, sizes: Sequence[int] = SIZES) -> None:
        self._command = command
        self._folder = folder
        self._env = {**dict.fromkeys(_NOT_INHERITED), "JARVIS_HOME": str(folder / "home")}
        self._cases = (draw(seed, number, sizes) for number in itertools.count())
        self._lock = threading.Lock()
        self.tally = Tally(seed)

    def until(self, kills: int, jobs: int) -> Tally:
        """Until so many kills have counted; all cases that were begun are brought to their ends."""
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(lambda _: self._work(kills), range(jobs)))
        return self.tally

    def one(self, case: Case) -> Tally:
        """This case alone."""
        self._suffer(case)
        return self.tally

    def _work(self, kills: int) -> None:
        for case in self._next_cases():
            if self.tally.counted >= kills:
                return
            self._suffer(case)

    def _next_cases(self) -> Iterator[Case]:
        while True:
            with self._lock:
                case = next(self._cases)
            yield case

    def _suffer(self, case: Case) -> None:
        try:
            Ordeal(case, self._command, self._env, self._folder, self.tally).run()
        except Exception:
            self.tally.violation(case, f"the judge himself failed: {traceback.format_exc()}")
