"""`python -m tests.powercut [STATES] [--seed N]`: ten thousand states over all scenes, then every planted mistake."""

import argparse
import math
import signal
import sys
import time
from contextlib import nullcontext

from tests.powercut.plants import ORDER, belief, planted
from tests.powercut.scenes import SCENES, Scene, recorded
from tests.powercut.verdict import Findings, explore

_WHOLE_EVERY = 50
_SHARES = {"small files": 0.2}
"""Of all states, where a scene is to have less than another: one of these has forty files."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.powercut", description=__doc__)
    parser.add_argument("states", nargs="?", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scene", choices=SCENES, action="append", help="only this one")
    arguments = parser.parse_args()
    if (
        signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    ):  # in the background of a script, and inherited from here
        signal.signal(signal.SIGINT, signal.default_int_handler)
    scenes = arguments.scene or list(SCENES)
    total, plants = Findings(), dict[str, Findings]()
    each = arguments.states / sum(_SHARES.get(name, 1.0) for name in scenes)
    for name in scenes:
        with recorded(name) as scene:
            total += _tell(scene, math.ceil(each * _SHARES.get(name, 1.0)), arguments.seed)
            if name == "no digest":
                plants = _plant(scene, math.ceil(each / 5), arguments.seed)
    for name, found in plants.items():
        print(f"planted, {name}: {_words(found)}")
    print(f"all: {_words(total)}")
    return 1 if total.problems else 0


def _tell(scene: Scene, states: int, seed: int) -> Findings:
    started = time.monotonic()
    found = explore(scene, states, seed, _WHOLE_EVERY)
    took = time.monotonic() - started
    print(
        f"{scene.name}: {scene.lines} calls, {len(scene.tape.operations)} operations; {_words(found)}, {took:.0f} s"
    )
    for problem, where in found.first.items():
        print(f"    {problem}, first in {where}", flush=True)
    return found


def _plant(scene: Scene, states: int, seed: int) -> dict[str, Findings]:
    found = {"journal believed": _explore_with(scene, None, states, seed)}
    for name in ORDER:
        found[name] = _explore_with(scene, name, states, seed)
    return found


def _explore_with(scene: Scene, plant: str | None, states: int, seed: int) -> Findings:
    with planted(scene, ORDER[plant]) if plant else nullcontext(), nullcontext() if plant else belief():
        return explore(scene, states, seed)


def _words(found: Findings) -> str:
    problems = ", ".join(f"{count} times {name}" for name, count in found.problems.most_common())
    return (
        f"{found.states} states, {found.whole_pulls} whole pulls, {found.resumed} files resumed, "
        f"{found.anew} from zero; {problems or 'nothing wrong'}"
    )


if __name__ == "__main__":
    sys.exit(main())
