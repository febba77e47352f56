"""The runner of commands: output, exit codes, signals and ends of real processes."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest

from tests.command import Command, Running

PYTHON = [sys.executable, "-c"]
WAITS = "import time; print('ready', flush=True); time.sleep(60)"
Start = Callable[[str], Running]


@pytest.fixture
def start(command: Command) -> Start:
    """Start a program text in place of the command."""
    return lambda text, *args, **options: command.spawn(text, *args, entry=PYTHON, **options)


def test_output_code_and_events_are_told(command: Command) -> None:
    """A command that ends: its code, both streams apart, and --json's lines as events."""
    text = 'import sys; print(\'{"event": "done", "size": 3}\'); print(\'bar\', file=sys.stderr); sys.exit(5)'
    result = command.run(text, entry=PYTHON)
    assert (result.code, result.stderr) == (5, "bar\n")
    assert result.events_named("done") == [{"event": "done", "size": 3}]
    assert result.check(5) is result
    with pytest.raises(AssertionError, match="exit code 5"):
        result.check()


def test_environment_input_and_folder(command: Command, home) -> None:
    """The test's clean environment is inherited, changed as told; standard input is what was given."""
    text = "import os, sys; print(os.environ['A'], 'PATH' in os.environ, os.environ['JARVIS_HOME'], sys.stdin.read())"
    result = command.run(text, entry=PYTHON, env={"A": "b", "PATH": None}, stdin=b"typed")
    assert result.stdout == f"b False {home} typed\n"


def test_wait_output_then_signal(start: Start) -> None:
    """Output can be waited for while it runs; a signal ends it, and the code says which."""
    running = start(WAITS)
    running.wait_output(lambda out, err: "ready" in out)
    running.send(signal.SIGTERM)
    assert running.wait().code == -signal.SIGTERM


def test_wait_output_that_never_comes_fails(start: Start) -> None:
    """Waiting for words that a command ends without saying is a failure at its end, not at the timeout."""
    started = time.monotonic()
    with pytest.raises(AssertionError, match="no progress"):
        start("print('bye')").wait_output(lambda out, err: "never" in out, "progress", timeout_s=30)
    assert time.monotonic() - started < 10


def test_interrupt_reaches_the_group(start: Start) -> None:
    """As on a terminal, SIGINT goes to the command and its children; neither is left."""
    child = f"subprocess.Popen([sys.executable, '-c', {WAITS!r}])"
    running = start(f"import subprocess, sys; {child}.wait()")
    running.wait_output(lambda out, err: "ready" in out)
    children = running.children()
    assert len(children) == 1
    running.interrupt_group()
    running.wait(10)
    assert psutil.wait_procs(children, 5)[1] == []


def test_a_command_that_does_not_end_is_killed_with_its_children(start: Start) -> None:
    """A timeout raises with what was said so far, and nothing goes on running."""
    child = f"subprocess.Popen([sys.executable, '-c', {WAITS!r}])"
    running = start(f"import subprocess, sys; {child}.wait()")
    running.wait_output(lambda out, err: "ready" in out)
    children = running.children()
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        running.wait(0.1)
    assert "ready" in "".join(caught.value.__notes__)
    assert psutil.wait_procs(children, 5)[1] == []
