"""Several processes and threads in one store: whoever comes second waits, or leaves be what is at work."""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.command import Command, Running
from tests.hub import Hub
from tests.integration.trial import LANES, MIB, SEGMENT
from tests.origin import Pattern

DATA = Pattern(4 * MIB, seed=21).read()
DIGEST = hashlib.sha256(DATA).hexdigest()
OPTIONS = ("--segment-size", SEGMENT, "-c", LANES)


class Shop:
    """A Hub with one model, and pulls of it into the store."""

    def __init__(self, command: Command, hub: Hub, home: Path) -> None:
        self.command, self.hub, self.home = command, hub, home
        self.env = {"HF_ENDPOINT": hub.site.base}
        self.view = home / "llm/ns/m/m-Q4_K_M.gguf"

    def spawn(self, *options: object) -> Running:
        return self.command.spawn("pull", "hf.co/ns/m", *OPTIONS, *options, env=self.env)

    @contextmanager
    def held_in_the_middle(self) -> Iterator[Running]:
        """A pull that has half of the file and gets no further before content.release()."""
        self.hub.content.fault(
            "stall", when=lambda r: r.range and r.range[0] >= len(DATA) // 2, after_bytes=1, times=LANES
        )
        running = self.spawn()
        self.hub.content.wait_fired("stall", LANES)
        yield running

    def assert_exact(self) -> None:
        """View and blob have the content, nothing is left of the way there, and the store says that all is well."""
        assert self.view.read_bytes() == (self.home / f"blobs/sha256-{DIGEST}").read_bytes() == DATA
        assert list((self.home / "partial").iterdir()) == []
        self.command.run("verify", "ns/m", env=self.env).check()


@pytest.fixture
def shop(command: Command, origin_factory: Callable[..., object], home: Path) -> Shop:
    hub = Hub(origin_factory(), origin_factory())
    hub.add("ns/m", {"m-Q4_K_M.gguf": DATA})
    return Shop(command, hub, home)


@pytest.mark.row("together/gc-beside-a-pull")
def test_gc_beside_a_pull_takes_nothing_of_it(shop: Shop) -> None:
    """Not its unfinished file, however old that looks; it says nothing amiss, and the pull ends as if alone."""
    with shop.held_in_the_middle() as pull:
        (part,) = (shop.home / "partial").iterdir()
        for path in (part, *part.iterdir()):
            os.utime(path, (0, 0))
        shop.command.run("gc").check()
        assert {path.name for path in part.iterdir()} == {"lock", "journal", "pieces", "data"}
        shop.hub.content.release()
        pull.wait().check()
    assert shop.hub.content.bytes_sent() <= len(DATA) + SEGMENT
    shop.assert_exact()


@pytest.mark.row("together/gc-beside-a-pull")
def test_gc_over_and_over_beside_pulls_takes_nothing_of_them(shop: Shop) -> None:
    """Whatever moment it meets: a blob that no manifest names yet, a view that no blob has yet."""
    with shop.held_in_the_middle() as pull:
        shop.hub.content.release()
        while pull.process.poll() is None:
            shop.command.run("gc").check()
        pull.wait().check()
    shop.command.run("gc").check()
    shop.assert_exact()


@pytest.mark.row("together/same-store")
def test_two_pulls_of_one_model_fetch_it_once(shop: Shop) -> None:
    """The second waits for the first, and takes what that has brought."""
    with shop.held_in_the_middle() as first:
        second = shop.spawn("--json")
        second.wait_output(
            lambda _, err: f"waiting for process {first.pid} " in err, "word of whom it waits for"
        )
        shop.hub.content.release()
        first.wait().check()
        (done,) = second.wait().check().events_named("file")
    assert (done["already_there"], done["fetched_bytes"]) == (True, 0)
    shop.assert_exact()


@pytest.mark.row("together/holder-killed")
def test_the_second_goes_on_where_a_killed_one_was(shop: Shop) -> None:
    """SIGKILL to the holder of the lock and its workers: what it had written is not fetched again."""
    with shop.held_in_the_middle() as first:
        second = shop.spawn()
        second.wait_output(
            lambda _, err: f"waiting for process {first.pid} " in err, "word of whom it waits for"
        )
        before = shop.hub.content.bytes_sent()
        first.kill_tree()
        second.wait().check()
    shop.hub.content.wait_idle()
    assert shop.hub.content.bytes_sent() - before <= len(DATA) // 2 + 2 * LANES * SEGMENT
    shop.assert_exact()


THREADS = """
import sys, threading
from engine.llm_manager import LLMManager

results = []
def work():
    results.append(LLMManager().download_model_from_path("hf.co/ns/m"))
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
print(len(results), len({str(r) for r in results}))
"""


@pytest.mark.row("together/same-store")
def test_threads_of_one_process_fetch_it_once(shop: Shop, tmp_path: Path) -> None:
    """Locks are a descriptor's, not a process's: four threads do what four processes would."""
    script = tmp_path / "threads.py"
    script.write_text(THREADS)
    result = shop.command.run(env=shop.env, entry=[sys.executable, str(script)]).check()
    assert result.stdout.split() == ["4", "1"]
    assert shop.hub.content.bytes_sent() == len(DATA)
    shop.assert_exact()
