"""`python -m tests.fuzz`: every target for a while, or one; by Hypothesis, or by atheris where that is installed.

Each target has a process of its own, so that memory and coverage are its own. The exit code is 1 where something was
found; the input is kept in the corpus, and `tests/fuzz/test_corpus.py` is red until it is mended.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.fuzz import measure


def main() -> int:
    asked = _arguments()
    if asked.one:
        return _one(asked)
    names = asked.target or _names()
    with ThreadPoolExecutor(asked.jobs) as pool:
        results = list(zip(names, pool.map(lambda name: _in_own_process(name, asked), names), strict=True))
    if asked.coverage:
        print(measure.table([(name, found["modules"]) for name, (_, found) in results if found]))
    return int(any(code for _, (code, _) in results))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "--target", action="append", metavar="NAME", help=f"all unless told: {', '.join(_names())}"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target (default: 60)")
    parser.add_argument("--jobs", type=int, default=1, help="targets side by side (default: 1)")
    parser.add_argument("--engine", choices=["hypothesis", "atheris"], default="hypothesis")
    parser.add_argument(
        "--coverage", action="store_true", help="branches reached in each target's own modules"
    )
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _names() -> list[str]:
    """Without importing the engine here, which instruments may have to see."""
    code = "from tests.fuzz.targets import TARGETS; print(*TARGETS)"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()


def _in_own_process(name: str, asked: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    """Exit code, and what the process says of itself in its last line."""
    options = ["--one", "--target", name, "--seconds", str(asked.seconds), "--engine", asked.engine]
    options += ["--coverage"] if asked.coverage else []
    # In memory where there is room for it, and gone afterwards, however the process ends.
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as scratch:
        command = [sys.executable, "-m", "tests.fuzz", *options]
        environ = {**os.environ, "TMPDIR": scratch, "JARVIS_HOME": f"{scratch}/home"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    *_, last = done.stdout.splitlines() or [""]
    found: dict[str, Any] = json.loads(last) if last.startswith("{") else {}
    units = re.search(r"number_of_executed_units: (\d+)", done.stderr)  # libFuzzer's own words
    said = found.get("said") or (
        f"{units[1]} inputs, no fault" if units and not done.returncode else done.stderr[-2000:]
    )
    print(f"{name:16} {said}", flush=True)
    return done.returncode, found


def _one(asked: argparse.Namespace) -> int:
    """A target, in this process."""
    begun, name = time.monotonic(), asked.target[0]
    watch = measure.start() if asked.coverage else None
    if asked.engine == "atheris":
        from tests.fuzz import by_atheris

        with by_atheris.instrument():
            from tests.fuzz.targets import TARGETS
        by_atheris.for_seconds(TARGETS[name], asked.seconds)  # does not come back
    from tests.fuzz.by_hypothesis import Found, for_seconds
    from tests.fuzz.corpus import keep
    from tests.fuzz.targets import TARGETS

    code, modules = 0, {}
    try:
        said = f"{for_seconds(TARGETS[name], asked.seconds)} inputs in {time.monotonic() - begun:.0f} s, no fault"
    except Found as exc:
        code, said = (
            1,
            f"{type(exc.__cause__).__name__}: {exc.__cause__}: {exc}, kept as {keep(name, exc.data)}",
        )
    if watch is not None:
        modules = measure.stop(watch, TARGETS[name].modules)
    print(json.dumps({"said": said, "modules": modules}))
    return code


if __name__ == "__main__":
    sys.exit(main())
