"""What a model's file says about itself: filled in where nobody has said it, and never a reason to fail."""

import json
import os
import struct
from pathlib import Path

import pytest

from engine.console.gguf_file import write_gguf
from engine.library import description
from engine.library.description import _count
from engine.manifest_record import ModelManifest


def describe(manifest: ModelManifest, *paths: Path) -> None:
    description.describe(manifest, {path.name: path for path in paths})


def empty(**fields: object) -> ModelManifest:
    return ModelManifest(model_key="k", registry="h", namespace="n", repository="r", **fields)


def said(manifest: ModelManifest) -> tuple[object, ...]:
    return (
        manifest.display_name,
        manifest.parameters,
        manifest.context_length,
        manifest.architecture,
        manifest.quantization,
    )


def string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def gguf(path: Path, **texts: str) -> Path:
    """A GGUF of texts alone; an underscore stands for a dot."""
    pairs = b"".join(
        string(key.replace("__", ".")) + struct.pack("<I", 8) + string(value) for key, value in texts.items()
    )
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(texts)) + pairs)
    return path


def test_a_real_file(gguf_file: Path) -> None:
    """What llama.cpp's own writer puts into a header."""
    describe(manifest := empty(), gguf_file)
    assert manifest.architecture == "bert"
    assert manifest.quantization == "F16"
    assert manifest.context_length == 512
    assert manifest.parameters is not None
    assert manifest.parameters.endswith("M")
    assert manifest.display_name


def test_what_is_known_stays(tmp_path: Path) -> None:
    """The caller knows better than the file."""
    write_gguf(tmp_path / "m.gguf", 1, "The file's name")
    known = empty(
        display_name="Mine", parameters="7B", context_length=8192, architecture="x", quantization="Q4_0"
    )
    before = said(known)
    describe(known, tmp_path / "m.gguf")
    assert said(known) == before
    describe(partly := empty(display_name="Mine"), tmp_path / "m.gguf")
    assert said(partly)[0:2] == ("Mine", "8.4M")
    assert partly.architecture == "llama"


def test_a_strangers_text_is_one_short_line(tmp_path: Path) -> None:
    """It is shown on terminals."""
    path = gguf(
        tmp_path / "m.gguf",
        general__name="a\x1b[2J\n b" + "x" * 999,
        general__size_label=" \n",
        general__architecture="7",
    )
    describe(manifest := empty(), path)
    assert manifest.display_name == "a [2J b" + "x" * 113
    assert manifest.parameters is None
    assert manifest.architecture == "7"


BAD = {
    "empty": b"",
    "another magic": b"PK\x03\x04" + bytes(100),
    "cut off": b"GGUF" + struct.pack("<IQQ", 3, 1, 1),
    "absurd": b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1 << 60),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_broken_file_says_nothing(tmp_path: Path, kind: str) -> None:
    """Nor does it fail anything."""
    (tmp_path / "m.gguf").write_bytes(BAD[kind])
    describe(manifest := empty(), tmp_path / "m.gguf")
    assert said(manifest) == (None,) * 5


def test_what_is_no_gguf(tmp_path: Path) -> None:
    """Another kind of file, a folder, and none at all."""
    write_gguf(tmp_path / "model.bin", 1, "x")
    (tmp_path / "folder.gguf").mkdir()
    (tmp_path / "loop.gguf").symlink_to("loop.gguf")
    os.mkfifo(tmp_path / "pipe.gguf")
    for name in ("model.bin", "folder.gguf", "loop.gguf", "pipe.gguf", "nothing.gguf"):
        describe(manifest := empty(), tmp_path / name)
        assert said(manifest) == (None,) * 5


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        (None, None),
        (0, None),
        (7, "7"),
        (22_713_728, "22.7M"),
        (560_000_000, "560M"),
        (999_960_000, "1B"),
        (7_241_732_096, "7.2B"),
        (70_000_000_000, "70B"),
        (960_000_000_000, "960B"),
        (1_026_000_000_000, "1T"),
    ],
)
def test_counts_as_makers_write_them(weights: int | None, text: str | None) -> None:
    """One decimal, and none that is zero."""
    assert _count(weights) == text


# Safetensors


def tensors(path: Path, **dtypes: tuple[str, int]) -> Path:
    """A file of tensors of one dimension, without their weights."""
    header = {name: {"dtype": d, "shape": [n], "data_offsets": [0, 0]} for name, (d, n) in dtypes.items()}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    return path


def config(folder: Path, **fields: object) -> Path:
    (folder / "config.json").write_text(json.dumps(fields))
    return folder / "config.json"


def test_a_real_safetensors_model(minilm: Path) -> None:
    """As sentence-transformers publishes it."""
    describe(manifest := empty(), minilm / "model.safetensors", minilm / "config.json")
    assert said(manifest) == (None, "22.7M", 512, "bert", "F32")


def test_weights_of_all_shards(tmp_path: Path) -> None:
    """What most of them are stored as; positions do not count."""
    one = tensors(tmp_path / "model-00001-of-00002.safetensors", a=("BF16", 5_000_000), p=("I64", 10**9))
    two = tensors(tmp_path / "model-00002-of-00002.safetensors", b=("BF16", 1_000_000), c=("F32", 2_000_000))
    describe(manifest := empty(), one, two, config(tmp_path, model_type="llama"))
    assert said(manifest) == (None, "8M", None, "llama", "BF16")


def test_what_is_not_all_there_is_not_counted(tmp_path: Path) -> None:
    """A shard alone, packed weights, a file that is broken: the rest is said."""
    one = tensors(tmp_path / "model-00001-of-00002.safetensors", a=("BF16", 5_000_000))
    there = config(tmp_path, model_type="llama", max_position_embeddings=4096)
    describe(manifest := empty(), one, there)
    assert said(manifest) == (None, None, 4096, "llama", None)
    whole = tensors(tmp_path / "model.safetensors", a=("I32", 5_000_000), b=("F16", 1000))
    packed = config(tmp_path, model_type="llama", quantization_config={"quant_method": "awq", "bits": 4})
    describe(manifest := empty(), whole, packed)
    assert said(manifest) == (None, None, None, "llama", "awq-4bit")
    whole.write_bytes(b"x")
    describe(manifest := empty(), whole, config(tmp_path, model_type="llama"))
    assert said(manifest) == (None, None, None, "llama", None)
    describe(manifest := empty(), whole)
    assert said(manifest) == (None,) * 5


def test_a_strangers_config_is_one_short_line(tmp_path: Path) -> None:
    """It is shown on terminals; one that is too large, or a pipe, says nothing."""
    weights = tensors(tmp_path / "model.safetensors", a=("F16", 7))
    describe(manifest := empty(), weights, config(tmp_path, model_type="a\x1b[2J" + "x" * 999))
    assert manifest.architecture == "a [2J" + "x" * 115
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "x", "y": "z" * (5 << 20)}))
    describe(manifest := empty(), weights, tmp_path / "config.json")
    assert said(manifest) == (None, "7", None, None, "F16")
    (tmp_path / "config.json").unlink()
    os.mkfifo(tmp_path / "config.json")
    describe(manifest := empty(), weights, tmp_path / "config.json")
    assert said(manifest) == (None, "7", None, None, "F16")
