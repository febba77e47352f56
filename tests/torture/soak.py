"""`python -m tests.torture.soak`: many pulls in one process, after which it holds no more than after the first ones."""

import argparse
import gc
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import msgspec
import psutil

from engine import DigestMismatch, ModelDownloader, NotFound
from engine.settings import Settings
from tests.nginx import Nginx
from tests.origin import Pattern

_SEGMENT = 64 << 10
_SIZE = 5 * _SEGMENT + 1
_SLOW = "location /slow/ { limit_rate 100k; }"
_MEMORY_PER_PULL = 1024
"""Bytes of growth for which the allocator's own unevenness is taken; a lost block or buffer of a pull is far more."""
_MEMORY_FLOOR = 4 << 20


class _Downloader(ModelDownloader):
    """With small segments, so that a small file has a plan, a journal and several lanes."""

    def _settings(self, *, force: bool) -> Settings:
        return msgspec.structs.replace(super()._settings(force=force), segment_size=_SEGMENT)


@dataclass(frozen=True)
class Sample:
    """What this process holds."""

    memory_bytes: int
    descriptors: int
    threads: int
    shared_mappings: int
    """Of memfd_create(2) and /dev/shm."""
    objects: int
    """That Python's collector knows."""
    children: int

    @classmethod
    def take(cls) -> "Sample":
        gc.collect()
        process, maps = psutil.Process(), Path("/proc/self/maps").read_text()
        return cls(
            memory_bytes=process.memory_info().rss,
            descriptors=process.num_fds(),
            threads=max(threading.active_count(), process.num_threads()),
            shared_mappings=maps.count("/memfd:") + maps.count("/dev/shm/"),
            objects=len(gc.get_objects()),
            children=len(process.children(recursive=True)),
        )

    def grown(self, before: "Sample", pulls: int) -> list[str]:
        """What is more than it was, beyond what may be."""
        allowed = {"memory_bytes": max(_MEMORY_FLOOR, pulls * _MEMORY_PER_PULL), "objects": pulls // 10}
        return [
            f"{name}: {was:,} before, {now:,} after"
            for name in (field.name for field in fields(self))
            if (now := getattr(self, name)) > (was := getattr(before, name)) + allowed.get(name, 0)
        ]


class Soak:
    """Pulls, one after the other, of every kind in turn."""

    def __init__(self, nginx: Nginx, folder: Path, sha256: str) -> None:
        self._nginx = nginx
        self._folder = folder
        self._sha256 = sha256
        self.kinds: Counter[str] = Counter()
        """How often each has come to the end that it should."""

    def pull(self, number: int) -> None:
        """Half by a worker process; of eight two that do not succeed. AssertionError where one ends otherwise."""
        kind = {0: self._fails, 4: self._is_cancelled}.get(number % 8, self._succeeds)
        downloader = _Downloader(self._folder, processes=number % 2 ^ (number // 16) % 2)
        kind(downloader, number)
        self.kinds[f"{kind.__name__.strip('_')}, processes={downloader.processes}"] += 1
        shutil.rmtree(self._folder, ignore_errors=True)  # of one that found nothing there is none

    def _succeeds(self, downloader: ModelDownloader, number: int) -> None:
        path = downloader.download("soak", self._nginx.url("file"), "file", self._sha256)
        assert path.stat().st_size == _SIZE

    def _fails(self, downloader: ModelDownloader, number: int) -> None:
        name, digest, error = ("none", None, NotFound) if number % 16 else ("file", "0" * 64, DigestMismatch)
        _expect(error, lambda: downloader.download("soak", self._nginx.url(name), "file", digest))

    def _is_cancelled(self, downloader: ModelDownloader, number: int) -> None:
        def cancel(progress: object) -> None:
            if progress.downloaded_bytes:  # type: ignore[attr-defined]
                raise KeyboardInterrupt

        downloader.progress_interval = 0.01
        url = self._nginx.url("slow/file")
        _expect(KeyboardInterrupt, lambda: downloader.download("soak", url, "file", progress_callback=cancel))


def _expect(error: type[BaseException], work: Callable[[], object]) -> None:
    try:
        work()
    except error:
        return
    raise AssertionError(f"{error.__name__} was expected")


def run(pulls: int, warm_up: int) -> tuple[list[str], list[str]]:
    """Lines for people, and what has grown."""
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder = Path(name)
        os.environ["JARVIS_HOME"] = str(folder / "home")
        content = Pattern(_SIZE)
        (folder / "www/slow").mkdir(parents=True)
        for path in ("file", "slow/file"):
            content.write_to(folder / "www" / path)
        with Nginx(folder / "www", extra_server_config=_SLOW, workers=1) as nginx:
            soak = Soak(nginx, folder / "models", content.sha256())
            for number in range(warm_up):
                soak.pull(number)
            before, started = Sample.take(), time.monotonic()
            for number in range(warm_up, pulls):
                soak.pull(number)
            after = Sample.take()
    lines = [f"{kind}: {count} pulls" for kind, count in sorted(soak.kinds.items())]
    lines.append(f"{pulls - warm_up} pulls after a warm-up of {warm_up}: {time.monotonic() - started:.0f} s")
    lines += [f"before: {before}", f"after:  {after}"]
    return lines, after.grown(before, pulls - warm_up)


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.torture.soak", description=__doc__)
    parser.add_argument("--pulls", type=int, default=2000)
    parser.add_argument("--warm-up", type=int, default=200)
    options = parser.parse_args()
    lines, grown = run(options.pulls, options.warm_up)
    print("\n".join([*lines, *(f"GROWN {text}" for text in grown)]))
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
