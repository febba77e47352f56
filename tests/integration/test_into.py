"""`jarvis pull --into`: other people's programs find the models, offline, without asking anybody."""

import hashlib
import json
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp")

from engine.server.run import BackgroundServer
from tests.clients.environments import hub_environment, python_with
from tests.command import Command, Result
from tests.mission.gguf import ARCHITECTURE, write_tiny_gguf
from tests.registry import docker_registry

SCRIPTS = Path(__file__).parents[1] / "clients"
HUB, LLAMA = "huggingface_hub==2.4.0", "xllamacpp==2026.10.11549"
MODEL = b"GGUF\x03\0\0\0" + bytes(16) + random.Random(1).randbytes(3_000_000)
FILES = {
    "tiny-Q4_K_M.gguf": MODEL,
    "tiny-Q8_0.gguf": MODEL[::-1],
    "config.json": b'{"model_type": "tiny"}\n',
    "sub/notes.txt": b"notes\n",
}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="session")
def cache(shared_folder: Path) -> Path:
    """Where environments of foreign clients are kept."""
    return Path(os.environ.get("JARVIS_TEST_CACHE") or shared_folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "served"
    for name, data in FILES.items():
        path = root / "acme/tiny-GGUF" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """The home folder of the other tools."""
    return tmp_path / "theirs"


@pytest.fixture
def env(folder: Path, foreign: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    with BackgroundServer(folder) as server:
        yield {"HF_ENDPOINT": server.url, "HF_HOME": str(foreign), "HOME": str(tmp_path / "user")}


def pull(command: Command, env: dict[str, str], *args: object, into: str = "hf-cache") -> Result:
    return command.run("pull", *args, "--into", into, "--json", env=env)


def hub_client(cache: Path, foreign: Path, function: str, **arguments: Any) -> Any:
    """What huggingface_hub says without a network: nothing listens at its endpoint."""
    done = subprocess.run(
        [python_with(cache, HUB), SCRIPTS / "hub_client.py", json.dumps([[function, arguments]])],
        env=hub_environment("http://127.0.0.1:9", foreign) | {"HF_HUB_OFFLINE": "1"},
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    (answer,) = json.loads(done.stdout)
    assert "error" not in answer, answer
    return answer["result"]


def test_huggingface_hub_finds_it_offline(
    command: Command, env: dict[str, str], cache: Path, foreign: Path
) -> None:
    """One file by its branch, the whole snapshot, and the list of the cache, without a complaint."""
    (shared,) = pull(command, env, "acme/tiny-GGUF", "--include", "*").check().events_named("shared")
    assert (shared["into"], shared["model"], shared["root"]) == (
        "hf-cache",
        "acme/tiny-GGUF",
        str(foreign / "hub"),
    )
    path = hub_client(
        cache,
        foreign,
        "hf_hub_download",
        repo_id="acme/tiny-GGUF",
        filename="sub/notes.txt",
        local_files_only=True,
    )
    assert Path(path).read_bytes() == FILES["sub/notes.txt"]
    snapshot = Path(
        hub_client(cache, foreign, "snapshot_download", repo_id="acme/tiny-GGUF", local_files_only=True)
    )
    found = {str(p.relative_to(snapshot)): p.read_bytes() for p in snapshot.rglob("*") if p.is_file()}
    assert found == FILES
    assert sorted(shared["paths"]) == sorted(str(snapshot / name) for name in FILES)
    scan = hub_client(cache, foreign, "scan_cache")
    assert scan == {"acme/tiny-GGUF": {"files": len(FILES), "refs": ["main"]}, "warnings": []}


def test_llama_cpp_finds_it_offline(
    command: Command, env: dict[str, str], cache: Path, foreign: Path
) -> None:
    """llama.cpp's own downloader, told not to ask, loads the very file."""
    (shared,) = pull(command, env, "acme/tiny-GGUF:Q4_K_M").check().events_named("shared")
    done = subprocess.run(
        [python_with(cache, LLAMA), SCRIPTS / "llama_client.py", "acme/tiny-GGUF:Q4_K_M"],
        env=hub_environment("http://127.0.0.1:9", foreign), capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert f"failed to load model '{shared['paths'][0]}'" in done.stderr


def test_the_disk_has_it_once(command: Command, env: dict[str, str], foreign: Path, home: Path) -> None:
    """Blob, view and the other tool's blob are one, where there is no reflink; a second pull moves nothing."""
    (shared,) = pull(command, env, "acme/tiny-GGUF:Q4_K_M").check().events_named("shared")
    theirs, ours = Path(shared["paths"][0]).resolve(), home / "blobs" / f"sha256-{sha256(MODEL)}"
    assert theirs == foreign / "hub/models--acme--tiny-GGUF/blobs" / sha256(MODEL)
    assert theirs.stat().st_ino == ours.stat().st_ino or theirs.stat().st_mtime_ns != ours.stat().st_mtime_ns
    before = theirs.stat()
    pull(command, env, "acme/tiny-GGUF:Q4_K_M").check()
    assert (theirs.stat().st_ino, theirs.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_damaged_copy_is_replaced(command: Command, env: dict[str, str], foreign: Path) -> None:
    """What the other tool's store holds under the name is not believed by its size."""
    blob = foreign / "hub/models--acme--tiny-GGUF/blobs" / sha256(MODEL)
    blob.parent.mkdir(parents=True)
    blob.write_bytes(bytes(len(MODEL)))
    pull(command, env, "acme/tiny-GGUF:Q4_K_M").check()
    assert sha256(blob.read_bytes()) == blob.name


def ollama_model(root: Path, *name: str) -> dict[str, Any]:
    """A model of Ollama's store: its manifest, all of whose blobs have the digests and sizes that it says."""
    manifest: dict[str, Any] = json.loads((root / "manifests").joinpath(*name).read_bytes())
    for part in (manifest["config"], *manifest["layers"]):
        content = (root / "blobs" / part["digest"].replace(":", "-")).read_bytes()
        assert (f"sha256:{sha256(content)}", len(content)) == (part["digest"], part["size"])
    return manifest


def test_ollama_finds_a_model_of_the_hub(command: Command, env: dict[str, str], home: Path) -> None:
    """Under the name by which Ollama itself would pull it; without OLLAMA_MODELS we say how it comes to look there."""
    done = command.run("pull", "acme/tiny-GGUF:Q4_K_M", "--into", "ollama", env=env).check()
    assert f"OLLAMA_MODELS='{home / 'ollama'}' ollama serve" in done.stderr
    assert "ollama run hf.co/acme/tiny-GGUF:Q4_K_M" in done.stderr
    manifest = ollama_model(home / "ollama", "hf.co", "acme", "tiny-GGUF", "Q4_K_M")
    assert [layer["mediaType"] for layer in manifest["layers"]] == ["application/vnd.ollama.image.model"]
    assert manifest["layers"][0]["digest"] == f"sha256:{sha256(MODEL)}"
    config = json.loads((home / "ollama/blobs" / manifest["config"]["digest"].replace(":", "-")).read_bytes())
    assert (config["model_format"], config["file_type"]) == ("gguf", "Q4_K_M")
    assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]


def test_ollama_is_told_what_the_model_is(
    command: Command, env: dict[str, str], folder: Path, home: Path
) -> None:
    """What `ollama list` and `ollama show` say of it, out of the file's own header."""
    write_tiny_gguf(folder / "acme/real-GGUF/real-Q8_0.gguf")
    command.run("pull", "acme/real-GGUF", "--into", "ollama", env=env).check()
    manifest = ollama_model(home / "ollama", "hf.co", "acme", "real-GGUF", "Q8_0")
    config = json.loads((home / "ollama/blobs" / manifest["config"]["digest"].replace(":", "-")).read_bytes())
    assert (config["model_family"], config["model_families"]) == (ARCHITECTURE, [ARCHITECTURE])
    assert (config["model_type"], config["file_type"]) == ("1M", "Q8_0")


def test_ollama_models_decides_where(
    command: Command, env: dict[str, str], tmp_path: Path, home: Path
) -> None:
    """Ollama's own store, where it says it has one. What it sweeps there is not our only copy."""
    root = tmp_path / "their ollama"
    env |= {"OLLAMA_MODELS": str(root)}
    (shared,) = pull(command, env, "acme/tiny-GGUF:Q8_0", into="ollama").check().events_named("shared")
    assert shared["paths"] == [str(root / "manifests/hf.co/acme/tiny-GGUF/Q8_0")]
    ollama_model(root, "hf.co", "acme", "tiny-GGUF", "Q8_0")
    digest = sha256(MODEL[::-1])
    (root / f"blobs/sha256-{digest}").unlink()
    assert sha256((home / f"blobs/sha256-{digest}").read_bytes()) == digest
    pull(command, env, "acme/tiny-GGUF:Q8_0", into="ollama").check()
    ollama_model(root, "hf.co", "acme", "tiny-GGUF", "Q8_0")


def test_what_ollama_cannot_have(command: Command, env: dict[str, str], home: Path) -> None:
    """Two models at once, and files that are none: told, with exit 2; what was pulled stays pulled."""
    done = pull(command, env, "acme/tiny-GGUF", "--include", "*", into="ollama").check(2)
    (error,) = done.events_named("error")
    assert "2 GGUF files" in error["message"]
    assert (home / "llm/acme/tiny-GGUF/tiny-Q8_0.gguf").exists()
    (error,) = (
        pull(command, env, "acme/tiny-GGUF", "--file", "config.json", into="ollama")
        .check(2)
        .events_named("error")
    )
    assert "no GGUF file" in error["message"]
    assert not (home / "ollama").exists()


def test_into_is_for_the_store(command: Command, env: dict[str, str], tmp_path: Path) -> None:
    """Loose files are not shared: there would be nothing to share them from."""
    done = command.run("pull", "acme/tiny-GGUF", "--into", "ollama", "-d", tmp_path / "x", env=env)
    assert done.code == 2
    assert "--into" in done.stderr


def test_a_model_of_an_ollama_registry_goes_as_it_was_published(
    command: Command, tmp_path: Path, home: Path
) -> None:
    """Its manifest byte for byte, with every layer, under the name of its registry."""
    kind = "application/vnd.ollama.image."
    with docker_registry(tmp_path / "registry") as registry:
        digest = registry.put_model(
            "acme/tiny", "v1", [(f"{kind}model", MODEL), (f"{kind}template", b"{{ .Prompt }}")]
        )
        done = pull(command, {}, f"{registry.host}/acme/tiny:v1", into="ollama").check()
        manifest = ollama_model(home / "ollama", registry.host, "acme", "tiny", "v1")
    (shared,) = done.events_named("shared")
    assert [layer["mediaType"] for layer in manifest["layers"]] == [f"{kind}model", f"{kind}template"]
    assert f"sha256:{sha256(Path(shared['paths'][0]).read_bytes())}" == digest
