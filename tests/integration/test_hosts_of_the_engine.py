"""The engine in every kind of program, with worker processes that do the work and import nothing foreign."""

import json
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.transfer.endgame import WASTE_BYTES
from tests.command import Command, Result
from tests.integration.trial import MIB, Trial, wait_until
from tests.origin import File, Origin, Pattern

SIZE = 70 * MIB
DOWNLOAD = """
from engine.model_downloader import ModelDownloader

def download():
    downloader = ModelDownloader({folder!r}, processes=2)
    return downloader.download("model", {url!r}, "model.gguf", expected_sha256={sha256!r})
"""


class Program:
    """A Python program that downloads one file with two workers."""

    def __init__(self, command: Command, origin: Origin, content: Pattern, folder: Path) -> None:
        self.origin, self.content, self.folder = origin, content, folder
        self._command = command
        self._head = DOWNLOAD.format(
            folder=str(folder / "models"), url=origin.url("model.gguf"), sha256=content.sha256()
        )

    def text(self, body: str) -> str:
        return self._head + textwrap.dedent(body)

    def run(self, body: str) -> Result:
        """As a script."""
        script = self.folder / "program.py"
        script.write_text(self.text(body))
        return self._command.run(entry=[sys.executable, str(script)]).check()

    def run_stdin(self, body: str) -> Result:
        """As `python -`."""
        return self._command.run(entry=[sys.executable, "-"], stdin=self.text(body).encode()).check()

    def assert_downloaded(self, result: Result) -> None:
        """The file is exact, came once but for what was under way where a lane was cut short (on a loaded machine some
        are), and over worker processes; nothing was said amiss."""
        assert self.content.first_difference(self.folder / "models/model.gguf") is None
        assert 0 <= self.origin.bytes_sent() - self.content.size < WASTE_BYTES
        assert result.stdout.split() == [str(self.folder / "models/model.gguf"), "True"]
        assert result.stderr == ""


# Prints the path, and whether worker processes have used the processor: their times become ours when they end.
SHOW = "import os; print(download(), os.times().children_user > 0)"


@pytest.fixture
def program(command: Command, origin_factory: Callable[..., Any], tmp_path: Path) -> Program:
    content = Pattern(SIZE)
    folder = tmp_path / "program"
    folder.mkdir()
    return Program(command, origin_factory({"model.gguf": content}), content, folder)


@pytest.mark.row("host/script")
def test_an_unguarded_script(program: Program) -> None:
    """No `if __name__ == "__main__"` is needed: workers never run the caller's script again."""
    program.assert_downloaded(program.run(SHOW))


@pytest.mark.row("host/stdin")
def test_a_program_from_standard_input(program: Program) -> None:
    """`python -` has no file that a worker could import."""
    program.assert_downloaded(program.run_stdin(SHOW))


@pytest.mark.row("host/thread")
def test_a_thread(program: Program) -> None:
    """Not only on the main thread."""
    body = f"""
    import threading
    def work():
        {SHOW}
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    """
    program.assert_downloaded(program.run(body))


@pytest.mark.row("host/thread-outlives-main")
def test_a_thread_that_the_program_waits_for_at_its_end(program: Program) -> None:
    """The main thread is through before the download is: Python waits for other threads, and they go on. But CPython
    3.12 lets nobody start a thread by then."""
    body = f"""
    import threading
    def work():
        threading.main_thread().join()
        {SHOW}
    threading.Thread(target=work).start()
    """
    result = program.run(body)
    if sys.version_info[:2] == (3, 12):
        assert "can't create new thread at interpreter shutdown" in result.stderr
    else:
        program.assert_downloaded(result)


@pytest.mark.row("host/asyncio")
def test_an_asyncio_program(program: Program) -> None:
    """In an executor, while the loop goes on."""
    body = """
    import asyncio, os
    async def main():
        loop, beats = asyncio.get_running_loop(), 0
        download_done = loop.run_in_executor(None, download)
        while not download_done.done():
            await asyncio.sleep(0.01)
            beats += 1
        print(await download_done, os.times().children_user > 0 and beats > 3)
    asyncio.run(main())
    """
    program.assert_downloaded(program.run(body))


@pytest.mark.row("host/daemonic")
def test_a_daemonic_process(program: Program) -> None:
    """multiprocessing forbids children to its daemons; ours are none of its."""
    body = f"""
    import multiprocessing
    def work():
        assert multiprocessing.current_process().daemon
        {SHOW}
    if __name__ == "__main__":
        process = multiprocessing.get_context("fork").Process(target=work, daemon=True)
        process.start()
        process.join()
        assert process.exitcode == 0
    """
    program.assert_downloaded(program.run(body))


@pytest.mark.row("host/after-fork")
def test_after_a_fork(program: Program) -> None:
    """A child of a program that has the engine loaded downloads on its own."""
    body = f"""
    import os, sys
    child = os.fork()
    if child == 0:
        {SHOW}
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    """
    program.assert_downloaded(program.run(body))


def test_several_downloads_one_after_the_other(program: Program) -> None:
    """Nothing of the first stands in the way of the second."""
    body = f"""
    import psutil
    download()
    assert psutil.Process().children() == []
    (__import__("pathlib").Path({str(program.folder / "models/model.gguf")!r})).unlink()
    download()
    assert psutil.Process().children() == []
    assert __import__("threading").active_count() == 1
    """
    program.run(body)
    assert program.content.first_difference(program.folder / "models/model.gguf") is None


@pytest.mark.row("host/repl")
def test_the_interactive_interpreter(program: Program) -> None:
    """Statement by statement, with a prompt between them."""
    typed = f"{program.text('').strip()}\n\n{SHOW}\n".encode()
    result = program._command.run(entry=[sys.executable, "-q", "-i"], stdin=typed).check()
    assert result.stderr.count(">>> ") >= 3 and "Traceback" not in result.stderr
    assert result.stdout.split() == [str(program.folder / "models/model.gguf"), "True"]
    assert program.content.first_difference(program.folder / "models/model.gguf") is None


@pytest.mark.row("host/fork-while-pulling")
def test_a_fork_while_another_thread_downloads(program: Program) -> None:
    """The child has copies of whatever locks that thread held: it downloads on its own, and neither disturbs the
    other."""
    second = program.folder / "second"
    body = f"""
    import os, threading, warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks beside threads
    from pathlib import Path
    from engine.model_downloader import ModelDownloader
    under_way, forked = threading.Event(), threading.Event()
    def show(progress):
        under_way.set()
        forked.wait(20)
    def work():
        ModelDownloader({str(program.folder / "models")!r}, processes=2).download(
            "model", {program.origin.url("model.gguf")!r}, "model.gguf", progress_callback=show)
    thread = threading.Thread(target=work)
    thread.start()
    assert under_way.wait(20)
    child = os.fork()
    if child == 0:
        ModelDownloader({str(second)!r}, processes=2).download(
            "model", {program.origin.url("model.gguf")!r}, "model.gguf", expected_sha256={program.content.sha256()!r})
        os._exit(0)
    forked.set()
    assert os.waitpid(child, 0)[1] == 0
    thread.join()
    """
    result = program.run(body)
    assert "Traceback" not in result.stderr
    for folder in (program.folder / "models", second):
        assert program.content.first_difference(folder / "model.gguf") is None


EVIL = ["ssl", "urllib3", "engine", "json", "socket", "xxhash", "msgspec", "sitecustomize", "usercustomize"]


@pytest.mark.row("host/hostile-folder")
def test_modules_beside_the_script_are_never_imported(program: Program, tmp_path: Path) -> None:
    """A download folder may hold an ssl.py: workers take nothing from the current folder or the script's."""
    trap = tmp_path / "imported"
    for name in EVIL:
        (program.folder / f"{name}.py").write_text(
            f"open({str(trap)!r}, 'a').write({name!r})\nraise SystemExit(3)\n"
        )
    body = f"""
    import os, sys
    sys.path[:0] = ["", {str(program.folder)!r}]
    os.chdir({str(program.folder)!r})
    {SHOW}
    """
    script = program.folder / "program.py"
    script.write_text(program.text(body))
    # The caller itself starts safely (-P); what it then does to its path must not reach its workers.
    loaded = (
        "import runpy, sys, engine.model_downloader, engine.transfer.coordinator; runpy.run_path(sys.argv[1])"
    )
    result = program._command.run(str(script), entry=[sys.executable, "-P", "-c", loaded]).check()
    program.assert_downloaded(result)
    assert not trap.exists(), f"imported: {trap.read_text()}"


@pytest.mark.row("host/hostile-folder")
def test_the_command_imports_nothing_from_the_current_folder(trial: Trial, tmp_path: Path) -> None:
    """`jarvis` typed in a download folder that holds an ssl.py."""
    trap = tmp_path / "imported"
    folder = trial.target.parent
    for name in EVIL:
        (folder / f"{name}.py").write_text(f"open({str(trap)!r}, 'a').write({name!r})\nraise SystemExit(3)\n")
    entry = [sys.executable, "-P", "-c", "from engine.cli import main; main()"]
    trial.command.run(*trial.arguments("-p", 2), cwd=folder, entry=entry).check()
    trial.assert_exact()
    assert not trap.exists(), f"imported: {trap.read_text()}"


# Who does the work


def written_bytes(process: psutil.Process) -> int:
    """Bytes that a process has handed to write calls, from Linux' own books (proc(5): wchar)."""
    match = re.search(r"^wchar: (\d+)$", Path(f"/proc/{process.pid}/io").read_text(), re.MULTILINE)
    assert match is not None
    return int(match.group(1))


def peers(process: psutil.Process, port: int) -> int:
    """Connections of a process to the origin."""
    return sum(bool(c.raddr) and c.raddr.port == port for c in process.net_connections("tcp"))


@pytest.mark.parametrize("options", [("-p", 2), ()], ids=["two", "default"])
def test_workers_write_everything_and_the_command_nothing(
    try_file: Callable[..., Trial], options: tuple[object, ...]
) -> None:
    """From 64 MiB on, segments go from the socket to the disk in worker processes: with -p 2 in both of them."""
    trial = try_file(SIZE, pace=8 * MIB)  # a file that is there before the second worker is up tells nothing
    trial.origin.fault("stall", offset=SIZE - 4096)
    running = trial.spawn("-c", 8, "--segment-size", "1MiB", *options)
    trial.origin.wait_fired("stall", timeout_s=30)
    workers = running.children()
    wait_until(lambda: sum(map(written_bytes, workers)) >= SIZE - 2 * MIB, "workers to have written the file")
    command = psutil.Process(running.pid)
    assert written_bytes(command) < 2 * MIB
    assert peers(command, trial.origin.port) <= 1  # the first request, which learnt the size
    assert sum(peers(worker, trial.origin.port) for worker in workers) >= 2
    if options:
        assert len(workers) == 2
        assert min(map(written_bytes, workers)) >= SIZE // 10
        assert all(peers(worker, trial.origin.port) for worker in workers)
    trial.origin.thaw()
    running.wait().check()
    trial.assert_exact()


def test_the_log_names_the_worker_of_every_lease(trial: Trial, tmp_path: Path) -> None:
    """With -p 2, leases go to both workers, and to nobody else."""
    log = tmp_path / "log.jsonl"
    trial.pull("-p", 2, "-c", 4, "--log-file", log)
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    started = [entry["host"] for entry in entries if entry["event"] == "worker.started"]
    lanes = [entry["lane"] for entry in entries if entry["event"] == "lease.sent"]
    assert len(started) == 2
    assert all(any(host in lane for host in started) for lane in lanes)
    assert all(any(host in lane for lane in lanes) for host in started)


def test_small_work_needs_no_worker(trial: Trial) -> None:
    """A few mebibytes are fetched on threads of the command: a process would cost more than it brings."""
    trial.origin.fault("stall", offset=trial.content.size - 1)
    running = trial.spawn("-p", 0)
    trial.origin.wait_fired("stall")
    assert running.children() == []
    trial.origin.thaw()
    running.wait().check()
    trial.assert_exact()


def test_workers_are_single_purpose(trial: Trial) -> None:
    """A worker loads no extension written in Rust, and nothing of the command's face."""
    trial.origin.fault(
        "stall", when=lambda r: r.range is not None and r.range[0] >= 2 * MIB, after_bytes=1, times=2
    )
    running = trial.spawn("-p", 1)
    trial.origin.wait_fired("stall", 2)
    (worker,) = running.children()
    maps = Path(f"/proc/{worker.pid}/maps").read_text()
    libraries = {line.split()[-1] for line in maps.splitlines() if ".so" in line}
    foreign = [
        path
        for path in libraries
        if b"rust_begin_unwind" in Path(path).read_bytes() or b"rustc" in Path(path).read_bytes()
    ]
    assert any("xxhash" in path for path in libraries)
    assert foreign == []
    trial.origin.release()
    running.wait().check()


def pss_bytes(processes: list[psutil.Process]) -> int:
    """Memory of processes together, shared pages counted once (proc(5): Pss)."""
    total = 0
    for process in processes:
        try:
            rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        except OSError:
            continue  # ended meanwhile
        match = re.search(r"^Pss:\s+(\d+) kB$", rollup, re.MULTILINE)
        total += int(match.group(1)) << 10 if match else 0
    return total


def test_a_gibibyte_takes_no_more_memory_than_a_small_file(
    command: Command, origin_factory: Callable[..., Any], tmp_path: Path
) -> None:
    """Peak memory of all processes together, 16 lanes: below 200 MiB."""
    content = Pattern(1 << 30)
    origin = origin_factory({"model.gguf": File(content)})
    shared = Path("/dev/shm")
    room = shared.is_dir() and psutil.disk_usage(str(shared)).free > 3 << 30
    folder = Path(
        subprocess.check_output(["mktemp", "-d", "-p", str(shared if room else tmp_path)], text=True).strip()
    )
    try:
        running = command.spawn("pull", origin.url("model.gguf"), "-o", folder / "model.gguf", "-c", 16)
        peak, samples = 0, 0
        while running.process.poll() is None:
            peak = max(peak, pss_bytes([psutil.Process(running.pid), *running.children()]))
            samples += 1
            time.sleep(0.05)
        running.wait().check()
        assert content.first_difference(folder / "model.gguf") is None
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)
    assert samples > 5
    assert 10 * MIB < peak < 200 * MIB, f"{peak >> 20} MiB"
