"""What is forked off the starter is a command like any other."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from tests.command import ENTRY, ROOT, Command
from tests.origin import Origin
from tests.starter import Starter


def test_the_same_as_from_an_interpreter(command: Command) -> None:
    """Output, error and exit code of a command do not depend on how it was started."""
    for words in (("--version",), ("pull",), ("list", "--json"), ("verify", "nothing")):
        forked, started = command.run(*words), command.run(*words, entry=ENTRY)
        assert (forked.code, forked.stdout, forked.stderr) == (started.code, started.stdout, started.stderr)


def test_a_process_of_its_own(
    origin_factory: Callable[..., Origin], command: Command, tmp_path: Path
) -> None:
    """It leads a session, has its own folder, environment and no descriptor of others, and a kill shows as its code."""
    origin = origin_factory({"m": b"x" * 1000})
    origin.fault("hang_before_headers")
    others = [command.spawn("pull", origin.url("m"), "-o", tmp_path / f"{n}", "-p", 0) for n in range(2)]
    running = command.spawn(
        "pull", origin.url("m"), "-d", "here", "-p", 0, env={"HF_TOKEN": "x"}, cwd=tmp_path
    )
    origin.wait_fired("hang_before_headers", 3)
    assert os.getsid(running.pid) == running.pid
    assert Path(f"/proc/{running.pid}/cwd").readlink() == tmp_path
    pipes = [Path(f"/proc/{other.pid}/fd/1").stat().st_ino for other in others]
    open_files = [path.stat().st_ino for path in Path(f"/proc/{running.pid}/fd").iterdir()]
    assert not set(pipes) & set(open_files)
    running.kill()
    assert running.wait().code == -signal.SIGKILL


def test_what_concerns_python_itself_starts_an_interpreter(starter: Starter, home: Path) -> None:
    """A variable that Python reads when it starts cannot be handed to one that has started."""
    same = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert starter.start(["--version"], {**same, "PYTHONUTF8": "0"}, home.parent, False) is None
    forked = starter.start(["--version"], same, home.parent, False)
    assert forked is not None and forked.wait(20) == 0
    with forked.stdout, forked.stderr:
        assert forked.stdout.read().startswith(b"jarvis")
