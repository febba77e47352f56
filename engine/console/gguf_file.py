"""Writes a small, valid GGUF file: what the demo pulls.

Format (GGUF version 3, little-endian): magic, version, counts; metadata as key, type, value; tensor infos as name,
dimensions, type, offset; then, aligned to 32 bytes, the tensors' data. Strings are a u64 length and UTF-8.
Specification: github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import hashlib
import random
import struct
from collections.abc import Iterator
from pathlib import Path

import msgspec

from engine.settings import MIB
from engine.store.disk import disk_errors

_ALIGNMENT = 32
_U32, _STRING = 4, 8
_F16 = 1
_ROWS, _COLUMNS = 2048, 4096


class Tensor(msgspec.Struct, frozen=True):
    """A matrix of 16-bit floats. GGUF names the fastest dimension first."""

    name: str
    columns: int
    rows: int

    @property
    def nbytes(self) -> int:
        return 2 * self.columns * self.rows


def write_gguf(path: Path, size_bytes: int, name: str) -> str:
    """Write a model of about size_bytes (16 MiB a tensor, one at least) and return its SHA-256 in hex.

    The weights are finite, look random, and differ from MiB to MiB, so that no misplaced byte can go unseen.
    Raises StoreError.
    """
    count = max(1, size_bytes // (2 * _ROWS * _COLUMNS))
    tensors = [Tensor(f"blk.{index}.ffn_up.weight", _COLUMNS, _ROWS) for index in range(count)]
    hasher = hashlib.sha256()
    with disk_errors("write the model", path), path.open("wb") as file:
        for piece in (head(name, tensors), *_weights(sum(tensor.nbytes for tensor in tensors))):
            file.write(piece)
            hasher.update(piece)
    return hasher.hexdigest()


def head(name: str, tensors: list[Tensor]) -> bytes:
    """All that stands before the data, padded."""
    metadata = [
        _pair("general.architecture", "llama"),
        _pair("general.name", name),
        _pair("general.alignment", _ALIGNMENT),
        _pair("general.file_type", 1),
        _pair("llama.block_count", len(tensors)),
        _pair("llama.embedding_length", _COLUMNS),
        _pair("llama.context_length", 2048),
    ]
    infos, offset = [], 0
    for tensor in tensors:
        dimensions = struct.pack("<I2Q", 2, tensor.columns, tensor.rows)
        infos.append(_string(tensor.name) + dimensions + struct.pack("<IQ", _F16, offset))
        offset += _aligned(tensor.nbytes)
    data = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)) + b"".join(metadata + infos)
    return data.ljust(_aligned(len(data)), b"\0")


def _weights(nbytes: int) -> Iterator[bytes]:
    """Float16 values between -2 and 2: with exponent bit 14 clear there is neither infinity nor NaN."""
    finite = int.from_bytes(b"\xff\xbf" * (MIB // 2), "little")
    block = (int.from_bytes(random.Random(1).randbytes(MIB), "little") & finite).to_bytes(MIB, "little")  # noqa: S311 - no secret
    for index in range(nbytes // MIB):
        # The index in base 128, every other byte, keeps bit 14 clear.
        stamp = bytes((index >> shift) & 0x3F for shift in (0, 6, 12, 18))
        yield stamp + block[len(stamp) :]


def _pair(key: str, value: str | int) -> bytes:
    if isinstance(value, str):
        return _string(key) + struct.pack("<I", _STRING) + _string(value)
    return _string(key) + struct.pack("<II", _U32, value)


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT
