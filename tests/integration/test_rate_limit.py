"""The rate limit of a pull: changed while it runs, and shared by files. Judged by when bytes are on the disk."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import DownloadProgress, ModelDownloader
from engine.llm_manager import LLMManager
from engine.settings import Settings
from tests.command import Command
from tests.integration.trial import MIB
from tests.origin import File, Origin, Pattern

SIZE = 12 * MIB
SLOW = MIB // 2


class Change:
    """A progress callback, and a thread that acts as soon as a part of the file is there."""

    def __init__(self, at_bytes: int, act: Callable[[], None]) -> None:
        self.at = 0.0
        """When it acted, by the monotonic clock; at_bytes were there."""
        self.done_bytes = 0
        self._at_bytes = at_bytes
        self._is_time = threading.Event()
        self._act = act
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def __call__(self, progress: DownloadProgress) -> None:
        if progress.downloaded_bytes >= self._at_bytes and not self._is_time.is_set():
            self.done_bytes = progress.downloaded_bytes
            self._is_time.set()

    def _run(self) -> None:
        assert self._is_time.wait(60)
        self.at = time.monotonic()
        self._act()

    def join(self) -> float:
        """Seconds since it acted."""
        self._thread.join()
        return time.monotonic() - self.at


@pytest.fixture
def origin(origin_factory: Callable[..., Origin]) -> Origin:
    return origin_factory({"m.gguf": File(Pattern(SIZE))})


@pytest.mark.parametrize("processes", [0, 2])
def test_a_limit_is_lifted_while_a_download_runs(
    origin: Origin, tmp_path: Path, home: Path, processes: int
) -> None:
    """What would have taken half a minute is there in a moment, once another thread has said so."""
    downloader = ModelDownloader(tmp_path, processes=processes, connections=4, limit_rate=SLOW)
    downloader.progress_interval = 0.1
    change = Change(MIB // 4, lambda: setattr(downloader, "limit_rate", None))
    path = downloader.download("m", origin.url("m.gguf"), "m.gguf", progress_callback=change)
    assert change.join() < 0.5 * SIZE / SLOW
    assert Pattern(SIZE).first_difference(path) is None


@pytest.mark.parametrize("processes", [0, 2])
def test_a_limit_is_set_while_a_download_runs(
    origin: Origin, tmp_path: Path, home: Path, processes: int
) -> None:
    """From then on the rest takes its time, but for what half a second brought until then."""
    before, after = 8 * MIB, 2 * MIB
    downloader = ModelDownloader(tmp_path, processes=processes, connections=4, limit_rate=before)
    downloader.progress_interval = 0.1
    change = Change(SIZE // 4, lambda: setattr(downloader, "limit_rate", after))
    downloader.download("m", origin.url("m.gguf"), "m.gguf", progress_callback=change)
    assert change.join() >= (SIZE - change.done_bytes - before / 2) / after


def test_a_manager_obeys_its_new_settings(origin: Origin, tmp_path: Path, home: Path) -> None:
    """Replacing them changes the limit of the pull that runs."""
    slow = Settings(processes=2, connections=4, limit_rate=SLOW, progress_interval_s=0.1)
    manager = LLMManager(tmp_path, settings=slow)
    change = Change(MIB // 4, lambda: setattr(manager, "settings", Settings()))
    path = manager.download_model_from_path(origin.url("m.gguf"), progress_callback=change)
    assert change.join() < 0.5 * SIZE / SLOW
    assert Pattern(SIZE).first_difference(path) is None


@pytest.mark.parametrize("processes", [0, 2])
def test_files_get_equal_shares_whatever_their_lanes(
    command: Command, origin_factory: Callable[..., Origin], tmp_path: Path, processes: int
) -> None:
    """One comes as one stream, the other over three lanes: when one is done, most of the other is there, too. By lanes
    it would be a third. What is told of it is up to half a second old."""
    size = 12 * MIB
    files = {"one.gguf": File(Pattern(size), ranges=False), "many.gguf": File(Pattern(size, seed=1))}
    origin = origin_factory(files)
    words = (
        "-d",
        tmp_path,
        "-c",
        4,
        "-p",
        processes,
        "--segment-size",
        MIB // 4,
        "--limit-rate",
        "4MiB/s",
        "--json",
    )
    result = command.run("pull", *map(origin.url, files), *words).check(0)
    first = next(event["path"] for event in result.events if event["event"] == "file")
    told = result.events[: next(i for i, event in enumerate(result.events) if event["event"] == "file")]
    there = [e["done_bytes"] for e in told if e["event"] == "progress" and e["path"] != first]
    assert there[-1] > 0.5 * size
