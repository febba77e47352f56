"""Long work of a file, off the coordinator's thread and back."""

import errno
from collections.abc import Callable
from typing import Any

import pytest

from engine.errors import EngineError, NoSpace, StoreError
from engine.transfer.tasks import Tasks


class Bench:
    """A submit that runs work when told to, and what tasks said."""

    def __init__(self) -> None:
        self.queue: list[tuple[Callable[[], Any], Callable[[Any, BaseException | None], None]]] = []
        self.failed: list[EngineError] = []
        self.results: list[Any] = []
        self.tasks = Tasks(lambda work, done: self.queue.append((work, done)), failed=self.failed.append)

    def run(self) -> None:
        work, done = self.queue.pop()
        try:
            result = work()
        except Exception as exc:
            done(None, exc)
        else:
            done(result, None)


def fails(exc: Exception) -> Callable[[], Any]:
    def work() -> Any:
        raise exc

    return work


def test_a_result_comes_back_and_nothing_is_under_way_then() -> None:
    """True while it is out, false when its result is delivered."""
    bench = Bench()
    bench.tasks.start(
        lambda: 7, lambda result: bench.results.append((result, bool(bench.tasks))), inline=False
    )
    assert bench.tasks
    bench.run()
    assert bench.results == [(7, False)]


def test_inline_work_is_done_before_start_returns() -> None:
    """No thread for what is small."""
    bench = Bench()
    bench.tasks.start(lambda: 7, bench.results.append, inline=True)
    assert (bench.results, bench.queue, bool(bench.tasks)) == ([7], [], False)


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize(
    ("exc", "kind"),
    [
        (OSError(errno.EIO, "bad"), StoreError),
        (OSError(errno.ENOSPC, "full"), NoSpace),
        (StoreError("no"), StoreError),
    ],
)
def test_an_error_fails_the_file(inline: bool, exc: Exception, kind: type[EngineError]) -> None:
    """The disk's errors in our words; the task is over, too."""
    bench = Bench()
    bench.tasks.start(fails(exc), bench.results.append, inline=inline)
    if not inline:
        bench.run()
    assert [type(error) for error in bench.failed] == [kind]
    assert (bench.results, bool(bench.tasks)) == ([], False)


def test_a_mistake_of_ours_is_not_called_a_disk_error() -> None:
    """It is raised as it is."""
    bench = Bench()
    bench.tasks.start(fails(KeyError("bug")), bench.results.append, inline=False)
    with pytest.raises(KeyError):
        bench.run()
