"""engine.library.model_config: what a config.json says, in the words of many model types."""

import json
from typing import Any

import pytest

from engine.library.model_config import ModelConfig, read_config

CASES: list[tuple[dict[str, Any], ModelConfig]] = [
    ({"model_type": "llama", "max_position_embeddings": 131072}, ModelConfig("llama", 131072)),
    ({"model_type": "gpt2", "n_positions": 1024}, ModelConfig("gpt2", 1024)),
    ({"architectures": ["BertModel"]}, ModelConfig("BertModel")),
    (
        {"model_type": "gemma3", "text_config": {"max_position_embeddings": 32768}},
        ModelConfig("gemma3", 32768),
    ),
    (
        {"model_type": "qwen2", "quantization_config": {"quant_method": "gptq", "bits": 4}},
        ModelConfig("qwen2", None, "gptq-4bit"),
    ),
    (
        {"model_type": "gpt_oss", "quantization_config": {"quant_method": "mxfp4"}},
        ModelConfig("gpt_oss", None, "mxfp4"),
    ),
    ({}, ModelConfig()),
    ({"model_type": 7, "max_position_embeddings": True, "architectures": [None]}, ModelConfig()),
    ({"max_position_embeddings": -1, "n_positions": 2**80, "text_config": []}, ModelConfig()),
    ({"architectures": {}, "quantization_config": {"quant_method": [], "bits": 4}}, ModelConfig()),
]


@pytest.mark.parametrize(("config", "said"), CASES)
def test_what_it_says(config: dict[str, Any], said: ModelConfig) -> None:
    """Each fact by the first name under which it is a plausible one."""
    assert read_config(json.dumps(config).encode()) == said


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b'{"a":' + b"[" * 100_000, b"null"])
def test_what_is_no_config_says_nothing(content: bytes) -> None:
    """Whatever it is."""
    assert read_config(content) == ModelConfig()
