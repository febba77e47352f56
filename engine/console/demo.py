"""`jarvis demo`: the main job, shown by itself on this machine: pull, Ctrl-C, the same command again, verified.

A real model file, a real server and real `jarvis pull` processes; only the pace is slowed for human eyes.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

import engine
from engine.console.gguf_file import write_gguf
from engine.console.sizes import format_size
from engine.console.streams import stdout
from engine.errors import DigestMismatch, EngineError
from engine.plain_text import printable
from engine.settings import MIB
from engine.transfer.admission import hash_file

SIZE = 256 * MIB
_RATE = "100MB/s"
_PROCESSES = 2
_REPO, _NAME = "demo/tiny-GGUF", "tiny-F16.gguf"
_TIMEOUT_S = 120.0
_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from engine.cli import main; main()"
_NOT_INHERITED = ("HF_", "HUGGING", "JARVIS_", "SSL_CERT")


class Run(msgspec.Struct, frozen=True):
    """How one `jarvis pull` ended."""

    code: int
    events: list[dict[str, Any]]
    workers: int
    """Worker processes that were seen at work."""

    def last(self, name: str) -> dict[str, Any]:
        """The last event of this name; empty if there was none."""
        return next((event for event in reversed(self.events) if event["event"] == name), {})


def run_demo() -> int:
    """0 if everything that is shown is true. Raises EngineError with what was not."""
    from engine.server.run import BackgroundServer

    say = stdout().say
    with tempfile.TemporaryDirectory(prefix="jarvis-demo-", ignore_cleanup_errors=True) as text:
        folder = Path(text)
        say(f"Making a model to pull: {SIZE // MIB} MiB of GGUF, full of random weights.")
        source = folder / "served" / _REPO / _NAME
        source.parent.mkdir(parents=True)
        digest = write_gguf(source, SIZE, "jarvis demo")
        with BackgroundServer(folder / "served") as server:
            environment = _environment(folder, server.url)
            command = ["pull", f"hf.co/{_REPO}", "-d", str(folder / "models"), "-p", str(_PROCESSES)]
            command += ["--limit-rate", _RATE]
            say(f"Serving it at {server.url}, as the Hub would; no byte of this leaves your machine.\n")
            say(f"$ jarvis {' '.join(command)}")
            first = _pull(command, environment, interrupt_at=SIZE // 2)
            _check_first(first)
            kept = format_size(first.last("error")["kept_bytes"])
            say(f"\nThat was a Ctrl-C halfway, on purpose. {kept} are kept. Now the same command again:\n")
            say(f"$ jarvis {' '.join(command)}")
            second = _pull(command, environment)
        target = folder / "models" / _NAME
        _check_second(first, second, target, digest)
        _conclude(first, second, digest)
    return 0


def _conclude(first: Run, second: Run, digest: str) -> None:
    file, say = second.last("file"), stdout().say
    say(f"\nWhat happened: {max(first.workers, second.workers)} worker processes fetched {_NAME} in pieces.")
    say(f"  from the first run  {format_size(file['held_bytes']):>9}  held, checked again, not fetched again")
    say(f"  from the second run {format_size(file['fetched_bytes']):>9}  fetched")
    say(
        f"  altogether          {format_size(file['size']):>9}  SHA-256 {digest[:16]}… is what the server published,"
    )
    say("                                 and a hash of the finished file agrees.")
    say("\nIt works here. Now a real one: jarvis pull hf.co/<namespace>/<repository>")


def _pull(command: Sequence[str], environment: dict[str, str], *, interrupt_at: int | None = None) -> Run:
    """Run `jarvis pull --json` with its stderr for people; SIGINT once it has so many bytes."""
    events: list[dict[str, Any]] = []
    workers = 0
    with _started(command, environment) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        for line in process.stdout:
            events.append(event := msgspec.json.decode(line))
            if event["event"] != "progress":
                continue
            workers = max(workers, _children(process.pid))
            if interrupt_at is not None and event["done_bytes"] >= interrupt_at:
                interrupt_at = None
                process.send_signal(signal.SIGINT)
        code = process.wait(_TIMEOUT_S)
    return Run(code, events, workers)


@contextmanager
def _started(command: Sequence[str], environment: dict[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    """The command as a process, which does not outlive the block."""
    root = str(Path(engine.__file__).parent.parent)
    process = subprocess.Popen(  # noqa: S603 - the command itself, with words of our own
        [sys.executable, "-P", "-c", _BOOT, root, *command, "--json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _environment(folder: Path, url: str) -> dict[str, str]:
    """Ours, without tokens, proxies and the user's own store."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_NOT_INHERITED) and not name.lower().endswith("_proxy")
    }
    hub = {"HF_ENDPOINT": url, "HF_TOKEN_PATH": str(folder / "no-token")}
    return {**kept, **hub, "JARVIS_HOME": str(folder / "home")}


def _children(pid: int) -> int:
    import psutil  # type: ignore[import-untyped]  # it ships no types

    try:
        return len(psutil.Process(pid).children())
    except psutil.Error:
        return 0


def _check_first(first: Run) -> None:
    if first.code != 130 or not first.last("error").get("kept_bytes"):
        raise _failure(
            "the interrupted pull should have ended with exit code 130 and kept what it had", first
        )


def _check_second(first: Run, second: Run, target: Path, digest: str) -> None:
    file = second.last("file")
    if second.code != 0 or file.get("verified") is not True or file.get("sha256") != digest:
        raise _failure("the second pull should have ended verified", second)
    if hash_file(target, ("sha256",), MIB)["sha256"] != digest:
        raise DigestMismatch("The pulled file is not the one that was served.", expected=digest, actual="")
    if file["held_bytes"] < first.last("error")["kept_bytes"] or file["held_bytes"] < SIZE // 4:
        raise _failure("the second pull should have used what the first one kept", second)
    if file["held_bytes"] + file["fetched_bytes"] != file["size"]:
        raise _failure("what was held and what was fetched should make up the file", second)
    if min(first.workers, second.workers) < _PROCESSES:
        raise _failure(f"{_PROCESSES} worker processes should have been at work", second)


def _failure(what: str, run: Run) -> EngineError:
    said = run.last("error").get("message", "nothing")
    return EngineError(
        f"The demo failed: {what}. Exit code {run.code}; it said: {printable(said)} "
        "Try `jarvis doctor`, and please report this."
    )
