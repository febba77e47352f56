"""Live bars, in a pseudo-terminal."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.command import ENTRY, ROOT
from tests.origin import Origin
from tests.origin.content import Pattern

pytestmark = pytest.mark.usefixtures("home")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command whose three streams are one terminal; `text` is all that it wrote."""

    def __init__(self, process: "subprocess.Popen[bytes]", fd: int) -> None:
        self.process = process
        self.text = ""
        self._fd = fd

    def read_until(self, pattern: str) -> None:
        """Until pattern has come; AssertionError when the command ends before."""
        while not re.search(pattern, self.plain):
            assert self._read(), f"{pattern!r} did not come: {self.text}"

    def wait(self) -> int:
        """Its exit code, once it has ended and said all."""
        while self._read():
            pass
        return self.process.wait(30)

    @property
    def plain(self) -> str:
        """Without control sequences."""
        return _CONTROL.sub("", self.text)

    def _read(self) -> bool:
        try:
            data = os.read(self._fd, 65536)
        except OSError:
            return False
        self.text += data.decode("utf-8", "replace")
        return bool(data)


@contextmanager
def terminal(
    *words: object, columns: int = 120, env: Mapping[str, str] | None = None, entry: Sequence[str] = ENTRY
) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    process = subprocess.Popen(
        [*entry, *map(str, words)],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **(env or {})},
    )  # fmt: skip
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.fixture
def origin(origin_factory: Callable[..., Origin]) -> Origin:
    return origin_factory(
        {"m.gguf": Pattern(40_000_000, 1), "n.gguf": Pattern(20_000_000, 2), "tiny": b"x" * 1024}
    )


def test_bar_of_one_file(origin: Origin, tmp_path: Path) -> None:
    """Name, bar, percent, sizes, rate, remaining time and lanes; then the path and the summary remain."""
    with terminal(
        "pull", origin.url("m.gguf"), "-o", tmp_path / "m.gguf", "--limit-rate", "20MB/s"
    ) as screen:
        assert screen.wait() == 0
    assert re.search(
        r"m\.gguf +━+ *\S* *\d+ % +[\d.]+ MB/40\.0 MB +[\d.]+ MB/s +\d+s +\d lanes", screen.plain
    )
    assert "\x1b[36m" in screen.text, "no colour"
    left = screen.text[screen.text.rindex("\x1b[2K") :]
    assert f"{tmp_path / 'm.gguf'}\r\n" in screen.plain
    assert "40.0 MB in " in left and "━" not in left
    assert screen.text.rindex("\x1b[?25h") > screen.text.rindex("\x1b[?25l"), "the cursor stays hidden"


def test_several_files_have_a_total(origin: Origin, tmp_path: Path) -> None:
    """A bar for each file under way, and one for all."""
    urls = [origin.url("m.gguf"), origin.url("n.gguf")]
    with terminal("pull", *urls, "-d", tmp_path, "--limit-rate", "30MB/s") as screen:
        assert screen.wait() == 0
    assert re.search(
        r"m\.gguf +━.*\r\nn\.gguf +.*\r\n0 of 2 files .* \d+ % .*MB/60\.0 MB .* \d lanes", screen.plain
    )
    assert "1 of 2 files" in screen.plain or "2 of 2 files" in screen.plain
    for name in ("m.gguf", "n.gguf"):
        assert (
            f"\r\n{tmp_path / name}\r\n" in f"\r\n{screen.plain}".replace("\r\r", "\r")
            or str(tmp_path / name) in screen.plain
        )


def test_verifying_is_a_phase_of_its_own(tmp_path: Path, home: Path) -> None:
    """A file that is only hashed shows how far the hash has come."""
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(3 << 30)
    with terminal("verify", path, "--sha256", "0" * 64) as screen:
        screen.read_until(r"big +━+ *\S* *\d+ % +\S+ \S+/3\.2 GB +verifying")
        screen.process.send_signal(signal.SIGINT)
        assert screen.wait() == 130, screen.plain


def test_interrupt_gives_the_terminal_back(origin: Origin, tmp_path: Path) -> None:
    """Ctrl-C, typed: bars go away, the cursor comes back, and what is kept is told."""
    with terminal(
        "pull", origin.url("m.gguf"), "-o", tmp_path / "m", "--limit-rate", "10MB/s", "--segment-size", "1MiB"
    ) as screen:
        screen.read_until(r"[3-9]\d %")
        screen.process.send_signal(signal.SIGINT)
        assert screen.wait() == 130, screen.plain
    assert screen.text.rindex("\x1b[?25h") > screen.text.rindex("\x1b[?25l")
    last = screen.plain.strip().splitlines()[-1]
    assert re.search(r"interrupted: \d+\.\d MB of unfinished files are kept; the same command goes on", last)


def test_no_color(origin: Origin, tmp_path: Path) -> None:
    """NO_COLOR: bars without colours."""
    words = ("pull", origin.url("m.gguf"), "-o", tmp_path / "m", "--limit-rate", "30MB/s")
    with terminal(*words, env={"NO_COLOR": "1"}) as screen:
        assert screen.wait() == 0
    assert "━" in screen.plain
    assert not re.search(r"\x1b\[[0-9;]*3[0-9;]*m", screen.text)


def test_dumb_terminal_gets_plain_lines(origin: Origin, tmp_path: Path) -> None:
    """TERM=dumb cannot redraw."""
    words = ("pull", origin.url("m.gguf"), "-o", tmp_path / "m", "--limit-rate", "30MB/s")
    with terminal(*words, env={"TERM": "dumb"}) as screen:
        assert screen.wait() == 0
    assert "\x1b" not in screen.text and "━" not in screen.text


def test_quiet_draws_nothing(origin: Origin, tmp_path: Path) -> None:
    """--quiet holds on a terminal, too."""
    words = ("pull", origin.url("m.gguf"), "-o", tmp_path / "m", "--limit-rate", "30MB/s", "--quiet")
    with terminal(*words) as screen:
        assert screen.wait() == 0
    assert screen.text == f"{tmp_path / 'm'}\r\n"


def test_narrow_terminal(origin: Origin, tmp_path: Path) -> None:
    """Forty columns: it fits, and nothing breaks."""
    words = ("pull", origin.url("m.gguf"), "-o", tmp_path / "m.gguf", "--limit-rate", "30MB/s")
    with terminal(*words, columns=40) as screen:
        assert screen.wait() == 0
    assert re.search(r"m\.gguf +━\S* +\d+ % +[\d.]+ MB/s +\ds", screen.plain)
    rows = [row for row in re.split(r"[\r\n]+", screen.plain) if "━" in row]
    assert rows and max(len(row) for row in rows) <= 40


def test_notices_stand_above_the_bars(origin: Origin, tmp_path: Path) -> None:
    """A retry is told in a line that stays, while the bar goes on below."""
    fault = origin.fault("reset", offset=15_000_000, times=1)
    words = ("pull", origin.url("m.gguf"), "-o", tmp_path / "m.gguf", "--limit-rate", "20MB/s")
    with terminal(*words) as screen:
        assert screen.wait() == 0
    assert fault.fired == 1
    assert "m.gguf: the connection broke" in screen.plain


ACTS = (
    "from engine import cli; from engine.console import interrupts as it; act = it.act_on_signals\n"
    "it.act_on_signals = lambda: (act(), print('acts', flush=True)); cli.main()"
)
"""The command, which says from when on signals are its own; before that they are Python's."""


@pytest.mark.parametrize("delay_s", [0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.5])
def test_early_interrupt(origin: Origin, tmp_path: Path, delay_s: float) -> None:
    """Ctrl-C at any moment ends a resumed pull with 130 within a second, and says that what is held is kept."""
    words = ["pull", origin.url("m.gguf"), "-o", tmp_path / "m.gguf"]
    words += ["--segment-size", "1MiB", "--limit-rate", "9MB/s"]
    with terminal(*words) as screen:
        screen.read_until(r" [3-9]\.\d MB/40")
        os.killpg(screen.process.pid, signal.SIGINT)
        assert screen.wait() == 130, screen.plain
    with terminal(*words, entry=[sys.executable, "-c", ACTS]) as screen:
        screen.read_until("acts")
        time.sleep(delay_s)
        started = time.monotonic()
        os.killpg(screen.process.pid, signal.SIGINT)
        assert screen.wait() == 130, screen.plain
    assert time.monotonic() - started < 1.0
    last = screen.plain.rstrip("\r\n").splitlines()[-1]
    assert "interrupted: " in last and "kept" in last and "the same command goes on from there" in last
    assert "Traceback" not in screen.plain and "ignored" not in screen.plain
