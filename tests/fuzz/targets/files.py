"""Headers of files that strangers made: GGUF and safetensors."""

import io
import json
import struct
from contextlib import suppress

from hypothesis import strategies as st

from engine.errors import FormatError
from engine.gguf_header import GgufHeader, read_header
from engine.library.description import facts_in
from engine.safetensors_header import read_weights
from tests.fuzz.documents import Bytes, anything, as_json, record
from tests.fuzz.target import simple


def _gguf(data: bytes) -> None:
    with suppress(FormatError):
        facts_in(io.BytesIO(data))
    with suppress(FormatError):
        _look(read_header(io.BytesIO(data)))
    with suppress(FormatError):
        _look(read_header(io.BytesIO(data), partial=True))


def _look(header: GgufHeader) -> None:
    memory = header.cache_bytes(8192)
    assert memory is None or memory >= 0
    assert header.parameter_count is None or header.parameter_count > 0
    shown = (header.name, header.size_label, header.quantization, header.context_length, header.block_count)
    assert isinstance(shown, tuple) and header.is_complete is (header.tensor_parameters is not None)


_CODES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


def _string(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(raw)) + raw


@st.composite
def _value(draw: st.DrawFn, depth: int = 0) -> bytes:
    """A type and its value, or an array's."""
    kind = draw(st.sampled_from([4, 4, 8, 9, 9, *_CODES]) if depth < 3 else st.sampled_from([4, 8]))
    if kind == 8:
        return struct.pack("<I", 8) + _string(draw(st.text(max_size=5) | st.just("x" * 70_000)))
    if kind == 9:
        inner = [draw(_value(depth + 1)) for _ in range(draw(st.integers(0, 3)))]
        same = [value[4:] for value in inner if value[:4] == inner[0][:4]]
        return (
            struct.pack("<I", 9)
            + (inner[0][:4] if inner else b"\4\0\0\0")
            + struct.pack("<Q", len(same))
            + b"".join(same)
        )
    return struct.pack("<I", kind) + draw(
        st.binary(min_size=struct.calcsize(_CODES[kind]), max_size=struct.calcsize(_CODES[kind]))
    )


_TEXTS = ["general.architecture", "general.name", "general.basename", "general.size_label"]
_COUNTS = [
    "general.parameter_count",
    "general.file_type",
    "split.count",
    "llama.context_length",
    "llama.block_count",
    "llama.embedding_length",
    "llama.attention.head_count",
    "llama.attention.head_count_kv",
    "llama.attention.key_length",
    "llama.attention.value_length",
]


@st.composite
def _pair(draw: st.DrawFn) -> tuple[str, bytes]:
    if draw(st.booleans()):
        return draw(st.sampled_from(_TEXTS)), struct.pack("<I", 8) + _string(
            draw(st.sampled_from(["llama", "7B", "", "\x1b[2J"]))
        )
    key = draw(st.sampled_from(_COUNTS) | st.text(max_size=4))
    number = struct.pack("<II", 4, draw(st.integers(0, 70) | st.just(1024 + 15)))
    items = draw(st.integers(0, 3) | st.just(2000))
    array = struct.pack("<IIQ", 9, 4, items) + struct.pack("<I", 2) * items
    return key, draw(st.sampled_from([number, number, array]) | _value())


@st.composite
def _file(draw: st.DrawFn) -> bytes:
    pairs = draw(st.dictionaries(st.integers(), _pair(), max_size=8)).values()
    named = (
        {"general.architecture": struct.pack("<I", 8) + _string("llama"), **dict(pairs)}
        if draw(st.booleans())
        else dict(pairs)
    )
    tensors = [
        _string(draw(st.text(max_size=4) | st.just("n" * 2000)))
        + struct.pack("<I", len(shape))
        + b"".join(struct.pack("<Q", length) for length in shape)
        + b"\0" * 12
        for shape in draw(st.lists(st.lists(st.integers(0, 9) | st.just(1 << 40), max_size=9), max_size=3))
    ]
    version = draw(st.sampled_from([2, 3, 3, 1, 4, 0x03000000]))
    order = ">" if version > 9 else "<"
    head = struct.pack("<I", version) + struct.pack(f"{order}QQ", len(tensors), len(named))
    return b"GGUF" + head + b"".join(_string(key) + value for key, value in named.items()) + b"".join(tensors)


_HUGE = [
    struct.pack("<Q", number)
    for number in (0, 1, 1 << 16, 1 << 24, 1 << 26, 1 << 31, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)
]
_ARRAYS = [struct.pack("<II", 9, kind) for kind in range(14)]
gguf = simple(
    "gguf",
    _file(),
    (
        b"GGUF",
        *_HUGE,
        *_ARRAYS,
        b"\0" * 24,
        b"\3\0\0\0",
        b"\0\0\0\3",
        *map(str.encode, (*_TEXTS, *_COUNTS)),
        b"\xff\xfe",
    ),
    "gguf_header.py",
)(_gguf)


def _safetensors(data: bytes) -> None:
    with suppress(FormatError):
        weights = read_weights(io.BytesIO(data))
        assert 0 <= weights.total() < 1 << 63


_TENSOR = record(
    {
        "dtype": st.sampled_from(["BF16", "F32", "X" * 20]),
        "shape": st.lists(st.integers(0, 9) | st.just(1 << 62) | st.just(-1), max_size=4),
    },
    data_offsets=st.just([0, 1]),
)
_TABLE = as_json(
    st.dictionaries(st.sampled_from(["a", "b", "__metadata__", "\ud800"]), _TENSOR, max_size=3) | anything
)
_SAFE: Bytes = _TABLE.map(lambda raw: struct.pack("<Q", len(raw)) + raw)
_ALIKE = st.builds(lambda name: json.dumps({name: {}}).encode(), st.text(max_size=3))
safetensors = simple(
    "safetensors",
    _SAFE | _ALIKE,
    (
        *_HUGE,
        b"{",
        b"}",
        b"[",
        b'"dtype":',
        b'"shape":',
        b'"__metadata__":',
        b"\xff",
        b"\\ud800",
        b"9223372036854775807",
    ),
    "safetensors_header.py",
)(_safetensors)
TARGETS = (gguf, safetensors)
