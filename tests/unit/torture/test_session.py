"""What a command leaves running is found, however busy the machine is."""

import signal
import subprocess
import sys

from tests.torture.session import Farewell

ORPHAN = (
    "import subprocess, sys; print(subprocess.Popen(['sleep', sys.argv[1]], stdout=subprocess.DEVNULL).pid)"
)


def leave(seconds: str) -> tuple[int, int]:
    """A session whose leader has ended, and the process that it has left."""
    words = [sys.executable, "-c", ORPHAN, seconds]
    leader = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
    told, _ = leader.communicate()
    return leader.pid, int(told)


def test_a_process_that_stays_is_found() -> None:
    """One that sleeps had all the time that it needed."""
    session, orphan = leave("60")
    assert Farewell(session).wait(0.2) == [orphan]
    subprocess.run(["kill", f"-{signal.SIGKILL.value}", str(orphan)], check=True)


def test_processes_that_end_are_waited_for() -> None:
    """And the clock says how long."""
    session, _ = leave("0.1")
    farewell = Farewell(session)
    assert farewell.wait(5.0) == []
    assert farewell.seconds < 5.0
