"""The GGUF header reader: against the format's own writer, and against headers that mean harm."""

import io
import struct
import time
import tracemalloc

import gguf
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.console.gguf_file import Tensor, head
from engine.errors import FormatError
from engine.gguf_header import FILE_TYPES, GgufHeader, read_header
from tests.properties import steady

np = pytest.importorskip("numpy")
WORDS = [f"word{index}" for index in range(3000)]


def write_model(path, *, endian=gguf.GGUFEndian.LITTLE, more=lambda writer: None):
    """A small llama of 2 blocks with a vocabulary, by the format's own writer."""
    writer = gguf.GGUFWriter(path, "llama", endianess=endian)
    writer.add_name("Tiny")
    writer.add_size_label("1.2K")
    writer.add_context_length(4096)
    writer.add_embedding_length(64)
    writer.add_block_count(2)
    writer.add_head_count(8)
    writer.add_head_count_kv(2)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_K_M)
    writer.add_token_list(WORDS)
    writer.add_token_scores([0.5] * len(WORDS))
    writer.add_bool("tokenizer.ggml.add_bos_token", True)
    writer.add_float32("llama.rope.freq_base", 10000.0)
    more(writer)
    for index in range(2):
        writer.add_tensor(f"blk.{index}.ffn_up.weight", np.zeros((30, 20), dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Bytes of the small llama."""
    return write_model(tmp_path_factory.mktemp("gguf") / "m.gguf").read_bytes()


def read(data, **more) -> GgufHeader:
    return read_header(io.BytesIO(data), **more)


@pytest.mark.parametrize("endian", list(gguf.GGUFEndian), ids=lambda endian: endian.name)
def test_header_as_the_formats_writer_makes_it(tmp_path, endian):
    """All that a manifest wants is there, in either byte order; vocabularies are passed over."""
    header = read(write_model(tmp_path / "m.gguf", endian=endian).read_bytes())
    assert (header.version, header.tensor_count, header.is_complete) == (3, 2, True)
    assert (header.architecture, header.name, header.size_label) == ("llama", "Tiny", "1.2K")
    assert (header.parameter_count, header.quantization) == (1200, "Q4_K_M")
    assert (header.context_length, header.block_count, header.embedding_length) == (4096, 2, 64)
    assert (header.head_counts, header.key_value_head_counts) == ((8,), (2,))
    assert header.metadata["tokenizer.ggml.add_bos_token"] is True
    assert header.metadata["llama.rope.freq_base"] == 10000.0
    assert not {"tokenizer.ggml.tokens", "tokenizer.ggml.scores"} & set(header.metadata)


def test_header_of_version_2(model):
    """Version 2 is laid out as version 3 is."""
    assert read(model[:4] + struct.pack("<I", 2) + model[8:]).parameter_count == 1200


def test_parameter_count_that_is_told(tmp_path):
    """What the file tells wins over what its tensors add up to: a shard has only some of them."""
    path = write_model(
        tmp_path / "m.gguf", more=lambda writer: writer.add_uint64("general.parameter_count", 7)
    )
    assert read(path.read_bytes()).parameter_count == 7


def test_parameter_count_of_a_shard(tmp_path):
    """The tensors of one shard are not the model's."""
    path = write_model(tmp_path / "m.gguf", more=lambda writer: writer.add_uint16("split.count", 3))
    header = read(path.read_bytes())
    assert (header.tensor_parameters, header.parameter_count) == (1200, None)


def test_cache_bytes(tmp_path):
    """The cache holds a key and a value of 16 bits for each token, block, head and element."""
    header = read(write_model(tmp_path / "m.gguf").read_bytes())
    assert header.cache_bytes(100) == 100 * 2 * 2 * (8 + 8) * 2
    told = write_model(tmp_path / "n.gguf", more=lambda writer: writer.add_key_length(32))
    assert read(told.read_bytes()).cache_bytes(100) == 100 * 2 * 2 * (32 + 8) * 2


def test_cache_bytes_by_layer(tmp_path):
    """Where each block has its own number of heads, they add up; a block without attention costs nothing."""
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, "mixed")
    writer.add_block_count(3)
    writer.add_embedding_length(64)
    writer.add_head_count(8)
    writer.add_head_count_kv([4, 0, 2])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert read(path.read_bytes()).cache_bytes(10) == 10 * (4 + 2) * (8 + 8) * 2


def test_header_of_the_demo():
    """What the demo writes reads as it is meant; what it does not say is None."""
    header = read(head("demo", [Tensor("a", 4, 3), Tensor("b", 5, 2)]))
    assert (header.name, header.parameter_count, header.quantization) == ("demo", 22, "F16")
    assert (header.context_length, header.head_counts, header.cache_bytes(8)) == (2048, None, None)


def test_file_types_are_llama_cpps():
    """The numbers of general.file_type mean what the format's own package says."""
    theirs = {
        kind.value: kind.name.removeprefix("MOSTLY_").removeprefix("ALL_") for kind in gguf.LlamaFileType
    }
    del theirs[1024]
    assert {number: FILE_TYPES[number] for number in theirs} == theirs


class Dripping(io.BytesIO):
    """Hands out a few bytes at a time, as pipes may."""

    def read(self, size=-1):
        return super().read(min(size, 7))


def test_header_read_in_drops(model):
    """It does not matter how much a read brings."""
    assert read_header(Dripping(model)) == read(model)


def test_header_reads_no_weights(model):
    """No more than the header's steps are taken from the file."""
    file = io.BytesIO(model + bytes(20 << 20))
    read_header(file)
    assert file.tell() <= 1 << 20


@pytest.mark.row("attack/39-gguf")
def test_prefix_of_a_header(model):
    """Cut off anywhere, a header is refused; with partial, what stood before the cut is there."""
    whole = read(model)
    end = model.index(b"blk.1.ffn_up.weight") + 19 + 4 + 16 + 12
    assert read(model[:end]) == whole
    for cut in [*range(24), *range(24, end, 997), end - 1]:
        with pytest.raises(FormatError, match="ends within"):
            read(model[:cut])
        if cut >= 24:
            part = read(model[:cut], partial=True)
            assert not part.is_complete
            assert part.metadata.items() <= whole.metadata.items()
            assert part.parameter_count is None
    assert read(model[: end - 1], partial=True).metadata == whole.metadata


def text(data):
    return struct.pack("<Q", len(data)) + data


def pair(key, kind, data):
    return text(key) + struct.pack("<I", kind) + data


def start(tensors=0, pairs=1, version=3):
    return b"GGUF" + struct.pack("<IQQ", version, tensors, pairs)


def array(kind, count, data=b""):
    return struct.pack("<IQ", kind, count) + data


HUGE = (1 << 64) - 1
BAD = {
    "empty": b"",
    "another format": b"PK\x03\x04" + bytes(100),
    "version 0": start(version=0),
    "version 1": start(version=1),
    "version 4": start(version=4),
    "tensor count": start(tensors=HUGE),
    "pair count": start(pairs=HUGE),
    "key length": start() + struct.pack("<Q", HUGE),
    "string length": start() + pair(b"k", 8, struct.pack("<Q", HUGE)),
    "value type": start() + pair(b"k", 13, bytes(8)),
    "array type": start() + pair(b"k", 9, array(99, 1)),
    "array type, long": start() + pair(b"k", 9, array(99, 5000)),
    "array count": start() + pair(b"k", 9, array(4, HUGE)),
    "strings count": start() + pair(b"k", 9, array(8, HUGE, text(b"x"))),
    "strings length": start() + pair(b"k", 9, array(8, 3, struct.pack("<Q", HUGE))),
    "nesting": start() + pair(b"k", 9, array(9, 1) * 500),
    "arrays in an array": start() + pair(b"k", 9, array(9, HUGE, array(0, 0) * 200_000)),
    "key twice": start(pairs=2) + pair(b"k", 0, b"\1") * 2,
    "dimensions": start(1, 0) + text(b"t") + struct.pack("<I", 1 << 31),
    "size overflow": start(1, 0) + text(b"t") + struct.pack("<IQQIQ", 2, 1 << 40, 1 << 40, 0, 0),
    "tensor name": start(1, 0) + text(b"t" * 5000),
    "endless zeros": start(pairs=1) + pair(b"k", 9, array(8, 1 << 40)) + bytes(70 << 20),
    "endless numbers": start(pairs=1 << 14)
    + b"".join(pair(b"%d" % i, 9, array(0, 1024, bytes(1024))) for i in range(2000)),
    "endless texts": start(pairs=1 << 14)
    + b"".join(pair(b"%d" % i, 8, text(bytes(1 << 16))) for i in range(300)),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.row("attack/39-gguf")
def test_hostile_header_is_refused_in_time(name):
    """A header that lies is a FormatError, before it has cost much time or memory."""
    file = io.BytesIO(BAD[name])
    began = time.process_time()
    with pytest.raises(FormatError):
        read_header(file)
    assert time.process_time() - began < 15


@pytest.mark.parametrize("name", sorted({*BAD} - {"endless zeros"}))
@pytest.mark.row("attack/39-gguf")
def test_hostile_header_takes_little_memory(name):
    """Nothing is allocated because a header claims it; endless zeros are left out, since counting them takes long."""
    file = io.BytesIO(BAD[name])
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            read_header(file)
        assert tracemalloc.get_traced_memory()[1] < 48 << 20
    finally:
        tracemalloc.stop()


@given(
    st.lists(st.tuples(st.integers(0, 1500), st.binary(min_size=1, max_size=9)), max_size=4),
    st.integers(0, 1500),
    st.booleans(),
)
@example([], 0, False)
@steady(600)
@pytest.mark.row("attack/39-gguf")
def test_mutated_header_raises_nothing_else(changes, cut, partial):
    """Whatever stands in a file, a header or a FormatError comes out, and all it is asked has an answer."""
    data = bytearray(_SEED)
    for at, new in changes:
        data[at : at + len(new)] = new
    try:
        header = read(bytes(data[: len(data) - cut]), partial=partial)
    except FormatError:
        return
    for name in (name for name in dir(GgufHeader) if not name.startswith("_")):
        getattr(header, name)
    assert header.cache_bytes(8192) is None or header.cache_bytes(8192) >= 0
    assert header.parameter_count is None or header.parameter_count > 0


_SEED = (
    start(tensors=2, pairs=12)
    + pair(b"general.architecture", 8, text(b"llama"))
    + pair(b"general.name", 8, text("Größe".encode()))
    + pair(b"general.file_type", 4, struct.pack("<I", 15))
    + pair(b"general.parameter_count", 10, struct.pack("<Q", 10**9))
    + pair(b"llama.context_length", 4, struct.pack("<I", 4096))
    + pair(b"llama.block_count", 4, struct.pack("<I", 3))
    + pair(b"llama.embedding_length", 4, struct.pack("<I", 64))
    + pair(b"llama.attention.head_count", 4, struct.pack("<I", 8))
    + pair(b"llama.attention.head_count_kv", 9, array(4, 3, struct.pack("<3I", 2, 0, 2)))
    + pair(b"tokenizer.ggml.tokens", 9, array(8, 4, text(b"a") + text(b"bc") + text(b"") + text(b"d")))
    + pair(b"nested", 9, array(9, 2, array(6, 1, bytes(4)) + array(7, 2, b"\0\1")))
    + pair(b"rope", 12, struct.pack("<d", 1e4))
    + b"".join(text(b"blk.%d" % i) + struct.pack("<I2QIQ", 2, 8, 4, 1, 64 * i) for i in range(2))
)
