"""Ctrl-C in a program that uses the library: whenever it comes, nothing is left behind in that process."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.origin import File, Origin, Pattern

PROGRAM = """
import random, signal, sys, threading
import psutil
from engine import ModelDownloader

url, processes, longest, tries = sys.argv[1], *map(float, sys.argv[2:5])
signal.signal(signal.SIGALRM, signal.default_int_handler)  # Ctrl-C's own handler, by a timer
downloader = ModelDownloader("models")
downloader.processes = int(processes)
this, dice, struck = psutil.Process(), random.Random(7), 0
downloader.download("m", url, "warm")
before = this.num_fds()
for number in range(int(tries)):
    signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.0002, longest))
    try:
        downloader.download("m", url, f"f{number}")
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        struck += 1
        downloader.download("m", url, f"f{number}")
names = [thread.name for thread in threading.enumerate()]
print(struck, this.num_fds() - before, names, [child.status() for child in this.children()])
"""


@pytest.mark.parametrize(("processes", "longest", "tries"), [(0, 0.04, 40), (1, 0.2, 12)])
@pytest.mark.row("process/sigint")
def test_an_interrupt_leaves_nothing_behind(
    origin_factory: Callable[..., Origin],
    home: Path,
    tmp_path: Path,
    processes: int,
    longest: float,
    tries: int,
) -> None:
    """No lock, so that the same call goes on at once; no thread, no descriptor, no process."""
    origin = origin_factory({"m.gguf": File(Pattern(300_000, 3), pace=30_000_000)})
    words = [sys.executable, "-c", PROGRAM, origin.url("m.gguf"), str(processes), str(longest), str(tries)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    struck, rest = done.stdout.split(" ", 1)
    assert rest.strip() == "0 ['MainThread'] []"
    assert int(struck) > tries // 4
    assert done.stderr == ""
