"""Fuzzing by atheris (libFuzzer): mutations that go where branches are. Optional: there are wheels for CPython 3.11.

libFuzzer never comes back from its loop, so each target has a process of its own; see __main__.py.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.fuzz.bounds import bounded, guarded
from tests.fuzz.corpus import ROOT, keep
from tests.fuzz.target import Target


def instrument() -> Any:
    """To be called before the engine is imported: a context in which that is made to tell its branches."""
    import atheris

    return atheris.instrument_imports(include=["engine"])


def for_seconds(target: Target, seconds: float) -> None:
    """Ends the process."""
    import atheris

    with tempfile.TemporaryDirectory() as scratch, guarded(), target.opened() as run:

        def judge(data: bytes) -> None:
            try:
                with bounded():
                    run(data)
            except BaseException as exc:
                print(f"kept as {keep(target.name, data)}", file=sys.stderr)
                raise RuntimeError(f"{type(exc).__name__}: {exc}") from exc

        words = Path(scratch, "words")
        words.write_text(
            "".join('"' + "".join(f"\\x{b:02x}" for b in token) + '"\n' for token in target.tokens if token)
        )
        found = Path(scratch, "corpus")
        found.mkdir()
        options = [f"-dict={words}", f"-max_total_time={int(seconds)}", "-max_len=65536", "-timeout=20"]
        quiet = ["-rss_limit_mb=0", "-print_final_stats=1", f"-artifact_prefix={scratch}/"]
        atheris.Setup([sys.argv[0], *options, *quiet, str(found), str(ROOT / target.name)], judge)
        atheris.Fuzz()
