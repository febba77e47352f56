"""engine.safetensors_header: what a stranger's file says of its tensors, and nothing of what it only claims."""

import io
import json
import struct
from typing import Any

import pytest

from engine.errors import FormatError
from engine.safetensors_header import MAX_HEADER, read_weights


def made(header: dict[str, Any] | bytes, length: int | None = None) -> bytes:
    """A file of that header, with its true length unless told."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text


def tensor(dtype: str, *shape: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [0, 0]}


class Dripping(io.BytesIO):
    """A byte at a time, as a pipe may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(1, size or 0))


def test_weights_by_type() -> None:
    """Of all tensors; one without dimensions is one number, one with a zero none; texts are no tensors."""
    header = {
        "__metadata__": {"format": "pt"},
        "a": tensor("BF16", 2, 3),
        "b": tensor("BF16"),
        "c": tensor("F32", 0, 7),
        "d": tensor("I64", 1, 512),
    }
    for kind in (io.BytesIO, Dripping):
        assert read_weights(kind(made(header) + b"weights")) == {"BF16": 7, "F32": 0, "I64": 512}
    assert read_weights(io.BytesIO(made({}))) == {}


BAD = {
    "empty": b"",
    "cut off in its length": b"\x10\0\0",
    "cut off in its header": made(b"{}", 100),
    "a length that nothing has": made(b"{}", 2**63),
    "a header above the limit": made(b"{}", MAX_HEADER + 1),
    "no JSON": made(b"{]"),
    "a list": made(b"[]"),
    "no UTF-8": made(b'{"\xff": 1}'),
    "deep": made(b'{"a":' + b"[" * 100_000),
    "a tensor that is none": made({"a": 7}),
    "a shape below zero": made({"a": tensor("F32", -1)}),
    "a shape of texts": made({"a": {"dtype": "F32", "shape": ["1"]}}),
    "more weights than there can be": made({"a": tensor("F32", 2**62, 2**62)}),
    "a type as long as a book": made({"a": tensor("F" * 1000, 1)}),
    "too many dimensions": made({"a": tensor("F32", *[1] * 100)}),
    "a GGUF": b"GGUF\3\0\0\0" + bytes(100),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.row("attack/39-safetensors")
def test_what_is_none_is_refused(kind: str) -> None:
    """With FormatError and nothing else."""
    with pytest.raises(FormatError, match="no safetensors file"):
        read_weights(io.BytesIO(BAD[kind]))
