"""The document's manager."""

import json
from pathlib import Path

from tests.mission import document
from tests.mission.document import program
from tests.mission.world import DEEPSEEK, MISTRAL, Q4, QWEN, World, sha256


def stored(home: Path, repository: str) -> dict[str, bytes]:
    """What people open of a model in the store, by name."""
    return {path.name: path.read_bytes() for path in (home / "llm" / repository).iterdir()}


def test_manager(world: World, home: Path, mistral: dict[str, bytes]) -> None:
    """Three models by path, by quantization, and with a callback that names the model; all are in the store."""
    qwen, deepseek = world.publish(QWEN), world.publish(DEEPSEEK)
    ended = world.run(program(document.MANAGER))
    progress = [line.rpartition(" ") for line in ended.lines]
    assert {model for model, _, _ in progress} == {"deepseek:"}
    percents = [float(percent.rstrip("%")) for _, _, percent in progress]
    assert percents == sorted(percents)
    assert percents[-1] == 100.0
    expected = {
        QWEN: {"Qwen2.5-7B-Instruct-Q4_K_M.gguf": qwen},
        MISTRAL: {"Mistral-Nemo-Instruct-2407-Q5_K_M.gguf": mistral},
        DEEPSEEK: {"DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf": deepseek},
    }
    for repository, files in expected.items():
        assert stored(home, repository) == {name: made[name] for name, made in files.items()}
    repositories = {path.partition("/resolve/")[0] for _, path in world.hub.asked() if "/resolve/" in path}
    assert repositories == set(expected)


def test_manager_returns_the_main_file_and_keeps_a_manifest(
    world: World, home: Path, mistral: dict[str, bytes]
) -> None:
    """The path that comes back is the file's; ManifestManager and the statistics know the model; again is free."""
    name = "Mistral-Nemo-Instruct-2407-Q5_K_M.gguf"
    source = (
        "from engine.llm_manager import LLMManager\n"
        'print(LLMManager().download_model_from_path("mistral", quantization="Q5_K_M"))'
    )
    assert world.run(source).lines == [str(home / "llm" / MISTRAL / name)]
    sent = world.hub.content.bytes_sent()
    assert world.run(source).lines == [str(home / "llm" / MISTRAL / name)]
    assert world.hub.content.bytes_sent() == sent
    (manifest,) = (json.loads(path.read_text("utf-8")) for path in (home / "manifests").glob("*.json"))
    assert [(layer["filename"], layer["sha256"]) for layer in manifest["layers"]] == [
        (name, sha256(mistral[name]))
    ]
    assert manifest["downloaded"] and manifest["verified"]


def test_manager_with_folders_of_its_own(world: World, home: Path, mistral: dict[str, bytes]) -> None:
    """download_dir and manifest_dir are used where they are given."""
    source = (
        "from engine.llm_manager import LLMManager\n"
        'print(LLMManager("here/llm", "here/manifests").download_model_from_path("mistral"))'
    )
    (path,) = world.run(source).lines
    assert Path(path).is_relative_to(world.folder / "here/llm")
    assert Path(path).read_bytes() == mistral[Q4]
    assert len(list((world.folder / "here/manifests").glob("*.json"))) == 1
