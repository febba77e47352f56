"""What a config.json says of a model (transformers, PretrainedConfig). Read, never believed. Pure."""

from typing import Any

import msgspec

_CONTEXT = (
    "max_position_embeddings",
    "n_positions",
    "n_ctx",
    "max_sequence_length",
    "seq_length",
    "max_seq_len",
)
"""The names that model types have for it: Llama and most others, GPT-2, CTRL, older MPT-likes, ChatGLM, MPT."""
_MAX_CONTEXT = 2**53


class ModelConfig(msgspec.Struct, frozen=True):
    """What concerns us. Texts are to be cleaned before they are shown."""

    architecture: str | None = None
    """model_type, as llama.cpp's architectures are called too ("llama", "qwen2"), else the first class name."""
    context_length: int | None = None
    """In tokens."""
    quantization: str | None = None
    """How weights are packed, where they are: "gptq-4bit", "fp8". Counting them says nothing then."""


def read_config(content: bytes) -> ModelConfig:
    """What does not say what it should says nothing. Raises nothing for any content."""
    try:
        config = msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ModelConfig()
    if not isinstance(config, dict):
        return ModelConfig()
    names = config.get("architectures")
    return ModelConfig(
        architecture=_text(config.get("model_type"))
        or (_text(names[0]) if names and isinstance(names, list) else None),
        context_length=_context(config) or _context(config.get("text_config")),
        quantization=_packing(config.get("quantization_config")),
    )


def _context(config: Any) -> int | None:
    """Models that see and hear have what concerns text apart."""
    if not isinstance(config, dict):
        return None
    found = (config.get(name) for name in _CONTEXT)
    return next((n for n in found if type(n) is int and 0 < n <= _MAX_CONTEXT), None)


def _packing(config: Any) -> str | None:
    if not isinstance(config, dict):
        return None
    method, bits = _text(config.get("quant_method")), config.get("bits")
    if method is None:
        return None
    return f"{method}-{bits}bit" if type(bits) is int and 0 < bits <= 64 else method


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
