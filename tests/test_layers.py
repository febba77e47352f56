"""The house's one rule of stairs: imports go down. And what a worker process loads, down to its shared objects.

The table is the design. A module that is not in it has no place yet: give it one, in the commit that gives the reason.
"""

import ast
import json
import queue
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine
from engine.settings import Settings
from engine.spans import Span
from engine.store.part import Part
from engine.transfer.hosts import ProcessHost
from engine.transfer.messages import Lease, LeaseEnded, Open, SegmentWritten
from engine.transport.auth import Credentials
from tests.origin import Pattern

ROOT = Path(engine.__file__).parent

FLOORS = """
    cli
    console
    server
    llm_manager
    library
    model_downloader
    sources | transfer | model_manifest manifest_file manifest_record
    transport | store
    model_registry
    model_pages
    model_path
    remote_file
    digest spans settings arguments telemetry plain_url regular_file gguf_header safetensors_header
    errors
    plain_text
"""
"""From the top. What stands on one floor may import each other, unless a | is between them."""

THIRD_PARTY = {
    "msgspec": {*FLOORS.split()} - {"|"},
    "xxhash": {"store", "transfer"},
    "urllib3": {"transport"},
    "truststore": {"transport"},
    "cryptography": {"transport"},
    "psutil": {"console", "library"},
    "platformdirs": {"settings"},
    "structlog": {"telemetry"},
    "click": {"cli", "console"},
    "rich": {"console"},
    "aiohttp": {"server", "console"},
}
"""Who may load what from outside; whatever is not named here is not a dependency."""


def rooms() -> dict[str, tuple[int, int]]:
    """Floor, counted from the bottom, and room on it, by the first part of a module's name below `engine`."""
    floors = [line.split("|") for line in FLOORS.strip().splitlines()]
    return {
        name: (len(floors) - floor, room)
        for floor, line in enumerate(floors)
        for room, names in enumerate(line)
        for name in names.split()
    }


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of all that a file imports, inside functions too, and what it may not use: relative names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            assert node.module is not None
            is_root = node.module == "engine"
            yield from (
                (node.lineno, f"engine.{alias.name}" if is_root else node.module) for alias in node.names
            )


def below(name: str) -> str:
    """engine.transfer.plan -> transfer"""
    return name.split(".")[1]


def modules() -> list[Path]:
    """Every module but the public page, which names what it offers."""
    return sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def violations(path: Path, room: str) -> list[str]:
    """What this file imports that it must not, as lines for a person."""
    table, found = rooms(), []
    for line, name in imports(path):
        if not name.startswith("engine.") or name == "engine.__version__":
            continue
        target = below(name)
        if target not in table:
            found.append(f"{path}:{line} imports {name}, which has no place in the table")
            continue
        (here, side), (there, other_side) = table[room], table[target]
        if there > here or (there == here and side != other_side):
            found.append(f"{path}:{line} ({room}) imports {name}, which is not below it")
    return found


def test_every_module_has_a_place():
    """A new module gets its floor in the table above."""
    assert {room_of(path) for path in modules()} <= set(rooms())


def test_imports_go_down():
    """No module imports what is above it, or beside it behind a `|`; imports inside functions count too."""
    assert [fault for path in modules() for fault in violations(path, room_of(path))] == []


def test_third_party_imports_have_an_owner():
    """Each dependency is loaded by the part that is about it, and there are no others."""
    found = []
    for path in modules():
        for line, name in imports(path):
            top = name.partition(".")[0]
            if top == "engine" or top in sys.stdlib_module_names:
                continue
            if room_of(path) not in THIRD_PARTY.get(top, set()):
                found.append(f"{path}:{line} ({room_of(path)}) imports {name}")
    assert found == []


UPWARD = [
    ("transport", "from engine.transfer.plan import Plan"),
    ("transport", "import engine.store.part"),
    ("transfer", "def f():\n    from engine.sources import find_source"),
    ("store", "from engine import cli"),
    ("errors", "import engine.digest"),
    ("server", "from engine.console import words"),
    ("spans", "import engine.nowhere"),
]


@pytest.mark.parametrize(("room", "text"), UPWARD)
def test_the_rule_notices(tmp_path, room, text):
    """A step up, a step sideways, hidden in a function or written in another way, is found."""
    (tmp_path / "module.py").write_text(text)
    assert len(violations(tmp_path / "module.py", room)) == 1


# What is loaded


def loaded_after(statement: str) -> set[str]:
    """Names of all modules that a fresh interpreter has after a statement, without those that it starts with."""
    program = f"before = set(sys.modules)\n{statement}\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import json, sys; sys.path[:] = {sys.path!r}\n{program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout))


def outsiders(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"engine"}


def test_import_engine_does_no_work():
    """`import engine` loads nothing but its own page."""
    names = loaded_after("import engine")
    assert outsiders(names) == set()
    assert {name for name in names if name.startswith("engine")} == {"engine"}
    assert not names & {"asyncio", "http.client", "ssl", "socket", "subprocess", "logging", "multiprocessing"}


def test_public_names_load_no_network():
    """Parsing a model path costs no HTTP client, and a ModelDownloader none before it is used."""
    for statement in (
        "from engine import ModelRegistry, get_download_url",
        "from engine import ModelDownloader",
    ):
        names = outsiders(loaded_after(statement))
        assert not names & {"urllib3", "structlog", "click", "rich", "aiohttp", "psutil", "truststore"}, (
            statement
        )


TAKEN_BY_URLLIB3 = {"brotli", "zstandard", "socks", "typing_extensions"}
"""What urllib3 loads where somebody has installed it."""

LANE = """
import engine.transfer.worker
from engine.settings import Settings
from engine.transport.auth import Credentials
from engine.transport.tls import tls_context
from engine.transport.wire import Wire
Wire(Settings(), Credentials())
"""


def test_worker_loads_only_what_it_needs():
    """A worker and its lanes: urllib3, msgspec, xxhash, and of the engine only what lanes use."""
    names = loaded_after(LANE)
    assert outsiders(names) <= {"urllib3", "msgspec", "xxhash"} | TAKEN_BY_URLLIB3
    assert not names & {"asyncio", "multiprocessing", "subprocess", "unittest", "pydoc"}
    ours = {below(name) for name in names if name.startswith("engine.")}
    assert ours <= {
        "transfer",
        "transport",
        "store",
        "remote_file",
        "digest",
        "spans",
        "settings",
        "telemetry",
        "plain_url",
        "regular_file",
        "plain_text",
        "errors",
    }
    stored = {name for name in names if name.startswith("engine.store.")}
    assert stored == {"engine.store.disk", "engine.store.pieces"}
    assert not names & {
        "engine.transfer.coordinator",
        "engine.transfer.file_transfer",
        "engine.transfer.fleet",
    }


RUST = (b"rust_panic", b"rust_begin_unwind", b"/rustc/", b"rust_eh_personality")


def is_rust_extension(path: Path) -> bool:
    data = path.read_bytes()
    return b"PyInit_" in data and any(mark in data for mark in RUST)


def mapped_objects(pid: int) -> set[Path]:
    """Files that a process has mapped executable: its shared objects."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {Path(line.split(maxsplit=5)[5]) for line in lines if " r-xp " in line and "/" in line}


def test_the_detector_finds_rust():
    """What looks for Rust finds it where it is: in the extension that made our certificates."""
    from cryptography.hazmat.bindings import _rust

    assert is_rust_extension(Path(_rust.__file__))
    import _hashlib

    assert not is_rust_extension(Path(_hashlib.__file__))


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_working_worker_has_no_rust_extension(tmp_path, tls, origin_factory, secure):
    """A real worker that has fetched a segment has no extension module in it that is made with Rust: hashing and TLS
    are OpenSSL's and xxhash's, in C."""
    origin = origin_factory({"m": Pattern(1 << 20)}, tls=tls if secure else None)
    inbox: queue.SimpleQueue = queue.SimpleQueue()
    settings = Settings(cacert=str(tls.cacert))
    part = Part.try_open(tmp_path / "part")
    part.start(None, 1 << 20, "sparse")
    host = ProcessHost(settings, Credentials(), 1, inbox, first_turn=0, max_block=1 << 20)
    try:
        host.send(Open(0, 1 << 20, 1 << 20), (part.fd, part.lock.fd))
        host.send(Lease(0, 1, 0, origin.url("m"), Span(0, 1 << 20)))
        host.flush()
        said = []
        while not said or not isinstance(said[-1], LeaseEnded):
            said.append(inbox.get(timeout=30)[1])
        assert [type(message) for message in said] == [SegmentWritten, LeaseEnded]
        objects = mapped_objects(host.pid)
    finally:
        host.kill()
        part.remove()
    names = " ".join(path.name for path in objects)
    assert "_xxhash" in names, "the list is the worker's"
    assert "msgspec" in names or "_core" in names
    assert {path for path in objects if path.exists() and is_rust_extension(path)} == set()
