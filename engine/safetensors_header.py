"""Reads what a safetensors file says about its tensors: how many weights of which type; never the weights.

Format (huggingface/safetensors, README.md, "Format"): u64 little-endian length of the header, then that many bytes of
JSON: name to `dtype`, `shape`, `data_offsets`, and `__metadata__`, texts. The file is a stranger's: at most MAX_HEADER
bytes are read, figures are checked, and only FormatError comes out.
"""

import math
from collections import Counter
from typing import Annotated, Protocol

import msgspec

from engine.errors import FormatError

MAX_HEADER = 25_000_000
"""Bytes, as huggingface_hub has it (constants.SAFETENSORS_MAX_HEADER_LENGTH)."""
_MAX_WEIGHTS = (1 << 63) - 1

_Size = Annotated[int, msgspec.Meta(ge=0, le=_MAX_WEIGHTS)]


class _Tensor(msgspec.Struct, frozen=True):
    dtype: Annotated[str, msgspec.Meta(max_length=16)]
    shape: Annotated[list[_Size], msgspec.Meta(max_length=16)]


class Readable(Protocol):
    """A file that is open at its start."""

    def read(self, size: int, /) -> bytes:
        """At most size bytes; none at the end."""
        ...


def read_weights(file: Readable) -> Counter[str]:
    """How many weights a file has of each type: {"BF16": 6738415616, "I64": 512}. Raises FormatError for what is no
    safetensors file; the file's own OSError passes through."""
    length = int.from_bytes(_exactly(file, 8), "little")
    if not 2 <= length <= MAX_HEADER:
        raise _fault(f"its header would have {length:,} bytes")
    try:
        named = msgspec.json.decode(_exactly(file, length), type=dict[str, msgspec.Raw])
        named.pop("__metadata__", None)
        tensors = [msgspec.json.decode(raw, type=_Tensor) for raw in named.values()]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise _fault("its header is not what the format says") from exc
    weights = Counter[str]()
    for tensor in tensors:
        weights[tensor.dtype] += math.prod(tensor.shape)
    if weights.total() > _MAX_WEIGHTS:
        raise _fault("it claims more weights than any file holds")
    return weights


def _exactly(file: Readable, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = file.read(size - len(data))
        if not piece:
            raise _fault("it ends within its header")
        data += piece
    return bytes(data)


def _fault(why: str) -> FormatError:
    return FormatError(f"It is no safetensors file: {why}. Check what it is, or pull it again.")
