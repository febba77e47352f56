"""`python -m tests.torture`: pulls that are killed again and again; see README.md."""

import argparse
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.command import ROOT, Command
from tests.origin.__main__ import size_of
from tests.starter import Starter
from tests.torture.dice import SIZES, draw
from tests.torture.run import Run


def main() -> int:
    options = _arguments()
    seed = random.SystemRandom().randrange(1 << 20) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    started = time.monotonic()
    # Commands inherit what is ignored here, as it is by nohup and in the background of a script.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="torture-") as name, Starter(ROOT) as starter:
        folder = Path(name)
        command = Command(folder, starter)
        run = Run(command, folder, seed, options.sizes)
        try:
            if options.case is not None:
                tally = run.one(draw(seed, options.case, options.sizes))
            else:
                tally = run.until(options.kills, options.jobs)
        finally:
            command.kill_all()
    print("\n".join(tally.lines()))
    print(f"{time.monotonic() - started:.0f} s")
    return 1 if tally.violations else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="that hit while 1 to 99 %% of a file is held")
    parser.add_argument("--seed", type=int, help="of everything; without it a new one, which is printed")
    parser.add_argument("--sizes", type=size_of, nargs="+", default=SIZES, help="of files, as 65537 or 8M")
    parser.add_argument("--jobs", type=int, default=4, help="files at a time")
    parser.add_argument("--case", type=int, help="only the case of this number, to see a finding again")
    return parser.parse_args()


sys.exit(main())
