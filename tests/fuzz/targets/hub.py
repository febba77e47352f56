"""What the Hub answers: commits, pages of a tree, indexes of shards; and names of files that make up one model."""

from contextlib import suppress
from typing import Any, cast

from hypothesis import strategies as st

from engine.errors import EngineError, NotFound
from engine.remote_file import RemoteFile
from engine.server import oci_manifests
from engine.sources import gguf, safetensors
from engine.sources.huggingface import HuggingFace
from engine.sources.listing import Entry
from engine.sources.splits import missing_shards, set_of
from tests.fuzz.canned import choices, client, pull
from tests.fuzz.documents import HEX, anything, as_json, joined, one_of, record, sizes
from tests.fuzz.target import simple


def _hub(data: bytes) -> None:
    for choice in choices(data):
        for typed in ("ns/repo", f"ns/repo@{HEX[:40]}"):
            pull(data, HuggingFace("https://huggingface.co"), typed, choice)
    elsewhere = HuggingFace("https://h.example/x")
    with suppress(EngineError):
        assert isinstance(elsewhere.list_tree(client(data), "ns/repo", HEX[:40], "a folder"), list)
    file = RemoteFile(
        name=cast(Any, "a/b"), url=f"https://huggingface.co/ns/repo/resolve/{HEX[:40]}/a/b", revision=HEX[:40]
    )
    assert elsewhere.refresh(client(data), file) is file
    with suppress(EngineError):
        assert HuggingFace("https://huggingface.co").refresh(client(data), file).name == file.name
    with suppress(EngineError):
        HuggingFace(data.decode("utf-8", "replace"))


_PATHS = st.sampled_from(
    [
        "m-Q4_K_M.gguf",
        "m-Q8_0-00001-of-00002.gguf",
        "config.json",
        "model.safetensors.index.json",
        "a/b",
        "../x",
        "mmproj.gguf",
        "model-00001-of-00002.safetensors",
        "tokenizer.json",
        "a.bin",
        "con",
        "CONFIG.json",
    ]
)
_NODE = record(
    {"type": st.sampled_from(["file", "directory"]), "path": _PATHS, "size": st.integers(0, 3) | sizes},
    oid=st.sampled_from([HEX[:40], HEX[1:40], "", None]),
    lfs=record({"oid": st.sampled_from([HEX, f"sha256:{HEX}", "x"]), "size": st.integers(0, 3)}) | st.none(),
)
REVISION = as_json(record({"sha": st.sampled_from([HEX[:40], HEX, "main", HEX[1:40]])}) | anything)
_LINK = one_of(
    '</api/models/ns/repo/tree/x?cursor=2>;rel="next"\1', '<https://evil.example/>;rel="next"\1', ""
)
PAGE = joined(_LINK, as_json(st.lists(_NODE, max_size=5) | anything))
_MAP = as_json(record({"weight_map": st.dictionaries(st.text(max_size=2), _PATHS, max_size=3)}) | anything)
hub = simple(
    "hub-listing",
    joined(REVISION, "\0", PAGE, "\0", PAGE, "\0", _MAP)
    | joined(REVISION, "\0", PAGE, "\0", _MAP, "\0", PAGE)
    | joined(PAGE, "\0", _MAP)
    | one_of("https://h.example/ https://u@h"),
    (
        b'"path":',
        b'"size":',
        b'"oid":',
        b'"lfs":',
        b'"type":"file"',
        b"[",
        b"{",
        b"\0",
        b"\1",
        HEX[:40].encode(),
        b"..",
        b"\\ud800",
        b"1e999",
        b"\xff",
        b"null",
    ),
    "sources/huggingface.py",
)(_hub)


def _split_names(data: bytes) -> None:
    """Names of a listing, a line each, and none longer than a listing lets in."""
    names = list(dict.fromkeys(line.decode("utf-8", "replace")[:4096] for line in data.split(b"\n")))
    entries = [Entry(name, size) for size, name in enumerate(names)]
    models = gguf.models_in(entry for entry in entries if gguf.is_model(entry.path))
    for quant in (None, "Q8_0", names[0][:20]):
        with suppress(NotFound):
            assert set(gguf.choose(entries, quant)) <= set(entries) if models else True
    for entry in entries[:3]:
        if gguf.is_gguf(entry.path):
            with suppress(NotFound):
                assert entry in gguf.model_of(entry, entries).files()
    for beside, named in (
        ([], [names[-1], "model-00001-of-00002.safetensors"]),
        ([Entry(safetensors.INDEX, 1)], names[-1:]),
        ([Entry(safetensors.SINGLE, 1)], []),
    ):
        with suppress(NotFound):
            safetensors.choose([*beside, *entries], lambda _index, named=named: named)  # type: ignore[misc]
    assert not set(missing_shards(names)) & set(names)
    assert all(set_of(name) is not None for name in missing_shards(names))
    oci_manifests.tags_of("ns/m", dict.fromkeys(names, 1))


_STEMS = one_of(
    "m m-Q4_K_M m-Q8_0 M-UD-Q4_K_XL mmproj-f16 mmproj-Q8_0 imatrix Q8_0/m a/mmproj model "
    "model.safetensors.index.json"
)
_ENDINGS = one_of(
    ".gguf -00001-of-00002.gguf -00002-of-00002.gguf -00000-of-00000.gguf .safetensors "
    "-00001-of-99999.safetensors "
    "-00001-of-00002.safetensors .json"
)
split_names = simple(
    "split-names",
    st.lists(
        joined(_STEMS, _ENDINGS)
        | joined(one_of("unet/ 1_Pooling/ onnx/ transformer/"), _STEMS, _ENDINGS)
        | one_of(
            "model.safetensors model.safetensors.index.json config.json modules.json model_index.json "
            "2_Dense/config.json"
        ),
        max_size=12,
    ).map(b"\n".join),
    (
        b"\n",
        *(
            b"-00001-of-00002 .gguf .GGUF mmproj Q4_K_M / .safetensors model - modules.json model_index.json"
        ).split(),
    ),
    "sources/splits.py",
    "sources/gguf.py",
    "sources/safetensors.py",
)(_split_names)
TARGETS = (hub, split_names)
