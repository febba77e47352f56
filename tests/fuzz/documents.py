"""Pieces that documents are made of."""

import json
from typing import Any

from hypothesis import strategies as st

HEX = "0123456789abcdef" * 4
Bytes = st.SearchStrategy[bytes]

text: Bytes = st.text(max_size=12).map(lambda found: found.encode("utf-8", "surrogatepass"))


def one_of(words: str, *more: str) -> Bytes:
    """One of these words, with spaces between them, or of more."""
    return st.sampled_from([word.encode() for word in (*words.split(), *more)])


def joined(*parts: str | Bytes) -> Bytes:
    """One after the other."""
    return st.tuples(*(st.just(part.encode()) if isinstance(part, str) else part for part in parts)).map(
        b"".join
    )


def as_json(value: st.SearchStrategy[Any]) -> Bytes:
    return value.map(lambda found: json.dumps(found).encode())


def record(needed: dict[str, Any], **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    """A dictionary; what is no strategy stands for itself."""
    fields = {name: _strategy(value) for name, value in needed.items()}
    return st.fixed_dictionaries(
        fields, optional={name: _strategy(value) for name, value in optional.items()}
    )


def _strategy(value: Any) -> st.SearchStrategy[Any]:
    return value if isinstance(value, st.SearchStrategy) else st.just(value)


digests = st.integers(0, 5).map(lambda number: f"sha256:{number:064x}")
sizes = st.integers(0, 3) | st.sampled_from([-1, 1 << 62, 1 << 63, 1 << 64, 1.5, "1", None])
anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
