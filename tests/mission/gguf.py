"""Valid GGUF files of a few megabytes under any name: every reader takes them, though no program can chat with them."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

ARCHITECTURE, CONTEXT_LENGTH, PARAMETERS = "llama", 8192, 1_000_000


def write_tiny_gguf(path: Path, parameters: int = PARAMETERS) -> bytes:
    """A model with so many random weights in F16; other ones for each file name. Its bytes."""
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    seed = int.from_bytes(hashlib.sha256(path.name.encode()).digest()[:8], "little")
    weights = numpy.random.default_rng(seed).standard_normal((parameters // 1000, 1000), "float32")
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, ARCHITECTURE)
    writer.add_name(re.split(r"-[A-Z]*Q\d", path.stem)[0])
    writer.add_context_length(CONTEXT_LENGTH)
    writer.add_embedding_length(1000)
    writer.add_block_count(1)
    writer.add_head_count(8)
    writer.add_file_type(_file_type(gguf, path.stem))
    writer.add_tensor("token_embd.weight", weights.astype("float16"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def _file_type(gguf: Any, stem: str) -> int:
    """llama.cpp's number for the quantization that the name ends with; of F16 where it is none."""
    types = gguf.LlamaFileType
    tag = stem.rpartition("-")[2].upper()
    return int(getattr(types, f"MOSTLY_{tag}", types.MOSTLY_F16))
