"""The pulls that are recorded: the real command with real workers, at a real origin, below strace."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from engine.digest import Digest
from engine.model_downloader import loose_job, stored_job
from engine.remote_file import RemoteFile, RemoteName
from engine.settings import Settings
from engine.store import layout
from engine.store.blobs import Blobs
from engine.store.receipts import Receipts
from engine.transfer.job import Job
from tests.command import ROOT
from tests.origin import Content, File, Origin, Pattern
from tests.powercut.strace import STEP, calls, options
from tests.powercut.tape import Tape

SEGMENT = 10_000
"""No multiple of a page or a sector: what is torn tears two segments."""
SIZE = 777_777
SMALL = 40
_WORKERS = ("--segment-size", SEGMENT, "-p", 2, "-c", 4)
_TIMEOUT_S = 60
_ENTRY = (
    "from engine.console import options; options._SEGMENTS = (1, 1 << 30); "
    "from engine.transfer import follower; follower._SYNC_EVERY_BYTES = 150_000; "
    "from engine.cli import main; main()"
)
"""The command, but for small segments, and for syncs behind the writers that come as often as in a large file."""


@dataclass
class Scene:
    """A recorded pull, and what is to be pulled after a cut."""

    name: str
    origin: Origin
    tape: Tape
    jobs: list[Job] = field(default_factory=list)
    names: dict[Path, tuple[bytes, ...]] = field(default_factory=dict)
    """What may have its final name, and the contents that it may have then."""
    since: float = 0
    """Cuts before are of no interest."""
    done: float = 0
    """From here on the pull has said that it is done."""
    lines: int = 0

    @property
    def settings(self) -> Settings:
        return Settings(segment_size=SEGMENT, processes=0, connections=2, retry_delay_s=0.01)

    @property
    def home(self) -> Path:
        return self.tape.root / "home"

    @property
    def target(self) -> Path:
        return self.tape.root / "models" / "model.gguf"

    def content_of(self, job: Job) -> bytes:
        """What the next pull brings."""
        return self.names[job.target][0]

    def etag_of(self, job: Job) -> str | None:
        return self.origin.files[job.remote.name].etag

    def published(self, path: str) -> Content:
        """What the origin has now."""
        content = self.origin.files[path].content
        assert isinstance(content, Content)
        return content

    def wants(self, path: str, target: Path, *, has_digest: bool) -> None:
        """A job for a loose file, and its name."""
        remote = self._remote(path, has_digest=has_digest)
        job = loose_job(remote, target, receipts=Receipts(layout.receipts(self.home)))
        self.jobs.append(job)
        self.names[target] = (self.published(path).read(),)

    def wants_stored(self, path: str) -> None:
        """Likewise for one in the store, which has the name of a blob, too."""
        folder = f"127.0.0.1_{self.origin.port}/files"
        job = stored_job(self._remote(path, has_digest=False), folder)
        self.jobs.append(job)
        content = self.published(path)
        blob = Blobs(self.home).path_of(content.sha256())
        self.names |= dict.fromkeys((job.target, blob), (content.read(),))

    def _remote(self, path: str, *, has_digest: bool) -> RemoteFile:
        digest = Digest.parse(f"sha256:{self.published(path).sha256()}") if has_digest else None
        return RemoteFile(name=RemoteName.parse(path), url=self.origin.url(path), digest=digest)

    def pull(self, *words: object, meanwhile: Callable[[psutil.Process], None] | None = None) -> None:
        """Record the command to its end. meanwhile is handed strace, and ends the command below it; without that, it
        ends well."""
        log = self.tape.root.with_name("strace.log")
        process = subprocess.Popen(
            [*options(log), sys.executable, "-c", _ENTRY, "pull", *map(str, words), "--quiet"],
            env=_environment(self.home),
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            if meanwhile is not None:
                meanwhile(psutil.Process(process.pid))
            code = process.wait(_TIMEOUT_S)
        finally:
            process.kill()
            process.wait()
        if meanwhile is None and code:
            raise RuntimeError(f"the recorded pull ended with {code}")
        lines = log.read_text("ascii").splitlines()
        self.tape.record(calls(lines, (self.lines + 1) * STEP))
        self.lines += len(lines)
        self.done = self.tape.stop


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "JARVIS_HOME": str(home),
        "HOME": str(home.parent.parent),
    }


# Each scene


def _digest(scene: Scene) -> None:
    """One file with a digest, in one run."""
    scene.wants("model.gguf", scene.target, has_digest=True)
    digest = scene.published("model.gguf").sha256()
    scene.pull(scene.origin.url("model.gguf"), "-o", scene.target, *_WORKERS, "--sha256", digest)


def _no_digest(scene: Scene) -> None:
    """Nothing says what the file should be but its ETag."""
    scene.wants("model.gguf", scene.target, has_digest=False)
    scene.pull(scene.origin.url("model.gguf"), "-o", scene.target, *_WORKERS)


def _stopped(scene: Scene) -> None:
    """Ctrl-C at about two thirds, with lanes in the midst of a segment; then the same command again."""
    _in_two_runs(scene, lambda command: command.send_signal(signal.SIGINT))


def _killed(scene: Scene) -> None:
    """Likewise, by SIGKILL."""
    _in_two_runs(scene, lambda command: command.kill())


def _changed(scene: Scene) -> None:
    """Likewise, and then the server has another version, which begins again in the same folder."""
    _in_two_runs(
        scene,
        lambda command: command.kill(),
        between=lambda: scene.origin.add("model.gguf", File(Pattern(SIZE, seed=2))),
    )


def _in_two_runs(
    scene: Scene, end: Callable[[psutil.Process], None], between: Callable[[], None] = lambda: None
) -> None:
    def meanwhile(tracer: psutil.Process) -> None:
        scene.origin.wait_fired("stall", 2, timeout_s=_TIMEOUT_S)
        (command,) = tracer.children()
        end(command)

    words = (scene.origin.url("model.gguf"), "-o", scene.target, *_WORKERS)
    scene.origin.fault(
        "stall", when=lambda r: r.range is not None and r.range[1] > SIZE * 2 // 3, after_bytes=5_000
    )
    scene.pull(*words, meanwhile=meanwhile)
    scene.origin.behave()
    between()
    scene.wants("model.gguf", scene.target, has_digest=False)
    scene.since = scene.done
    scene.pull(*words)


def _replaced(scene: Scene) -> None:
    """A finished file gives its name to a new version."""
    words = (scene.origin.url("model.gguf"), "-o", scene.target, *_WORKERS)
    scene.pull(*words)
    scene.since = scene.done
    before = scene.published("model.gguf").read()
    scene.origin.add("model.gguf", File(Pattern(SIZE, seed=2)))
    scene.wants("model.gguf", scene.target, has_digest=True)
    scene.names[scene.target] += (before,)
    scene.pull(*words, "--sha256", scene.published("model.gguf").sha256())


def _stored(scene: Scene) -> None:
    """Into the store: the part lies in another folder than its target, and the content is a blob as well."""
    scene.wants_stored("model.gguf")
    scene.pull(scene.origin.url("model.gguf"), *_WORKERS)


def _small_files(scene: Scene) -> None:
    """Many files without journals, finished in batches."""
    paths = [f"small{number:02}.bin" for number in range(SMALL)]
    for number, path in enumerate(paths):
        scene.origin.add(path, Pattern(3_000 + 100 * number, seed=number % 8))
        scene.wants(path, scene.target.with_name(path), has_digest=False)
    scene.pull("-d", scene.target.parent, *map(scene.origin.url, paths))


SCENES: dict[str, Callable[[Scene], None]] = {
    "digest": _digest,
    "no digest": _no_digest,
    "stopped": _stopped,
    "killed": _killed,
    "changed": _changed,
    "replaced": _replaced,
    "stored": _stored,
    "small files": _small_files,
}


@contextmanager
def recorded(name: str) -> Iterator[Scene]:
    """A scene, recorded; its origin serves and its folder is there until the end of the block."""
    memory = Path("/dev/shm")
    where = memory if os.access(memory, os.W_OK) else None
    kept = os.environ.get("JARVIS_HOME")
    with TemporaryDirectory(dir=where, prefix="powercut-") as folder, Origin() as origin:
        root = Path(folder).resolve() / "disk"
        root.mkdir()
        os.environ["JARVIS_HOME"] = str(root / "home")
        origin.add("model.gguf", File(Pattern(SIZE, seed=1)))
        scene = Scene(name, origin, Tape(root))
        try:
            SCENES[name](scene)
            yield scene
        finally:
            if kept is None:
                del os.environ["JARVIS_HOME"]
            else:
                os.environ["JARVIS_HOME"] = kept


def can_record() -> bool:
    return shutil.which("strace") is not None
