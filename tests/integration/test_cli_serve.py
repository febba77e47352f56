"""`jarvis serve`, and `jarvis pull` of model paths from it."""

import hashlib
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp")

from engine.server.run import BackgroundServer
from tests.command import Result, Running

Jarvis = Callable[..., Result]
FILES = {
    "M-Q4_K_M.gguf": b"GGUF4" * 100_000,
    "M-Q8_0.gguf": b"GGUF8" * 200_000,
    "config.json": b"{}",
    "sub/extra.bin": b"\0" * 100,
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        path = tmp_path / "served/ns/repo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "served"


@pytest.fixture
def hub(root: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with BackgroundServer(root) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server.url


def test_serve_says_where_and_how(
    spawn: Callable[..., Running], jarvis: Jarvis, root: Path, tmp_path: Path
) -> None:
    """The URL on stdout, on stderr a command that works when it is typed; SIGTERM ends it within seconds."""
    running = spawn("serve", "--root", root)
    running.wait_output(lambda out, err: out.endswith("\n") and "jarvis pull" in err, "its address")
    url = running.stdout.strip()
    example = running.stderr.strip().splitlines()[-1].strip()
    assert example == f"HF_ENDPOINT={url} jarvis pull hf.co/ns/repo"
    setting, _, *words = example.split()
    result = jarvis(*words, "-d", tmp_path / "d", env=dict([setting.split("=")])).check(0)
    assert result.stdout == f"{tmp_path / 'd/M-Q4_K_M.gguf'}\n"
    started = time.monotonic()
    running.send(signal.SIGTERM)
    assert running.wait().code == 0
    assert time.monotonic() - started < 3


@pytest.mark.row("attack/6-control-characters")
def test_an_example_to_type_is_harmless(spawn: Callable[..., Running], root: Path) -> None:
    """A folder that others fill names what a shell or a terminal would obey: it is no example."""
    for name in ("a;touch PWNED", "a$(touch PWNED)", "a\x1b[31mred", "a\nb", "b'c", "m m"):
        (root / "acme" / name).mkdir(parents=True)
    running = spawn("serve", "--root", root)
    running.wait_output(lambda out, err: out.endswith("\n") and "jarvis pull" in err, "its address")
    assert running.stderr.splitlines()[-1].endswith(" jarvis pull hf.co/ns/repo")
    assert "\x1b" not in running.stderr
    running.send(signal.SIGTERM)
    running.wait()


def test_model_path_lands_in_the_store(jarvis: Jarvis, hub: str, home: Path) -> None:
    """hf.co/ns/repo: the default quantization, verified against the published digest, below llm/."""
    result = jarvis("pull", "hf.co/ns/repo", "--json").check(0)
    (file,) = result.events_named("file")
    assert Path(file["path"]) == home / "llm/ns/repo/M-Q4_K_M.gguf"
    assert file["verified"] is True
    assert file["sha256"] == hashlib.sha256(FILES["M-Q4_K_M.gguf"]).hexdigest()
    assert "verified against the digest that 127.0.0.1 publishes" in result.stderr
    assert Path(file["path"]).read_bytes() == FILES["M-Q4_K_M.gguf"]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["hf.co/ns/repo:q8_0"], ["M-Q8_0.gguf"]),
        (["ns/repo", "-q", "Q8_0"], ["M-Q8_0.gguf"]),
        (["ns/repo:M-Q8_0.gguf"], ["M-Q8_0.gguf"]),
        (["ns/repo", "--file", "config.json"], ["config.json"]),
        (["ns/repo", "--include", "*.json", "--include", "sub/*"], ["config.json", "sub/extra.bin"]),
        (["ns/repo", "--include", "*.gguf", "--exclude", "*Q4*"], ["M-Q8_0.gguf"]),
        (["ns/repo:Q8_0", "ns/repo:Q4_K_M"], ["M-Q4_K_M.gguf", "M-Q8_0.gguf"]),
    ],
    ids=" ".join,
)
def test_what_is_chosen(jarvis: Jarvis, hub: str, tmp_path: Path, words: list[str], names: list[str]) -> None:
    """Tags, options and patterns choose; -d keeps the repository's own paths."""
    result = jarvis("pull", *words, "-d", tmp_path / "d").check(0)
    assert sorted(result.stdout.splitlines()) == [str(tmp_path / "d" / name) for name in names]
    for name in names:
        assert (tmp_path / "d" / name).read_bytes() == FILES[name]


def test_files_of_equal_content(jarvis: Jarvis, root: Path, hub: str, home: Path) -> None:
    """In the store they share a part: one comes after the other, and nobody speaks of waiting for oneself."""
    twins = ("first/M.gguf", "second/M.gguf")
    for name in twins:
        path = root / "ns/twins" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(FILES["M-Q8_0.gguf"])
    result = jarvis(
        "pull", "ns/twins", "--include", "*.gguf", "--json", "--log-file", home.parent / "log"
    ).check(0)
    assert [Path(e["path"]) for e in result.events_named("file")] == [
        home / "llm/ns/twins" / n for n in twins
    ]
    for event in result.events_named("file"):
        assert Path(event["path"]).read_bytes() == FILES["M-Q8_0.gguf"]
    assert result.events_named("wait") == []
    assert "waiting for process" not in result.stderr
    assert "lock.waiting" not in (home.parent / "log").read_text()
    assert list((home / "partial").iterdir()) == []


def test_output_of_a_model_path(jarvis: Jarvis, hub: str, tmp_path: Path) -> None:
    """-o works where the path means one file, and is refused where it means more."""
    jarvis("pull", "ns/repo:Q8_0", "-o", tmp_path / "x").check(0)
    assert (tmp_path / "x").read_bytes() == FILES["M-Q8_0.gguf"]
    result = jarvis("pull", "ns/repo", "--include", "*", "-o", tmp_path / "y").check(2)
    assert "4 files" in result.stderr and "--dir" in result.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["ns/absent"], 3, "ns/absent"),
        (["ns/repo:Q5_K_M"], 3, "Q4_K_M"),
        (["ns/repo@nowhere"], 3, "nowhere"),
        (["ns/repo:Q4_K_M", "-q", "Q8_0"], 2, "Leave one"),
        (["ns/repo", "--include", "*.nothing"], 3, "No file matches"),
        (["ns/repo:Q8_0", "--sha256", "0" * 64, "-d", "."], 2, "publishes"),
        (["ns/repo:Q8_0", "--hash", "none", "-d", "."], 2, "always hashed"),
    ],
)
def test_what_cannot_be_chosen(jarvis: Jarvis, hub: str, words: list[str], code: int, message: str) -> None:
    """The exit code of the contract, and a message that helps."""
    result = jarvis("pull", *words).check(code)
    assert message in result.stderr and result.stderr.count("error: ") == 1


def test_dry_run_of_a_custom_registry_writes_nothing(jarvis: Jarvis, home: Path, tmp_path: Path) -> None:
    """Not even which protocol it speaks; the pull itself remembers that."""
    (tmp_path / "models/ns/m").mkdir(parents=True)
    (tmp_path / "models/ns/m/m.gguf").write_bytes(b"GGUF" * 1000)
    with BackgroundServer(tmp_path / "models") as server:
        path = f"{server.url.removeprefix('http://')}/ns/m"
        assert jarvis("pull", path, "--dry-run", "--json").check(0).events_named("plan")
        assert not home.exists()
        jarvis("pull", path).check(0)
    assert (home / "origins.json").exists()


def test_dry_run_of_a_model_path(jarvis: Jarvis, hub: str, home: Path) -> None:
    """Names, sizes and places, from the listing alone."""
    result = jarvis("pull", "ns/repo", "--include", "*.gguf", "--dry-run", "--json").check(0)
    sizes = {Path(plan["path"]).name: plan["size"] for plan in result.events_named("plan")}
    assert sizes == {"M-Q4_K_M.gguf": 500_000, "M-Q8_0.gguf": 1_000_000}
    assert not home.exists()


def test_serve_what_was_pulled(
    jarvis: Jarvis, spawn: Callable[..., Running], hub: str, tmp_path: Path
) -> None:
    """Without --root, what was pulled to the store is handed out."""
    jarvis("pull", "ns/repo").check(0)
    running = spawn("serve")
    running.wait_output(lambda out, _: out.endswith("\n"), "its address")
    other = {"HF_ENDPOINT": running.stdout.strip(), "JARVIS_HOME": str(tmp_path / "other")}
    (file,) = jarvis("pull", "ns/repo", "--json", env=other).check(0).events_named("file")
    assert Path(file["path"]).read_bytes() == FILES["M-Q4_K_M.gguf"]
    running.send(signal.SIGINT)
    assert running.wait().code == 0


def test_serve_refuses(jarvis: Jarvis, root: Path, hub: str, tmp_path: Path) -> None:
    """No such folder, an empty store, an address for all the world, a port that is taken: in words."""
    assert "folder" in jarvis("serve", "--root", tmp_path / "absent").check(2).stderr
    assert "--root" in jarvis("serve").check(2).stderr
    assert "other machines" in jarvis("serve", "--root", root, "--host", "0.0.0.0").check(2).stderr
    port = hub.rpartition(":")[2]
    assert "taken" in jarvis("serve", "--root", root, "--port", port).check(8).stderr


def test_serve_without_aiohttp(jarvis: Jarvis, root: Path) -> None:
    """The message names what to install."""
    boot = "import sys; sys.modules['aiohttp'] = None; from engine.cli import main; main()"
    for words in (["serve", "--root", root], ["demo"]):
        result = jarvis(*words, entry=[sys.executable, "-c", boot]).check(2)
        assert "pip install 'jarviscore-engine[server]'" in result.stderr


def test_demo(jarvis: Jarvis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It interrupts itself, resumes, verifies, says what happened, and leaves nothing behind."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    result = jarvis("demo", timeout_s=120).check(0)
    assert "Ctrl-C halfway" in result.stdout and "2 worker processes" in result.stdout
    assert "the same command goes on from there" in result.stderr
    assert "a hash of the finished file agrees" in result.stdout
    assert not list((tmp_path / "t").iterdir())


def test_demo_is_honest(jarvis: Jarvis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a pull fails, the demo fails, and says with what."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    boot = "import engine.console.demo as d; d._RATE = 'fast'; from engine.cli import main; main()"
    result = jarvis("demo", entry=[sys.executable, "-c", boot]).check(1)
    assert "The demo failed" in result.stderr and "What happened" not in result.stdout


def test_demo_can_be_interrupted(
    spawn: Callable[..., Running], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C by a person ends it and its children, and the temporary folder goes with it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    running = spawn("demo")
    running.wait_output(lambda out, _: "$ jarvis pull" in out, "the first pull")
    running.interrupt_group()
    running.wait().check(130)
    assert not list((tmp_path / "t").iterdir())


def test_events_of_json_are_objects(jarvis: Jarvis, hub: str) -> None:
    """Every line of --json is one object that names its event."""
    lines = jarvis("pull", "ns/repo", "--json").check(0).stdout.splitlines()
    objects: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert all("event" in event for event in objects)
