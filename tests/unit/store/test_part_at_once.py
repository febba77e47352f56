"""Many that want the same part."""

import subprocess
import sys
import threading

from engine.store.part import Part
from tests.unit.store.parts import opened

WORK = """
import os, random, sys
from pathlib import Path
from engine.store.part import Part
folder, witness, chance, won = Path(sys.argv[1]), sys.argv[2], random.Random(int(sys.argv[3])), 0
while won < int(sys.argv[4]):
    part = Part.try_open(folder)
    if part is None:
        continue
    won += 1
    inside = os.open(witness, os.O_CREAT | os.O_EXCL)  # fails if two are here at once
    choice = chance.random()
    if choice < 0.4:
        part.start(None, 10, "sparse")
    os.close(inside)
    os.unlink(witness)
    part.remove() if choice < 0.7 else part.close()
print(won)
"""


def test_many_processes_open_close_and_remove(tmp_path):
    """Real processes that lock, fill, leave and take away one part's folder: never two inside, never an error."""
    rounds = 150
    command = [sys.executable, "-c", WORK, str(tmp_path / "part"), str(tmp_path / "witness")]
    started = [
        subprocess.Popen(
            [*command, str(seed), str(rounds)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for seed in range(3)
    ]
    ended = [process.communicate(timeout=60) for process in started]
    assert ended == [(f"{rounds}\n", "")] * len(started)
    assert not (tmp_path / "witness").exists()
    part = opened(tmp_path / "part")
    part.remove()
    assert list(tmp_path.iterdir()) == []


def test_many_threads_of_one_process(tmp_path):
    """The same among threads, as when one program pulls the same file twice."""
    inside, failures = threading.Lock(), []

    def work() -> None:
        won = 0
        try:
            while won < 100:
                if (part := Part.try_open(tmp_path / "part")) is not None:
                    won += 1
                    assert inside.acquire(blocking=False), "two are inside"
                    inside.release()
                    part.remove() if won % 2 else part.close()
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert not (tmp_path / "part").exists()
