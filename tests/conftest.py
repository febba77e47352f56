"""What every test can ask for, and three rules for all: nothing is left running; in CI nothing is skipped; a test
that is marked `alone` runs while no other one does."""

import fcntl
import os
import shutil
import signal
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Certificates
from tests.command import ROOT, Command
from tests.curl import Curl
from tests.leftovers import Watch
from tests.origin import Content, File, Origin
from tests.origin.ollama import Model, OllamaRegistry
from tests.real_models import find_minilm, write_gguf
from tests.starter import Starter

_NOT_INHERITED = ("HF_", "HUGGING", "JARVIS_", "OLLAMA_", "SSL_CERT_", "REQUESTS_CA_", "CURL_CA_")
_KEPT = ("HF_HUB_DISABLE_TELEMETRY", "JARVIS_TEST_MARK")


@pytest.fixture(scope="session")
def shared_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all processes of a run under pytest-xdist; without it just a folder of the session."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if hasattr(request.config, "workerinput") else base


@contextmanager
def locked(path: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a lock over all processes of a run (flock(2): it goes with the process, however that ends)."""
    with path.open("a") as file:
        fcntl.flock(file, how)
        yield


@pytest.fixture(autouse=True)
def machine(request: pytest.FixtureRequest, shared_folder: Path) -> Iterator[None]:
    """Tests beside each other, but for those marked `alone`. All queue at the door, so that one of those is not
    passed by for ever."""
    alone = request.node.get_closest_marker("alone") is not None
    with ExitStack() as stack:
        with locked(shared_folder / "door.lock"):
            stack.enter_context(
                locked(shared_folder / "machine.lock", fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            )
        yield


def pytest_configure() -> None:
    """Commands die of a hang-up and of a Ctrl-C as they would in a terminal, also where the run was started by nohup
    or in the background of a script, whose ignored signals they would inherit."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that run alone come last: it is waited once for the others to end."""
    items.sort(key=lambda item: item.get_closest_marker("alone") is not None)


@pytest.fixture(autouse=True)
def nothing_left_running(
    request: pytest.FixtureRequest, machine: None, monkeypatch: pytest.MonkeyPatch
) -> Generator[None, None, None]:
    """Fail a test that leaves a thread or a process behind; those of wider fixtures do not count."""
    watch = Watch()
    monkeypatch.setenv("JARVIS_TEST_MARK", watch.mark)
    yield
    if left := watch.wait_gone(timeout_s=2.0):
        watch.kill()
        pytest.fail(f"{request.node.nodeid} left running: {', '.join(left)}", pytrace=False)


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates for local servers; `Origin(tls=tls)` shows the good one."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def origin_factory() -> Iterator[Callable[..., Origin]]:
    """Origins that end with the test: `origin_factory({"model.gguf": Pattern(size)}, tls=tls)`."""
    with ExitStack() as stack:

        def make(files: Mapping[str, File | Content | bytes | Path] | None = None, **options: Any) -> Origin:
            return stack.enter_context(Origin(files, **options))

        yield make


@pytest.fixture
def ollama_factory() -> Iterator[Callable[..., OllamaRegistry]]:
    """Registries as Ollama's: `ollama_factory([Model("library/tiny", [Layer("model", Pattern(size))])], tls=tls)`."""
    with ExitStack() as stack:

        def make(models: Sequence[Model] = (), **options: Any) -> OllamaRegistry:
            return stack.enter_context(OllamaRegistry(models, **options))

        yield make


@pytest.fixture
def curl(tmp_path: Path) -> Callable[..., Curl]:
    """One request of curl's: `curl(url, "-H", "Range: bytes=0-9").status`."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    return lambda url, *options, **more: Curl(tmp_path, url, *options, **more)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty JARVIS_HOME (and HOME), in an environment without proxies, tokens, certificates and a terminal's size
    (readline writes one into it, which processes of pytest-xdist then inherit)."""
    for name in list(os.environ):
        foreign = name.startswith(_NOT_INHERITED) or name.lower().endswith("_proxy")
        if foreign and name not in _KEPT:
            monkeypatch.delenv(name)
    user = tmp_path / "user"
    user.mkdir()
    monkeypatch.setenv("HOME", str(user))
    for name in (
        "XDG_CACHE_HOME",
        "XDG_DATA_HOME",
        "XDG_CONFIG_HOME",
        "NO_COLOR",
        "FORCE_COLOR",
        "COLUMNS",
        "LINES",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JARVIS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def starter() -> Iterator[Starter]:
    """What commands are forked off."""
    with Starter(ROOT) as starter:
        yield starter


@pytest.fixture
def command(home: Path, tmp_path: Path, starter: Starter) -> Iterator[Command]:
    """The `jarvis` command as a real process with an empty home; what still runs at the end is killed."""
    command = Command(tmp_path, starter)
    yield command
    command.kill_all()


@pytest.fixture
def jarvis(command: Command) -> Callable[..., Any]:
    """Run the command to its end: `jarvis("pull", url, "-o", path).code`; see tests/command.py."""
    return command.run


@pytest.fixture
def spawn(command: Command) -> Callable[..., Any]:
    """Start the command and go on: for tests that signal or kill it; see tests/command.py."""
    return command.spawn


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of the real all-MiniLM-L6-v2 model: model.safetensors, tokenizer.json and the rest."""
    return find_minilm()


@pytest.fixture(scope="session")
def gguf_file(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model as a real GGUF (architecture bert, F16), with metadata and vocabulary."""
    return write_gguf(minilm, tmp_path_factory.mktemp("gguf") / "all-MiniLM-L6-v2-F16.gguf")


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI everything that a test can use is installed, so a skipped test is a hole in the proof."""
    if os.environ.get("CI") and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.longrepr = f"{report.nodeid} was skipped, which CI does not allow: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report)
    return report
