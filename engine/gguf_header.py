"""Reads what a GGUF file says about itself: metadata, and the shapes of its tensors; never the weights.

Format (ggml-org/ggml, docs/gguf.md; versions 2 and 3, either byte order): magic, u32 version, u64 counts of tensors
and of metadata pairs; a pair is key, u32 type, value; then for each tensor its name, u32 number of dimensions, u64
each, u32 type, u64 offset. A string is a u64 length and UTF-8; an array is u32 type, u64 count, values.

The file is a stranger's. Nothing is believed that was not read: no length or count makes us allocate, at most
MAX_HEADER bytes are read, what is kept is small, and only FormatError comes out.
"""

import struct
from collections.abc import Iterator
from typing import Protocol

import msgspec

from engine.errors import FormatError

MAX_HEADER = 64 << 20
"""Bytes. The largest vocabularies known (262,144 words with their merges) make headers of about 16 MiB."""

Value = bool | int | float | str | tuple[bool | int | float, ...]

_STEP = 1 << 20
_MAX_TENSORS = 1 << 17
"""The most known, a mixture with each expert apart, are about 30,000."""
_MAX_PAIRS = 1 << 14
_MAX_KEY = (1 << 16) - 1
_MAX_TENSOR_NAME = 1 << 10
"""The specification says 64; files for other programs than llama.cpp pass that."""
_MAX_DIMENSIONS = 8
_MAX_TEXT = 1 << 16
"""Longer strings are passed over. The longest that we know are chat templates, of about 20 KiB."""
_MAX_ITEMS = 1 << 10
"""Longer arrays are passed over. What concerns us has a number for each layer."""
_MAX_KEPT = 8 << 20
"""Bytes of memory, about, for all that is kept."""
_SLOT = 64
"""Bytes of memory, about, for one value or array beside its content."""
_MAX_NUMBER = (1 << 63) - 1
_STRING, _ARRAY, _BOOL = 8, 9, 7
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q", 12: "d"}

FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 4: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS",
    20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M",
    28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 33: "Q4_0_4_4", 34: "Q4_0_4_8", 35: "Q4_0_8_8",
    36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE", 39: "NVFP4", 40: "Q1_0",
}  # fmt: skip
"""general.file_type -> quantization (llama.h, enum llama_ftype; 33 to 35 are gone since, their files are not)."""
_GUESSED = 1024
"""Set where llama.cpp guessed the type from the tensors."""


class Readable(Protocol):
    """A file that is open at its start, or what stands for one that is far away."""

    def read(self, size: int, /) -> bytes:
        """At most size bytes; none at the end."""
        ...


class GgufHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What the header says. Texts are a stranger's: escape them before they reach a terminal."""

    version: int
    tensor_count: int
    metadata: dict[str, Value]
    """Numbers, texts up to 64 KiB, arrays of up to 1024 numbers; all else was passed over."""
    tensor_parameters: int | None
    """Weights in all tensors of this file. None where the tensors could not be read to their end."""
    is_complete: bool = True
    """False where a prefix ended within the header (read_header's partial)."""

    @property
    def architecture(self) -> str | None:
        return self._text("general.architecture")

    @property
    def name(self) -> str | None:
        return self._text("general.name") or self._text("general.basename")

    @property
    def size_label(self) -> str | None:
        """As the model's makers call its size: "8B", "8x7B"."""
        return self._text("general.size_label")

    @property
    def parameter_count(self) -> int | None:
        """Weights of the whole model. None for a shard of a split model that does not say so."""
        told = self._number("general.parameter_count")
        is_shard = (self._number("split.count") or 0) > 1
        return told or (None if is_shard else self.tensor_parameters or None)

    @property
    def context_length(self) -> int | None:
        """Tokens that the model was trained to see at once."""
        return self._own_number("context_length")

    @property
    def block_count(self) -> int | None:
        return self._own_number("block_count")

    @property
    def embedding_length(self) -> int | None:
        return self._own_number("embedding_length")

    @property
    def head_counts(self) -> tuple[int, ...] | None:
        """Attention heads of each block, or one number for all."""
        return self._own_numbers("attention.head_count")

    @property
    def key_value_head_counts(self) -> tuple[int, ...] | None:
        """Heads of keys and values of each block, or one number for all: as many as head_counts unless told."""
        return self._own_numbers("attention.head_count_kv") or self.head_counts

    @property
    def quantization(self) -> str | None:
        """What most tensors are stored as: "Q4_K_M". None where the file does not say, or says what we do not know."""
        number = self._number("general.file_type")
        return None if number is None else FILE_TYPES.get(number & ~_GUESSED)

    def cache_bytes(self, tokens: int) -> int | None:
        """Memory of the key-value cache for so many tokens, in 16-bit floats as llama.cpp keeps it by default.

        Every block is counted in full, also where a model's window makes some of them smaller. None where the
        header does not say enough.
        """
        blocks, width, heads = self.block_count, self.embedding_length, self.head_counts
        shared = self.key_value_head_counts
        if blocks is None or shared is None:
            return None
        even = width // max(heads) if width is not None and heads and max(heads) else None
        key = self._own_number("attention.key_length", even)
        value = self._own_number("attention.value_length", even)
        if key is None or value is None:
            return None
        total = sum(shared) if len(shared) > 1 else shared[0] * blocks
        return 2 * tokens * total * (key + value)

    def _text(self, key: str) -> str | None:
        value = self.metadata.get(key)
        return value if isinstance(value, str) and value else None

    def _number(self, key: str) -> int | None:
        found = _naturals(self.metadata.get(key))
        return found[0] if found is not None and len(found) == 1 else None

    def _own_number(self, key: str, default: int | None = None) -> int | None:
        found = self._number(f"{self.architecture}.{key}")
        return default if found is None else found

    def _own_numbers(self, key: str) -> tuple[int, ...] | None:
        return _naturals(self.metadata.get(f"{self.architecture}.{key}"))


def read_header(file: Readable, *, partial: bool = False) -> GgufHeader:
    """The header of a GGUF file that is open at its start; reads forward, in steps of 1 MiB, and never seeks.

    Raises FormatError for what is no GGUF, is damaged or absurd, or is cut off; with partial, what stood before the
    cut comes back instead, once the magic, version and counts were there. The file's own OSError passes through.
    """
    cursor = _Cursor(file)
    version, tensor_count, pair_count = _start(cursor)
    metadata: dict[str, Value] = {}
    parameters: int | None = None
    try:
        for key, value in _pairs(cursor, pair_count):
            if key in metadata:
                raise _fault(f"the key {key[:80]!r} is there twice")
            if value is not None:
                metadata[key] = value
        parameters = sum(_tensor_sizes(cursor, tensor_count))
    except _CutOff:
        if not partial:
            raise
    return GgufHeader(
        version=version,
        tensor_count=tensor_count,
        metadata=metadata,
        tensor_parameters=parameters,
        is_complete=parameters is not None,
    )


class _CutOff(FormatError):
    """The file ends within the header."""


class _Cursor:
    """Reads values in sequence; holds a step of the file and the longest value."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._block = b""
        self._at = 0
        self._taken = 0
        self._spent = 0
        self.order = "<"

    def take(self, nbytes: int) -> bytes:
        """The next nbytes; small numbers only, for they are held."""
        if nbytes > len(self._block) - self._at:
            self._refill(nbytes)
        start = self._at
        self._at += nbytes
        return self._block[start : self._at]

    def skip(self, nbytes: int) -> None:
        """As take, but of any number, and nothing is held."""
        while nbytes > (there := len(self._block) - self._at):
            nbytes -= there
            self._at = len(self._block)
            if nbytes > MAX_HEADER - self._taken:
                raise _fault(f"a value of {nbytes} more bytes passes the {MAX_HEADER >> 20} MiB that we read")
            self._refill(1)
        self._at += nbytes

    def spend(self, nbytes: int) -> None:
        """Count memory, before it is taken."""
        self._spent += nbytes
        if self._spent > _MAX_KEPT:
            raise _fault(f"its metadata would take more than {_MAX_KEPT >> 20} MiB")

    def number(self, code: str) -> int:
        (value,) = self.values(code, 1)
        return int(value)

    def values(self, code: str, count: int) -> tuple[int | float, ...]:
        layout = f"{self.order}{count}{code}"
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def text(self, limit: int, what: str) -> str:
        length = self.number("Q")
        if length > limit:
            raise _fault(f"{what} is {length} bytes long")
        return self.take(length).decode("utf-8", "replace")

    def skip_strings(self, count: int) -> None:
        """As skipping each; a vocabulary has some hundred thousand, so without a call for each."""
        unpack = struct.Struct(f"{self.order}Q").unpack_from
        while count:
            block, at, last = self._block, self._at, len(self._block) - 8
            while count and at <= last:
                at += 8 + unpack(block, at)[0]
                count -= 1
            here = min(at, len(block))
            self._at = here
            self.skip(at - here)
            if count and len(self._block) - self._at < 8:
                self._refill(8)

    def _refill(self, nbytes: int) -> None:
        """Bring at least nbytes before the cursor."""
        rest = self._block[self._at :]
        pieces, held = [rest], len(rest)
        while held < nbytes:
            if self._taken >= MAX_HEADER:
                raise _fault(f"it passes the {MAX_HEADER >> 20} MiB that we read")
            piece = self._file.read(min(_STEP, MAX_HEADER - self._taken))
            if not piece:
                raise _CutOff("Not a whole GGUF header: the file ends within it. Fetch the file again.")
            pieces.append(piece)
            held += len(piece)
            self._taken += len(piece)
        self._block, self._at = b"".join(pieces), 0


def _start(cursor: _Cursor) -> tuple[int, int, int]:
    """Version and counts; sets the byte order."""
    if (magic := cursor.take(4)) != b"GGUF":
        raise _fault(f"it starts with {magic!r}")
    version = cursor.number("I")
    if (
        version and version & 0xFFFF == 0
    ):  # as the specification's reader tells a file of the other byte order
        cursor.order = ">"
        version = int.from_bytes(version.to_bytes(4, "little"), "big")
    if version not in (2, 3):
        raise _fault(f"its version is {version}, and we read 2 and 3")
    tensors, pairs = cursor.number("Q"), cursor.number("Q")
    if tensors > _MAX_TENSORS or pairs > _MAX_PAIRS:
        raise _fault(f"it claims {tensors} tensors and {pairs} metadata values")
    return version, tensors, pairs


def _pairs(cursor: _Cursor, count: int) -> Iterator[tuple[str, Value | None]]:
    """Keys with what is kept of their values; None for what is passed over."""
    for _ in range(count):
        key = cursor.text(_MAX_KEY, "a key")
        cursor.spend(_SLOT + len(key))
        kind = cursor.number("I")
        if kind == _STRING:
            yield key, _string(cursor)
        elif kind == _ARRAY:
            yield key, _array(cursor)
        else:
            yield key, _numbers(cursor, kind, 1)[0]


def _string(cursor: _Cursor) -> str | None:
    length = cursor.number("Q")
    if length > _MAX_TEXT:
        cursor.skip(length)
        return None
    cursor.spend(_SLOT + length)
    return cursor.take(length).decode("utf-8", "replace")


def _array(cursor: _Cursor, *, is_inner: bool = False) -> tuple[bool | int | float, ...] | None:
    """What is kept of an array. One in another costs memory that it does not take: their number is bounded so."""
    cursor.spend(_SLOT)
    kind, count = cursor.number("I"), cursor.number("Q")
    if kind == _STRING:
        cursor.skip_strings(count)
    elif kind == _ARRAY:
        if is_inner:
            raise _fault("an array is in an array in an array")
        for _ in range(count):
            _array(cursor, is_inner=True)
    elif count <= _MAX_ITEMS:
        cursor.spend(count * _SLOT // 2)
        return _numbers(cursor, kind, count)
    else:
        cursor.skip(count * struct.calcsize(f"<{_code(kind)}"))
    return None


def _numbers(cursor: _Cursor, kind: int, count: int) -> tuple[bool | int | float, ...]:
    values = cursor.values(_code(kind), count)
    return tuple(bool(value) for value in values) if kind == _BOOL else values


def _code(kind: int) -> str:
    if kind not in _NUMBERS:
        raise _fault(f"a value is of type {kind}, which the format does not have")
    return _NUMBERS[kind]


def _tensor_sizes(cursor: _Cursor, count: int) -> Iterator[int]:
    """Weights of each tensor."""
    total = 0
    for _ in range(count):
        name = cursor.text(_MAX_TENSOR_NAME, "a tensor's name")
        dimensions = cursor.number("I")
        if dimensions > _MAX_DIMENSIONS:
            raise _fault(f"the tensor {name[:80]!r} has {dimensions} dimensions")
        size = 1
        for length in cursor.values("Q", dimensions):
            size *= int(length)
        cursor.skip(12)  # type and offset
        total += size
        if total > _MAX_NUMBER:
            raise _fault(f"the tensor {name[:80]!r} is larger than any disk")
        yield size


def _naturals(value: Value | None) -> tuple[int, ...] | None:
    """One number or several, if they are whole and not negative."""
    found = tuple(
        item
        for item in (value if isinstance(value, tuple) else (value,))
        if isinstance(item, int) and not isinstance(item, bool) and 0 <= item <= _MAX_NUMBER
    )
    return found if found and len(found) == (len(value) if isinstance(value, tuple) else 1) else None


def _fault(why: str) -> FormatError:
    return FormatError(
        f"Not a GGUF header that can be believed: {why}. Fetch the file again, or doubt its source."
    )
