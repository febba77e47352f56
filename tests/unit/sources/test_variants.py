"""What a repository's quantizations take, and which of them is the largest that fits."""

import pytest

from engine.errors import EngineError
from engine.gguf_header import GgufHeader
from engine.sources.gguf import models_in
from engine.sources.listing import Entry
from engine.sources.variants import Survey, variants_of

PATHS = {
    "M-Q8_0.gguf": 8_000_000_000,
    "M-Q4_K_M.gguf": 4_800_000_000,
    "M-Q2_K.gguf": 3_000_000_000,
    "F16/M-F16-00001-of-00002.gguf": 9_000_000_000,
    "F16/M-F16-00002-of-00002.gguf": 7_000_000_000,
    "BF16/M-BF16-00001-of-00002.gguf": 9_000_000_000,
}


def header(context=131072, **more):
    facts = {
        "context_length": context,
        "block_count": 32,
        "embedding_length": 4096,
        "attention.head_count": 32,
    }
    facts |= {"attention.head_count_kv": 8, **more}
    metadata = {"general.architecture": "llama"} | {f"llama.{key}": value for key, value in facts.items()}
    return GgufHeader(version=3, tensor_count=1, metadata=metadata, tensor_parameters=8_000_000_000)


def surveyed(head=None):
    found = models_in([Entry(path, size) for path, size in PATHS.items()])
    return Survey(variants_of(found, head), head)


def test_variants_by_size():
    """The smallest first; a split is one, and one that is not whole is none; bits are those of a weight."""
    found = surveyed(header()).variants
    assert [variant.name for variant in found] == ["Q2_K", "Q4_K_M", "Q8_0", "F16"]
    assert [variant.bits_per_weight for variant in found] == [3.0, 4.8, 8.0, 16.0]
    assert [variant.is_default for variant in found] == [False, True, False, False]
    assert found[3].files == ("F16/M-F16-00001-of-00002.gguf", "F16/M-F16-00002-of-00002.gguf")


def test_memory_is_file_and_cache_and_a_tenth():
    """Llama 3's cache: 2 of 16 bits, 32 blocks, 8 heads of 128, for 8192 tokens is 1 GiB; fewer take less."""
    assert surveyed(header()).variants[0].memory == (3_000_000_000 + (1 << 30)) * 11 // 10
    assert surveyed(header(context=2048)).variants[0].memory == (3_000_000_000 + (1 << 28)) * 11 // 10
    unknown = surveyed().variants[0]
    assert (unknown.memory, unknown.bits_per_weight) == (3_300_000_000, None)


@pytest.mark.parametrize(
    ("gigabytes", "name"), [(4.5, "Q2_K"), (6.4, "Q2_K"), (6.5, "Q4_K_M"), (10.0, "Q8_0"), (100.0, "F16")]
)
def test_the_largest_that_fits(gigabytes, name):
    """The most of quality that memory allows."""
    assert surveyed(header()).largest_within(int(gigabytes * 1e9)).name == name


def test_nothing_fits():
    """The error lists what each would take and what there is."""
    with pytest.raises(EngineError) as caught:
        surveyed(header()).largest_within(2_000_000_000)
    for word in ("2.0 GB of memory", "Q2_K 4.5 GB (files 3.0 GB)", "F16"):
        assert word in str(caught.value)
