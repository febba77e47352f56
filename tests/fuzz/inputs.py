"""Inputs: sound documents and seeds, with a few edits; and the target's words in any order."""

from hypothesis import strategies as st

from tests.fuzz.target import Target

_MAX_BYTES = 1 << 16
"""As long as a header's line may be (http.client, _MAXLINE); what grows with the square of it shows at that size."""


def inputs(target: Target, seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    words = st.sampled_from(target.tokens)
    soup = st.lists(words | st.binary(max_size=4), max_size=30).map(b"".join)
    bases = target.documents | soup
    if seeds:
        bases |= st.sampled_from(seeds)
    fillers = words | st.binary(max_size=8) | st.sampled_from([b"", b"\0", b"\xff", b" ", b"9" * 20])
    return st.builds(_edited, bases, st.lists(_edits(fillers), max_size=4))


def _edits(fillers: st.SearchStrategy[bytes]) -> st.SearchStrategy[tuple[str, int, int, bytes, int]]:
    """How, where, over how many bytes, with what, how often."""
    often = st.sampled_from([2, 3, 40, 300, 5000, _MAX_BYTES])
    how = st.sampled_from(["put", "repeat", "fill", "cut", "flip"])
    return st.tuples(how, st.integers(0, 1 << 12), st.integers(0, 40), fillers, often)


def _edited(data: bytes, edits: list[tuple[str, int, int, bytes, int]]) -> bytes:
    for how, place, length, filler, times in edits:
        start = place % (len(data) + 1)
        stop = min(start + length, len(data))
        old = data[start:stop]
        match how:
            case "put":
                new = filler
            case "repeat":
                new = old * min(times, _MAX_BYTES // (len(old) or 1))
            case "fill":
                new = filler * min(times, _MAX_BYTES // (len(filler) or 1))
            case "flip":
                new = bytes(byte ^ (1 << (times % 8)) for byte in old)
            case _:
                new, stop = b"", len(data)
        data = (data[:start] + new + data[stop:])[:_MAX_BYTES]
    return data
