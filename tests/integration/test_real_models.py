"""The main job on the real thing: all-MiniLM-L6-v2 and a GGUF made of it, from `jarvis serve` as Hub paths and from
nginx over TLS as plain URLs, killed and resumed between."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.store.journal import read_records
from tests.certificates import Certificates
from tests.command import Command, Running
from tests.journals import journals_below
from tests.nginx import Nginx

SEGMENT = 1 << 20
LANES = 8


@pytest.fixture
def models(tmp_path: Path, minilm: Path, gguf_file: Path) -> Path:
    """<namespace>/<repository>/<files>, as `jarvis serve` wants it."""
    root = tmp_path / "models"
    shutil.copytree(minilm, root / "sentence-transformers" / "all-MiniLM-L6-v2")
    gguf = root / "jarvis" / "all-MiniLM-L6-v2-GGUF"
    gguf.mkdir(parents=True)
    shutil.copy(gguf_file, gguf / "all-MiniLM-L6-v2-F16.gguf")
    return root


@pytest.fixture
def hub(command: Command, models: Path) -> Iterator[str]:
    """The address of a running `jarvis serve`."""
    server = command.spawn("serve", "--root", models, "--port", "0")
    server.wait_output(lambda out, err: "http://127.0.0.1:" in out + err, "address")
    text = server.stdout + server.stderr
    yield "http://127.0.0.1:" + text.split("http://127.0.0.1:")[1].split()[0].strip("/.,")
    server.send()
    assert server.wait(10).code in (0, 130)


def wait_for_journal(running: Running, folder: Path, records: int) -> None:
    """Until the part's journal tells of so many segments; the pull must not have ended before."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if any(len(read_records(journal)[0]) > records for journal in journals_below(folder)):
            return
        assert running.process.poll() is None, running.wait()
        time.sleep(0.005)
    raise AssertionError(f"the journal under {folder} did not grow")


def start_and_kill(command: Command, *args: object, env: dict[str, str]) -> None:
    """Start a pull and end it with SIGKILL somewhere in the middle."""
    slow = command.spawn(*args, "--limit-rate", "40MB/s", "--segment-size", SEGMENT, env=env)
    wait_for_journal(slow, command.folder.parent, 20)
    slow.kill()
    slow.wait()


def resume(command: Command, *args: object, env: dict[str, str]) -> Any:
    """The same command again; its `file` events."""
    return command.run(*args, "--json", env=env).check().events_named("file")


def same(ours: Path, theirs: Path) -> bool:
    return ours.read_bytes() == theirs.read_bytes()


@pytest.mark.row("process/kill-of-every-source")
def test_a_safetensors_repository_arrives_whole_through_a_kill(
    command: Command, home: Path, hub: str, minilm: Path, tmp_path: Path
) -> None:
    """Every file that the repository needs arrives, verified, in <JARVIS_HOME>/llm; a kill loses next to nothing."""
    path = "hf.co/sentence-transformers/all-MiniLM-L6-v2"
    start_and_kill(command, "pull", path, env={"HF_ENDPOINT": hub})
    files = resume(command, "pull", path, env={"HF_ENDPOINT": hub})
    names = {Path(event["path"]).name for event in files}
    assert {"model.safetensors", "tokenizer.json", "config.json"} <= names
    assert all(event["verified"] is True for event in files)
    root = home / "llm" / "sentence-transformers" / "all-MiniLM-L6-v2"
    for event in files:
        relative = Path(event["path"]).relative_to(root)
        assert same(Path(event["path"]), minilm / relative)
    weights = next(event for event in files if event["file"].endswith("model.safetensors"))
    assert weights["held_bytes"] >= 20 * SEGMENT
    assert weights["fetched_bytes"] + weights["held_bytes"] == weights["size"]


@pytest.mark.row("process/kill-of-every-source")
def test_a_gguf_arrives_by_its_quantization_through_a_kill(
    command: Command, home: Path, hub: str, gguf_file: Path
) -> None:
    """hf.co/ns/repo:QUANT names one file; the second run fetches what the first one lacked, and no more."""
    path = "hf.co/jarvis/all-MiniLM-L6-v2-GGUF:F16"
    start_and_kill(command, "pull", path, env={"HF_ENDPOINT": hub})
    (event,) = resume(command, "pull", path, env={"HF_ENDPOINT": hub})
    assert event["verified"] is True
    assert event["held_bytes"] >= 20 * SEGMENT
    assert same(Path(event["path"]), gguf_file)


@pytest.mark.parametrize("kind", ["safetensors", "gguf"])
def test_a_plain_url_over_tls_resumes_and_refetches_little(
    command: Command, home: Path, minilm: Path, gguf_file: Path, tls: Certificates, tmp_path: Path, kind: str
) -> None:
    """nginx over TLS, killed and resumed: exact, and by the log the second run fetched just what was missing."""
    source = minilm / "model.safetensors" if kind == "safetensors" else gguf_file
    www = tmp_path / "www"
    www.mkdir()
    shutil.copy(source, www / source.name)
    (www / source.name).chmod(0o644)
    target = tmp_path / "out" / source.name
    with Nginx(www, tls) as nginx:
        args = ("pull", nginx.tls_url(source.name), "-o", target, "--cacert", tls.cacert, "-c", LANES)
        start_and_kill(command, *args, env={})
        nginx.clear_log()
        (event,) = resume(command, *args, env={})
        nginx.wait_idle()
        sent = sum(served.sent for served in nginx.log())
    assert event["verified"] == "computed"
    assert event["held_bytes"] >= 20 * SEGMENT
    assert same(target, source)
    assert sent == event["fetched_bytes"] == source.stat().st_size - event["held_bytes"]
