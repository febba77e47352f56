"""engine.sources.splits: what of a split set is missing."""

import pytest

from engine.sources.splits import missing_shards

CASES = [
    ([], []),
    (["m.gguf", "README.md"], []),
    (["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"], []),
    (["m-00001-of-00003.gguf"], ["m-00002-of-00003.gguf", "m-00003-of-00003.gguf"]),
    (["d/m-00002-of-00002.safetensors", "x"], ["d/m-00001-of-00002.safetensors"]),
    (
        ["m-00001-of-00002.gguf", "m-00002-of-00003.gguf"],
        ["m-00002-of-00002.gguf", "m-00001-of-00003.gguf", "m-00003-of-00003.gguf"],
    ),
    (["a-00001-of-00002.gguf", "b-00002-of-00002.gguf"], ["a-00002-of-00002.gguf", "b-00001-of-00002.gguf"]),
    (["m-1-of-3.gguf", "m-00001-of-00000.gguf"], []),
]


@pytest.mark.parametrize(("names", "missing"), CASES)
def test_what_is_missing(names: list[str], missing: list[str]) -> None:
    """By name alone, set by set; sets of one stem that were cut in another way are two."""
    assert missing_shards(names) == missing


def test_what_is_missing_is_bounded() -> None:
    """Names that claim a hundred thousand files each do not make us name them all."""
    assert len(missing_shards(f"{stem}-00001-of-99999.gguf" for stem in "abcdefghij")) == 1000
