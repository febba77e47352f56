"""engine.transfer.cores: whose load it is."""

import os
import subprocess
import sys
import time

import pytest

from engine.transfer.cores import Load, usable_cores

BURN = "import sys\nprint(flush=True)\nwhile True: pass"


def test_usable_cores_are_at_least_one():
    """And at most what the machine has."""
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


def test_an_idle_process_is_not_bound_by_the_processor():
    """Nothing is known at first; a process that sleeps holds nothing up."""
    load = Load()
    assert not load.is_bound
    for _ in range(3):
        load.look(time.monotonic(), [])
        time.sleep(0.1)
    assert not load.is_bound


@pytest.mark.alone
def test_workers_that_burn_all_cores_are():
    """Their time counts as this pull's own."""
    workers = [
        subprocess.Popen([sys.executable, "-c", BURN], stdout=subprocess.PIPE)
        for _ in range(8 * (os.cpu_count() or 1))  # whoever else is busy here gets the lesser part
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            worker.stdout.readline()
        load, until = Load(), time.monotonic() + 20
        while not load.is_bound and time.monotonic() < until:
            load.look(time.monotonic(), [worker.pid for worker in workers])
            time.sleep(0.1)
        assert load.is_bound
        load.look(time.monotonic(), [2**22 + 1])  # a worker that is gone: nobody knows
        assert not load.is_bound
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
