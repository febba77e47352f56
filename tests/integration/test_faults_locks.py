"""Several pulls of one target: one works, the others wait, say for whom, and take over what is left."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from tests.command import Running
from tests.integration.trial import LANES, MIB, SEGMENT, Trial, one_error, wait_until

SIZE = 4 * MIB


@contextmanager
def held_in_the_middle(trial: Trial, *options: object) -> Iterator[Running]:
    """A pull that has received half of the file and gets no further before origin.release()."""
    trial.origin.fault(
        "stall", when=lambda r: r.range is not None and r.range[0] >= SIZE // 2, after_bytes=1, times=LANES
    )
    running = trial.spawn(*options)
    trial.origin.wait_fired("stall", LANES)
    yield running


def wait_waiting(second: Running, holder: int) -> None:
    second.wait_output(lambda _, err: f"waiting for process {holder} " in err, "word of whom it waits for")


@pytest.mark.row("together/same-target", "attack/53-two-processes")
def test_the_second_waits_and_finds_the_file(trial: Trial) -> None:
    """It says for whom, asks the server nothing, and reports the file as already there."""
    with held_in_the_middle(trial) as first:
        second = trial.spawn("--json")
        wait_waiting(second, first.pid)
        second.wait_output(lambda out, _: '"wait"' in out, "the event")
        assert second.process.poll() is None
        trial.origin.release()
        first.wait().check()
        result = second.wait().check()
    (waiting,) = result.events_named("wait")
    assert str(first.pid) in waiting["holder"]
    (done,) = result.events_named("file")
    assert (done["already_there"], done["fetched_bytes"]) == (True, 0)
    assert trial.origin.bytes_sent() == SIZE
    trial.assert_exact()


@pytest.mark.row("together/holder-killed")
def test_the_second_takes_over_when_the_first_is_killed(trial: Trial) -> None:
    """A killed holder's part is resumed, not fetched anew."""
    with held_in_the_middle(trial) as first:
        second = trial.spawn()
        wait_waiting(second, first.pid)
        held = trial.segments_on_disk()
        before = trial.origin.bytes_sent()
        first.kill()
        first.wait()
        second.wait().check()
    assert trial.origin.bytes_sent() - before <= SIZE - held * SEGMENT + LANES * SEGMENT
    trial.assert_exact()


@pytest.mark.row("together/holder-killed")
def test_the_second_takes_over_when_the_first_is_interrupted(trial: Trial) -> None:
    """Likewise after an orderly end."""
    with held_in_the_middle(trial) as first:
        second = trial.spawn()
        wait_waiting(second, first.pid)
        first.send(signal.SIGINT)
        assert first.wait().code == 130
        second.wait().check()
    trial.assert_exact()


@pytest.mark.row("together/waiter-interrupted")
def test_a_waiting_pull_can_be_interrupted(trial: Trial) -> None:
    """Exit 130 within a second; the first one is not disturbed."""
    with held_in_the_middle(trial) as first:
        second = trial.spawn()
        wait_waiting(second, first.pid)
        second.send(signal.SIGINT)
        result = second.wait(3)
        assert result.code == 130, str(result)
        trial.origin.release()
        first.wait().check()
    trial.assert_exact()


@pytest.mark.row("together/same-target")
def test_four_at_once_fetch_the_file_once(trial: Trial) -> None:
    """Whoever is first works; nobody fails, nobody fetches twice."""
    pulls = [trial.spawn() for _ in range(4)]
    for running in pulls:
        running.wait().check()
    assert trial.origin.bytes_sent() == SIZE
    trial.assert_exact()


@pytest.mark.row("together/different-targets")
def test_two_pulls_of_different_targets_do_not_wait(trial: Trial) -> None:
    """The lock is the target's, not the address's."""
    with held_in_the_middle(trial) as first:
        other = trial.target.with_name("other.gguf")
        trial.command.run("pull", trial.url, "-o", other).check(0)
        trial.origin.release()
        first.wait().check()
    assert trial.content.first_difference(other) is None
    trial.assert_exact()


@pytest.mark.row("process/stopped-worker")
def test_an_orphaned_worker_holds_the_lock_until_it_is_gone(try_file: Callable[..., Trial]) -> None:
    """The command is dead, a worker of it is stopped in the middle of its work: a new pull waits for it, since it
    may still write; once the worker has ended, the new pull goes on."""
    trial = try_file(SIZE)
    trial.options = ("-p", 1)
    with held_in_the_middle(trial) as first:
        (worker,) = first.children()
        worker.suspend()
        wait_until(lambda: worker.status() == psutil.STATUS_STOPPED, "the worker to stop")
        first.kill()
        first.wait()
        try:
            second = trial.spawn()
            wait_waiting(second, first.pid)
            asked = len(trial.origin.requests)
            with pytest.raises(TimeoutError):
                trial.origin.wait_requests(asked + 1, timeout_s=0.7)
        finally:
            worker.resume()
        second.wait().check()
    trial.assert_exact()


@pytest.mark.row("together/stale-lock-file")
def test_a_lock_file_that_was_left_behind_locks_nothing(trial: Trial) -> None:
    """What counts is the lock, not the file."""
    trial.part.mkdir(parents=True)
    (trial.part / "lock").write_text(f"{os.getpid()} somewhere\n")
    trial.pull()
    trial.assert_exact()


@pytest.mark.row("together/other-address")
def test_another_file_for_the_same_name_is_not_waited_for(trial: Trial) -> None:
    """Two addresses, one target: whoever came second would replace what the first one is about to finish. Exit 8."""
    with held_in_the_middle(trial) as first:
        second = trial.command.run("pull", trial.url + "?another", "-o", trial.target).check(8)
        assert f"process {first.pid} " in one_error(second, "another address")
        trial.origin.release()
        first.wait().check(0)
