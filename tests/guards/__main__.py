"""Switch guards off, one at a time, each in a copy of the checkout, and see that their tests turn red.

    python -m tests.guards                       all of them
    python -m tests.guards digest redirect       those whose names hold one of these words
    python -m tests.guards --list

First all tests run with every guard on: a test that is red anyway proves nothing. Exit code 1 where a test stays
green without its guard, or is red with it.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.guards.catalogue import GUARDS
from tests.guards.guard import ROOT, Guard

_TIMEOUT_S = 300
_NEEDED = ("engine", "tests", "perf", "docs", "pyproject.toml", "cli.py", "README.md")
_RED = re.compile(r"^(?:FAILED|ERROR) ([^\s\[]+)", re.MULTILINE)


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of what tests need of the checkout."""
    with tempfile.TemporaryDirectory(prefix="guards-") as folder:
        for name in _NEEDED:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "results")
                shutil.copytree(source, Path(folder, name), ignore=ignored)
            else:
                shutil.copy(source, folder)
        yield Path(folder)


def red(root: Path, tests: Iterable[str]) -> tuple[set[str], str]:
    """Which of these tests fail in a copy, for whatever parameters, and what pytest said; all that did not run do not
    count."""
    words = [sys.executable, "-m", "pytest", "-q", "--tb=line", "-rfE", "-p", "no:cacheprovider", "-n", "0"]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [*words, *tests],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return set(), f"not over after {_TIMEOUT_S} s"
    if done.returncode not in (0, 1):  # pytest's codes for a run that was none
        return set(), f"pytest ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return set(_RED.findall(done.stdout)), done.stdout


def judge(guard: Guard) -> list[str]:
    """What is wrong without the guard; empty where all its tests turn red."""
    if faults := guard.faults():
        return faults
    with copied() as root:
        guard.switch_off(root)
        failed, said = red(root, guard.tests)
    green = [test for test in guard.tests if test not in failed]
    return [f"stays green: {test}\n{said if not failed else ''}".rstrip() for test in green]


def run(guards: Sequence[Guard], jobs: int) -> int:
    tests = sorted({test for guard in guards for test in guard.tests})
    with copied() as root:
        failed, said = red(root, tests)
    if failed or " passed" not in said:
        print(f"Red with all guards on:\n{said}")
        return 1
    print(f"{len(tests)} tests are green with all guards on. Without:", flush=True)
    is_good = True
    with ThreadPoolExecutor(jobs) as pool:
        for guard, wrong in zip(guards, pool.map(judge, guards), strict=True):
            print(f"{'GREEN' if wrong else 'red  '} {guard.name} ({guard.file})", flush=True)
            for line in wrong:
                print(f"      {line}")
            is_good = is_good and not wrong
    return 0 if is_good else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.guards", description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="only guards whose names hold one of these")
    parser.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="guards at a time (2)")
    given = parser.parse_args()
    chosen = [g for g in GUARDS if not given.words or any(word in g.name for word in given.words)]
    if given.list:
        for guard in chosen:
            print(f"{guard.name}: {guard.file}, {', '.join(guard.tests)}")
        return 0
    return run(chosen, given.jobs)


if __name__ == "__main__":
    sys.exit(main())
