"""engine.transfer.backlog: order, parts that are shared, and what is left."""

from collections.abc import Sequence
from pathlib import Path

from engine.remote_file import RemoteFile, RemoteName
from engine.store.receipts import Receipts
from engine.transfer.backlog import Backlog
from engine.transfer.job import Job


def jobs(*parts: str, size: int | None = None, hosts: str = "") -> list[Job]:
    receipts = Receipts(Path("/nowhere"))
    return [
        Job(
            remote=RemoteFile(
                name=RemoteName(f"m{i}"), url=f"http://{hosts[i] if hosts else 'a'}/m{i}", size=size
            ),
            target=Path(f"/t/m{i}"),
            partial=Path(part),
            receipts=receipts,
        )
        for i, part in enumerate(parts)
    ]


def taken(backlog: Backlog) -> list[int]:
    """All that may begin now."""
    found = []
    while (number := backlog.take()) is not None:
        found.append(number)
    return found


def test_origins_take_turns() -> None:
    """In their own order; one that is silent would take all places else."""
    assert taken(Backlog(jobs(*map(str, range(7)), hosts="aaaabba"))) == [0, 4, 1, 5, 2, 3, 6]


def test_jobs_begin_in_order() -> None:
    """And when none is left, the backlog says so."""
    backlog = Backlog(jobs("/p0", "/p1", "/p2", size=5))
    assert (backlog.count, backlog.known_bytes) == (3, 15)
    assert taken(backlog) == [0, 1, 2]
    assert (bool(backlog), backlog.known_bytes) == (False, 0)


def test_a_shared_part_is_taken_by_one_after_the_other() -> None:
    """Others overtake; none is forgotten."""
    backlog = Backlog(jobs("/same", "/same", "/other", "/same"))
    assert taken(backlog) == [0, 2]
    assert backlog
    backlog.release(2)
    assert taken(backlog) == []
    backlog.release(0)
    assert taken(backlog) == [1]
    backlog.release(1)
    assert taken(backlog) == [3]
    backlog.release(3)
    assert not backlog


def run_through(all_jobs: Sequence[Job]) -> int:
    """Take and release each; how many there were."""
    backlog, count = Backlog(all_jobs), 0
    while (number := backlog.take()) is not None:
        backlog.release(number)
        count += 1
    return count


def test_a_hundred_thousand_jobs_are_all_taken() -> None:
    """Nothing is looked through again and again: with a list this took minutes, and the test its time limit."""
    assert run_through(jobs(*(f"/p{i}" for i in range(100_000)))) == 100_000
