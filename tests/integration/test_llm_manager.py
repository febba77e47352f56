"""LLMManager against the project's own server: path in, verified file out, remembered."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

import engine
from engine import DownloadProgress, LLMManager, ModelDownloader
from engine.console.gguf_file import write_gguf
from engine.errors import Busy, EngineError, NotFound, PathError, UsageError
from engine.server.run import BackgroundServer
from engine.settings import Settings
from tests.origin import File, Origin

FILES = {
    "bartowski/Qwen2.5-7B-Instruct-GGUF": {
        "Qwen2.5-7B-Instruct-Q4_K_M.gguf": b"Q4" * 40_000,
        "Qwen2.5-7B-Instruct-Q5_K_M.gguf": b"Q5" * 50_000,
    },
    "ns/tensors": {"model.safetensors": b"weights", "config.json": b'{"a": 1}', "tokenizer.json": b"{}"},
    "ns/others": {"model.safetensors": b"other weights", "config.json": b"{}"},
}
QWEN = "huggingface.co/bartowski/Qwen2.5-7B-Instruct-GGUF"
Q4, Q5 = FILES["bartowski/Qwen2.5-7B-Instruct-GGUF"]


@pytest.fixture
def hub(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "served"
    for repository, files in FILES.items():
        for name, content in files.items():
            path = root / repository / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    with BackgroundServer(root) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield root


def content(repository: str, name: str) -> bytes:
    return FILES[repository][name]


def test_a_shortcut_into_the_store(hub: Path, home: Path) -> None:
    """The main file's path comes back; the model is remembered where `jarvis list` looks."""
    llm = LLMManager()
    path = llm.download_model_from_path("qwen")
    assert path == home / "llm" / "bartowski/Qwen2.5-7B-Instruct-GGUF" / Q4
    assert path.read_bytes() == content("bartowski/Qwen2.5-7B-Instruct-GGUF", Q4)
    (manifest,) = llm.list_models()
    assert (manifest.model_key, manifest.downloaded, manifest.verified) == (QWEN, True, True)
    assert manifest.layers[0].sha256 == sha256(path.read_bytes()).hexdigest()
    assert llm.manifests.manifest_dir == home / "manifests"


def test_quantizations_are_models_of_their_own(hub: Path) -> None:
    """One that is chosen by argument is the one that the path can name; both stay."""
    llm = LLMManager()
    llm.download_model_from_path("qwen")
    path = llm.download_model_from_path("qwen", quantization="Q5_K_M")
    assert path.name == Q5
    assert [manifest.model_key for manifest in llm.list_models()] == [QWEN, f"{QWEN}:Q5_K_M"]
    assert llm.download_model_from_path(f"{QWEN}:q5_k_m") == path
    assert len(llm.list_models()) == 2


def test_progress(hub: Path) -> None:
    """The callback is told what the caller asked for, and ends at 100 %, also where nothing is left to do."""
    for _ in range(2):
        seen: list[DownloadProgress] = []
        LLMManager().download_model_from_path("qwen", progress_callback=seen.append)
        assert {(progress.model, progress.filename) for progress in seen} == {("qwen", Q4)}
        assert (seen[-1].percent, seen[-1].phase) == (100.0, "done")


def test_folders_of_ones_own(hub: Path, home: Path, tmp_path: Path) -> None:
    """Files keep their paths below download_dir, manifests go to manifest_dir, and the store stays empty."""
    llm = LLMManager(download_dir=tmp_path / "llm", manifest_dir=str(tmp_path / "manifests"))
    assert llm.download_model_from_path("qwen") == tmp_path / "llm" / Q4
    assert [path.name for path in (tmp_path / "llm").iterdir()] == [Q4]
    assert llm.manifests.manifest_dir == tmp_path / "manifests"
    assert [manifest.model_key for manifest in llm.list_models()] == [QWEN]
    assert not (home / "manifests").exists()
    assert not (home / "llm").exists()


def test_one_folder_alone(hub: Path, home: Path, tmp_path: Path) -> None:
    """download_dir alone keeps its manifests with it; manifest_dir alone leaves the files to the store."""
    llm = LLMManager(tmp_path / "llm")
    llm.download_model_from_path("qwen")
    assert llm.get_model("qwen") is not None
    assert sorted(path.name for path in (tmp_path / "llm").iterdir()) == [".manifests", Q4]
    other = LLMManager(manifest_dir=tmp_path / "manifests")
    path = other.download_model_from_path("qwen")
    assert path.is_relative_to(home / "llm")
    assert other.get_model("qwen") is not None
    assert LLMManager().get_model("qwen") is not None


def test_making_one_touches_nothing(tmp_path: Path, home: Path) -> None:
    """Folders are made by the first download."""
    llm = LLMManager(tmp_path / "llm", tmp_path / "manifests")
    assert llm.list_models() == []
    assert llm.get_model("qwen") is None
    assert llm.delete_model("qwen") is False
    assert not (tmp_path / "llm").exists()
    assert not (tmp_path / "manifests").exists()
    assert not home.exists()


def test_find_and_delete(hub: Path, home: Path) -> None:
    """By any spelling; what another model shares stays."""
    llm = LLMManager()
    path = llm.download_model_from_path("qwen")
    llm.download_model_from_path("qwen", "Q4_K_M")
    for text in ("qwen", QWEN, "hf.co/bartowski/Qwen2.5-7B-Instruct-GGUF"):
        assert llm.get_model(text).model_key == QWEN
    assert llm.get_model("not a model path") is None
    assert llm.delete_model("qwen") is True
    assert llm.get_model("qwen") is None
    assert path.exists(), f"{QWEN}:Q4_K_M has it, too"
    assert llm.delete_model("qwen:Q4_K_M") is True
    assert not path.exists()
    assert llm.list_models() == []
    assert list((home / "blobs").iterdir()) == []


def test_delete_from_ones_own_folder(hub: Path, tmp_path: Path) -> None:
    """The files of the model go, and no others."""
    llm = LLMManager(tmp_path / "llm")
    first = llm.download_model_from_path("qwen")
    second = llm.download_model_from_path("qwen", "Q5_K_M")
    (tmp_path / "llm" / "mine.txt").write_text("mine")
    assert llm.delete_model("qwen")
    assert not first.exists()
    assert second.exists()
    assert (tmp_path / "llm" / "mine.txt").exists()
    assert [manifest.model_key for manifest in llm.list_models()] == [f"{QWEN}:Q5_K_M"]


def test_all_files_of_a_model_come(hub: Path, tmp_path: Path) -> None:
    """A safetensors set: the weights are the main file, the rest lies beside them."""
    path = LLMManager(tmp_path / "llm").download_model_from_path("hf.co/ns/tensors")
    assert path.name == "model.safetensors"
    assert {name: (path.parent / name).read_bytes() for name in FILES["ns/tensors"]} == FILES["ns/tensors"]


def test_another_models_file_is_not_replaced(hub: Path, tmp_path: Path) -> None:
    """In one folder, config.json of one model would silently become that of another."""
    llm = LLMManager(tmp_path / "llm")
    llm.download_model_from_path("hf.co/ns/tensors")
    with pytest.raises(UsageError, match=r"belongs to huggingface\.co/ns/tensors"):
        llm.download_model_from_path("hf.co/ns/others")
    assert (tmp_path / "llm" / "config.json").read_bytes() == b'{"a": 1}'
    assert llm.download_model_from_path("hf.co/ns/tensors").exists(), "its own may be pulled again"


def test_errors_are_the_engines(hub: Path, tmp_path: Path) -> None:
    """As the mission's example branches on them; nothing is remembered of what failed."""
    llm = LLMManager(tmp_path / "llm", settings=Settings(retries=0))
    with pytest.raises(NotFound, match="404"):
        llm.download_model_from_path("hf.co/ns/nothing")
    with pytest.raises(NotFound, match="Q4_K_M, Q5_K_M"):
        llm.download_model_from_path("qwen", quantization="Q2_K")
    with pytest.raises(PathError):
        llm.download_model_from_path("a b")
    with pytest.raises(EngineError, match="quantization"):
        llm.download_model_from_path(f"{QWEN}:Q4_K_M", quantization="Q5_K_M")
    assert llm.list_models() == []


def test_a_token_goes_to_the_hub(hub: Path, origin_factory, monkeypatch, tmp_path: Path) -> None:
    """set_hf_token is before the environment's, and nobody but the Hub sees it."""
    gated = origin_factory()
    gated.add("api/models/ns/gated/revision/main", File(b'{"sha": "%s"}' % (b"1" * 40), bearer="hf_mine"))
    monkeypatch.setenv("HF_ENDPOINT", gated.base)
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    plain: Origin = origin_factory({"m.gguf": b"plain"})
    llm = LLMManager(tmp_path / "llm", settings=Settings(retries=0))
    llm.set_hf_token("hf_mine")
    with pytest.raises(EngineError):  # the tree is not there
        llm.download_model_from_path("hf.co/ns/gated")
    assert {request.headers.get("authorization") for request in gated.requests} == {"Bearer hf_mine"}
    llm.download_model_from_path(plain.url("m.gguf"))
    assert {request.headers.get("authorization") for request in plain.requests} == {None}


def test_metadata_from_the_file(hub: Path, tmp_path: Path) -> None:
    """What the GGUF header says is in the manifest."""
    (hub / "ns" / "real").mkdir()
    write_gguf(hub / "ns/real/Real-F16.gguf", 1 << 20, "A real one")
    llm = LLMManager()
    llm.download_model_from_path("hf.co/ns/real")
    manifest = llm.get_model("hf.co/ns/real")
    assert (manifest.display_name, manifest.architecture) == ("A real one", "llama")
    assert manifest.parameters == "8.4M"


SCRIPT = """
from engine.llm_manager import LLMManager

llm = LLMManager(download_dir="models/llm", manifest_dir="models/manifests")
print(llm.download_model_from_path("qwen", progress_callback=lambda p: print(f"{p.model}: {p.percent:.1f}%")))
print(len(llm.list_models()))
"""


def test_as_a_script_without_a_guard(hub: Path, tmp_path: Path) -> None:
    """Worker processes do not run it again."""
    (hub / "bartowski/Qwen2.5-7B-Instruct-GGUF" / Q4).write_bytes(bytes(70 << 20))  # large enough for workers
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(engine.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    *progress, path, count = done.stdout.splitlines()
    assert (Path(path), count) == (tmp_path / "models/llm" / Q4, "1")
    assert progress[-1] == "qwen: 100.0%"


def test_a_callback_that_pulls_its_own_file_is_told(
    origin_factory: Callable[..., Origin], home: Path, tmp_path: Path
) -> None:
    """It would wait for itself. What another name has, and what is over, it may pull."""
    origin = origin_factory({"m.gguf": File(b"m" * 300_000, pace=1_000_000), "n.gguf": b"n"})
    downloader = ModelDownloader(tmp_path / "models")
    downloader.progress_interval = 0.0
    told: list[str] = []

    def pull_again(progress: DownloadProgress) -> None:
        if told:
            return
        if progress.phase == "downloading":
            with pytest.raises(Busy) as caught:
                downloader.download("m", origin.url("m.gguf"), "m.gguf")
            told.append(str(caught.value))
            downloader.download("n", origin.url("n.gguf"), "n.gguf")

    downloader.download("m", origin.url("m.gguf"), "m.gguf", progress_callback=pull_again)
    assert len(told) == 1 and "callback" in told[0]
    assert (tmp_path / "models" / "n.gguf").read_bytes() == b"n"
    assert (tmp_path / "models" / "m.gguf").read_bytes() == b"m" * 300_000
