"""One file at an origin that may misbehave, pulled by the real command, and judged afterwards."""

import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.command import Command, Result, Running
from tests.origin import Content, Origin

MIB = 1 << 20
SEGMENT = 256 << 10
LANES = 2


@dataclass
class Trial:
    """A pull with segments of 256 KiB over two lanes, unless a test says otherwise."""

    command: Command
    origin: Origin
    content: Content
    target: Path
    url: str
    options: tuple[object, ...] = ()

    @property
    def part(self) -> Path:
        """The folder of the unfinished file."""
        return self.target.with_name(self.target.name + ".jarvis-part")

    @property
    def in_threads(self) -> tuple[object, ...]:
        """Options for a run without worker processes, where that is not what the test is about."""
        return () if "-p" in self.options else ("-p", 0)

    def arguments(self, *options: object) -> tuple[object, ...]:
        defaults = ("--segment-size", SEGMENT, "-c", LANES)
        return ("pull", self.url, "-o", self.target, *defaults, *self.options, *options)

    def pull(self, *options: object, code: int = 0, timeout_s: float = 60) -> Result:
        """The command to its end, which must be the expected one."""
        return self.command.run(*self.arguments(*options), timeout_s=timeout_s).check(code)

    def spawn(self, *options: object) -> Running:
        return self.command.spawn(*self.arguments(*options))

    # Judgement

    def assert_exact(self, content: Content | None = None) -> None:
        """The final name holds the content, and nothing is left beside it."""
        assert (content or self.content).first_difference(self.target) is None
        assert not self.part.exists()

    def assert_failed(self, result: Result, *words: str) -> str:
        """Nothing has the final name; stderr has one error, which holds all words (regular expressions)."""
        assert not self.target.exists()
        return one_error(result, *words)

    def segments_on_disk(self) -> int:
        """How many segments of the unfinished file are there as they should be, by looking at them."""
        data = self.part / "data"
        if not data.exists():
            return 0
        with data.open("rb") as file:
            return sum(
                file.read(SEGMENT) == self.content.read(start, min(start + SEGMENT, self.content.size))
                for start in range(0, self.content.size, SEGMENT)
            )

    def finish(self, *options: object, at_least_held: int = 1, lanes: int = LANES) -> Result:
        """The same command again, the origin behaving: it fetches what is missing, and at most a segment per lane
        of what was there."""
        assert not self.target.exists()
        held = self.segments_on_disk()
        assert held >= at_least_held
        self.origin.behave()
        self.origin.wait_idle()  # what the first run asked for is not counted
        before = self.origin.bytes_sent()
        result = self.pull(*self.in_threads, *options)
        self.assert_exact()
        missing = self.content.size - held * SEGMENT
        sent = self.origin.bytes_sent() - before
        assert sent <= missing + lanes * SEGMENT, f"{sent:,} bytes were sent, {missing:,} were missing"
        return result

    def leave_half(self) -> None:
        """A first run that fails in the middle, and leaves half of the file for the next one."""
        size = self.content.size
        self.origin.fault("reset", when=lambda r: r.range is not None and r.range[1] > size // 2)
        self.assert_failed(self.pull("--retries", 0, *self.in_threads, code=5))
        assert self.origin.fired("reset") >= 1
        self.origin.behave()
        assert size // 4 <= self.segments_on_disk() * SEGMENT < size

    def forget(self) -> None:
        """As if nothing had ever been pulled."""
        self.target.unlink(missing_ok=True)
        shutil.rmtree(self.part, ignore_errors=True)


def one_error(result: Result, *words: str) -> str:
    """The one error line of stderr, which holds all words (regular expressions)."""
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, str(result)
    assert "Traceback" not in result.stderr, str(result)
    for word in words:
        assert re.search(word, errors[0]), f"{word!r} is not in: {errors[0]}"
    return errors[0]


def flip(path: Path, offset: int) -> None:
    """Invert one byte of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 0xFF]))


def wait_until(holds: Callable[[], bool], what: str, timeout_s: float = 15) -> None:
    """Look every 10 ms until it holds; AssertionError, naming what was waited for, when it does not in time."""
    until = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < until, f"waited {timeout_s} s in vain for {what}"
        time.sleep(0.01)


def wait_gone(processes: list[psutil.Process], timeout_s: float = 1.0) -> None:
    """All of them have ended (or are zombies, which hold nothing) within a second."""
    _, alive = psutil.wait_procs(processes, timeout=timeout_s)
    alive = [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert alive == [], f"left running: {alive}"
