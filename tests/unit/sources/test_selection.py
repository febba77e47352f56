"""Which files make up a model: tables of listings and what is chosen from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EngineError, NotFound, PathError, UsageError
from engine.model_registry import ModelRegistry
from engine.sources import Choice, gguf, safetensors
from engine.sources.listing import Entry
from engine.sources.selection import Wish, check_clashes, matches, select
from tests.fuzz.bounds import bounded, guarded


def wish_of(text, **choice):
    return Wish.of(ModelRegistry.parse(text), Choice(**choice))


def chosen(paths, text="ns/repo", index=(), **choice):
    """Names of the files that are selected from a listing of these paths."""
    entries = [Entry(path, 1) for path in paths]
    return [entry.path for entry in select(entries, wish_of(text, **choice), lambda _entry: index)]


BARTOWSKI = [
    ".gitattributes",
    "M-IQ3_M.gguf",
    "M-Q4_K_L.gguf",
    "M-Q4_K_M.gguf",
    "M-Q8_0.gguf",
    "M-f16.gguf",
    "M.imatrix",
    "README.md",
]
SPLIT = ["BF16/M-BF16-00002-of-00002.gguf", "BF16/M-BF16-00001-of-00002.gguf", "M-Q2_K.gguf"]
UNSLOTH = ["M-UD-Q4_K_XL.gguf", "M-Q4_K_XL.gguf", "M-UD-Q2_K_XL.gguf", "mmproj-BF16.gguf", "mmproj-F32.gguf"]

GGUF = [
    (BARTOWSKI, "ns/repo", ["M-Q4_K_M.gguf"]),
    (BARTOWSKI, "ns/repo:q8_0", ["M-Q8_0.gguf"]),
    (BARTOWSKI, "ns/repo:F16", ["M-f16.gguf"]),
    (BARTOWSKI, "ns/repo:M-IQ3_M.gguf", ["M-IQ3_M.gguf"]),
    (BARTOWSKI, "ns/repo:m-iq3_m.GGUF", ["M-IQ3_M.gguf"]),
    (["M-Q8_0.gguf", "M-Q2_K.gguf"], "ns/repo", ["M-Q8_0.gguf"]),
    (["a/M-Q2_K.gguf", "Z.gguf"], "ns/repo", ["Z.gguf"]),
    (
        ["M-imatrix.gguf", "mmproj-f16.gguf", "mtp-M.gguf", "M-Q2_K.gguf"],
        "ns/repo",
        ["M-Q2_K.gguf", "mmproj-f16.gguf"],
    ),
    (SPLIT, "ns/repo:BF16", ["BF16/M-BF16-00001-of-00002.gguf", "BF16/M-BF16-00002-of-00002.gguf"]),
    (
        SPLIT,
        "ns/repo:M-BF16-00002-of-00002.gguf",
        ["BF16/M-BF16-00001-of-00002.gguf", "BF16/M-BF16-00002-of-00002.gguf"],
    ),
    (
        SPLIT,
        "hf.co/ns/repo/resolve/main/BF16/M-BF16-00002-of-00002.gguf",
        ["BF16/M-BF16-00002-of-00002.gguf"],
    ),
    (SPLIT, "ns/repo", ["M-Q2_K.gguf"]),
    (["M.gguf", "M-00001-of-00001.gguf"], "ns/repo:M.gguf", ["M.gguf"]),
    (["M-00001-of-00000.gguf"], "ns/repo", ["M-00001-of-00000.gguf"]),
    (UNSLOTH, "ns/repo:Q4_K_XL", ["M-Q4_K_XL.gguf", "mmproj-BF16.gguf"]),
    (UNSLOTH, "ns/repo:UD-Q4_K_XL", ["M-UD-Q4_K_XL.gguf", "mmproj-BF16.gguf"]),
    (UNSLOTH, "ns/repo:Q2_K_XL", ["M-UD-Q2_K_XL.gguf", "mmproj-BF16.gguf"]),
    (["Q4_K_M-old/M-Q2_K.gguf", "x/M-Q4_K_M-imat.gguf"], "ns/repo:Q4_K_M", ["x/M-Q4_K_M-imat.gguf"]),
    (["Q4_K_M/model.gguf", "Q8_0/model.gguf"], "ns/repo:Q8_0", ["Q8_0/model.gguf"]),
    (
        ["a/M-Q8_0.gguf", "mmproj-Q8_0.gguf", "a/mmproj-f16.gguf", "b/mmproj-Q8_0.gguf"],
        "ns/repo",
        ["a/M-Q8_0.gguf", "a/mmproj-f16.gguf"],
    ),
    (
        ["M-Q8_0.gguf", "mmproj-f32.gguf", "mmproj-f16.gguf", "mmproj-Q8_0.gguf"],
        "ns/repo",
        ["M-Q8_0.gguf", "mmproj-Q8_0.gguf"],
    ),
    (["M-Q4_K_M.gguf", "model.safetensors", "config.json"], "ns/repo", ["M-Q4_K_M.gguf"]),
]


@pytest.mark.parametrize(("paths", "text", "names"), GGUF)
def test_select_gguf(paths, text, names):
    """A GGUF repository gives one model, whole, with its projector."""
    assert chosen(paths, text) == names


MINILM = [
    "1_Pooling/config.json",
    "README.md",
    "config.json",
    "model.safetensors",
    "modules.json",
    "onnx/model.onnx",
    "onnx/config.json",
    "openvino/openvino_model.xml",
    "pytorch_model.bin",
    "rust_model.ot",
    "tf_model.h5",
    "tokenizer.json",
    "vocab.txt",
    "train_script.py",
    "2_Dense/model.safetensors",
    "2_Dense/config.json",
]

SAFETENSORS = [
    (
        MINILM,
        [],
        [
            "model.safetensors",
            "2_Dense/model.safetensors",
            "1_Pooling/config.json",
            "config.json",
            "modules.json",
            "tokenizer.json",
            "vocab.txt",
            "2_Dense/config.json",
        ],
    ),
    (
        [
            "a.safetensors",
            "b.safetensors",
            "config.json",
            "consolidated.safetensors",
            "model.safetensors.index.json",
        ],
        ["b.safetensors", "a.safetensors", "a.safetensors"],
        ["a.safetensors", "b.safetensors", "config.json", "model.safetensors.index.json"],
    ),
    (
        [
            "shard_0.safetensors",
            "shard_1.safetensors",
            "tokenizer.model",
            "checkpoint-5/model.safetensors",
            "checkpoint-5/config.json",
        ],
        [],
        ["shard_0.safetensors", "shard_1.safetensors", "tokenizer.model"],
    ),
    (
        [
            "model_index.json",
            "unet/w.safetensors",
            "vae/w.safetensors",
            "scheduler/scheduler_config.json",
            "onnx/w.safetensors",
            "all.safetensors",
        ],
        [],
        ["unet/w.safetensors", "vae/w.safetensors", "model_index.json", "scheduler/scheduler_config.json"],
    ),
    (
        ["model.safetensors", "modeling_x.py", "pytorch_model.bin.index.json", "LICENSE"],
        [],
        ["model.safetensors", "modeling_x.py"],
    ),
]


@pytest.mark.parametrize(("paths", "index", "names"), SAFETENSORS)
def test_select_safetensors(paths, index, names):
    """Without GGUF it is the safetensors set: weights first, configuration and tokenizer, nothing twice."""
    assert chosen(paths, index=index) == names


NOT_FOUND = [
    (BARTOWSKI, "ns/repo:Q5_K_M", {}, ["Q5_K_M", "IQ3_M", "Q4_K_L", "Q8_0"]),
    (BARTOWSKI, "ns/repo:Q4_K", {}, ["Q4_K_M"]),
    (BARTOWSKI, "ns/repo:x.gguf", {}, ["'x.gguf'", "M-Q4_K_M.gguf"]),
    (BARTOWSKI, "ns/repo", {"include": ("*.bin",)}, ["*.bin", "README.md"]),
    (
        ["M-Q4_K_M-00001-of-00003.gguf"],
        "ns/repo",
        {},
        ["M-Q4_K_M-00002-of-00003.gguf", "M-Q4_K_M-00003-of-00003.gguf"],
    ),
    (["model.safetensors"], "ns/repo:Q4_0", {}, ["Q4_0", "model.safetensors"]),
    (["pytorch_model.bin", "config.json"], "ns/repo", {}, ["pytorch_model.bin", "--include"]),
    (["model.safetensors.index.json"], "ns/repo", {}, ["gone.safetensors"]),
    (
        ["m-00001-of-00002.safetensors"],
        "ns/repo",
        {},
        ["split into several files", "m-00002-of-00002.safetensors"],
    ),
    (["d/m-00003-of-00099.safetensors"], "ns/repo", {}, ["d/m-00021-of-00099.safetensors and 78 more"]),
    (["a.gguf"], "ns/repo", {"include": ("*",), "exclude": ("*.gguf",)}, ["'*' and not '*.gguf'"]),
    ([], "ns/repo", {}, ["none"]),
]


SHARDS = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
INDEX = "model.safetensors.index.json"
HALF = [
    ([SHARDS[0], SHARDS[2], "config.json"], [], f"the repository lacks {SHARDS[1]}."),
    ([f"unet/{SHARDS[0]}", "model_index.json"], [], f"lacks unet/{SHARDS[1]}, unet/{SHARDS[2]}."),
    ([*SHARDS[:2], INDEX], SHARDS[:2], f"the repository lacks {SHARDS[2]}."),
    ([*SHARDS, INDEX], SHARDS[:2], f"{INDEX} does not name {SHARDS[2]}."),
    ([*SHARDS, INDEX, "config.json"], ["config.json"], f"{INDEX} names no weights: config.json."),
    ([*SHARDS, INDEX], [], f"{INDEX} names no weights: none."),
]


@pytest.mark.parametrize(("paths", "index", "told"), HALF)
@pytest.mark.row("attack/shards-missing")
def test_half_a_safetensors_model_is_none(paths, index, told):
    """Shards that are missing, from the repository or from its index, are named, and patterns take what there is."""
    with pytest.raises(NotFound) as caught:
        chosen(paths, index=index)
    assert told in str(caught.value)
    assert chosen(paths, index=index, include=("*",)) == paths


def test_shards_that_are_whole():
    """With and without an index, beside files of another set, and counted from 0, as some do."""
    assert chosen(SHARDS) == SHARDS
    assert chosen([*SHARDS, "other.safetensors", INDEX], index=SHARDS) == [*SHARDS, INDEX]
    assert chosen(["m-00000-of-00002.safetensors", "m-00001-of-00002.safetensors"])
    assert chosen(SHARDS, exclude=("*2-of*",)) == [SHARDS[0], SHARDS[2]], "excluded is not missing"


@pytest.mark.parametrize(("paths", "text", "choice", "told"), NOT_FOUND)
def test_select_says_what_exists(paths, text, choice, told):
    """What is not there is NotFound, with no fallback, and a list of what is there."""
    with pytest.raises(NotFound) as caught:
        chosen(paths, text, index=["gone.safetensors"], **choice)
    for word in told:
        assert word in str(caught.value)


def test_an_index_of_no_weights_is_no_model():
    """Its configuration alone would be called a model."""
    with pytest.raises(NotFound, match="names no weights"):
        chosen(["config.json", "w.safetensors", "model.safetensors.index.json"], index=["config.json"])


@pytest.mark.parametrize("numbers", [(1, 2, 3), (0, 1, 2)])
def test_a_set_of_safetensors_without_an_index(numbers):
    """As many files as its names say, from whichever number they count."""
    paths = [f"m-0000{number}-of-000003.safetensors" for number in numbers]
    assert chosen(paths) == paths


def test_select_by_patterns():
    """Include gives exactly what matches; exclude wins over it, and alone it narrows the default."""
    assert chosen(BARTOWSKI, include=("*.gguf", "README*"), exclude=("*Q*",)) == ["M-f16.gguf", "README.md"]
    assert chosen(BARTOWSKI, exclude=("*Q4_K_M*",)) == ["M-Q8_0.gguf"]


@pytest.mark.parametrize(
    ("path", "pattern", "does"),
    [
        ("a/b.gguf", "*.gguf", True),
        ("a/b", "a/", True),
        ("a/b/c", "a/", True),
        ("A/b", "a/", False),
        ("ab", "a/", False),
    ],
)
def test_matches_as_the_hub(path, pattern, does):
    """Globs cross slashes and keep case; a slash at the end means all that is below."""
    assert matches(path, [pattern]) is does


CONTRADICTIONS = [
    ("ns/repo:Q4_0", {"quant": "Q8_0"}),
    ("ns/repo:a.gguf", {"file": "b.gguf"}),
    ("ns/repo:v1", {"revision": "v2"}),
    ("ns/repo@v1", {"revision": "v2"}),
    ("ns/repo:Q4_0", {"file": "a.gguf"}),
    ("ns/repo:Q4_0", {"include": ("*",)}),
    ("ns/repo:a.gguf", {"exclude": ("*",)}),
]


@pytest.mark.parametrize(("text", "choice"), CONTRADICTIONS)
def test_wish_refuses_contradictions(text, choice):
    """A path and an option that say different things are refused, instead of one winning in silence."""
    with pytest.raises(UsageError):
        wish_of(text, **choice)


def test_wish_agrees_where_both_say_the_same():
    """The same said twice is said once; an option fills what the path leaves open."""
    assert wish_of("ns/repo:Q4_0", quant="q4_0").quant == "Q4_0"
    assert wish_of("ns/repo:v1", revision="v1").revision == "v1"
    assert wish_of("ns/repo:Q4_0", revision="v1").revision == "v1"
    assert wish_of("hf.co/ns/repo/resolve/v1/m-Q4_0.gguf", quant="Q8_0").file == "m-Q8_0.gguf"


HOSTILE = [
    "../x.gguf",
    "/x.gguf",
    "a\\x.gguf",
    "C:x.gguf",
    "a//x.gguf",
    "x\x1b.gguf",
    "nul.gguf",
    "a/./x.gguf",
    "",
]


@pytest.mark.parametrize("path", HOSTILE)
def test_select_refuses_hostile_names(path):
    """A chosen file whose name could leave the folder is refused; one that is not chosen does no harm."""
    with pytest.raises((PathError, NotFound)):
        chosen([path])
    assert chosen([path, "M-Q4_K_M.gguf"]) == ["M-Q4_K_M.gguf"]


@pytest.mark.parametrize(
    "paths",
    [
        ["A.bin", "a.bin"],
        ["a", "a/b"],
        ["x/A", "x/a/b"],
        ["é.bin", "e\u0301.bin"],
        ["a", "a"],
        ["straße", "STRASSE"],
    ],
)
def test_clashing_names_are_refused(paths):
    """Names that one disk or another takes for the same, or for a file and a folder, are refused in either order."""
    for order in (paths, paths[::-1]):
        with pytest.raises(PathError):
            check_clashes(order)


def test_ambiguous_name_is_refused():
    """A bare file name that stands in two folders is not guessed at."""
    with pytest.raises(PathError, match=r"a/x\.gguf"):
        chosen(["a/x.gguf", "b/x.gguf"], file="x.gguf")


_PARTS = st.sampled_from(
    ["a", "M-Q4_K_M", "M-Q8_0-00001-of-00002", "M-Q8_0-00002-of-00002", "mmproj-f16", "model", "Q4_0", ".."]
)
_PATHS = st.builds(
    lambda folders, name, ending: "/".join([*folders, name + ending]),
    st.lists(_PARTS, max_size=2),
    _PARTS,
    st.sampled_from([".gguf", ".safetensors", ".json", ".safetensors.index.json", ""]),
)


@given(st.lists(_PATHS, unique=True), st.sampled_from(["ns/repo", "ns/repo:Q8_0", "ns/repo:a.gguf"]))
def test_select_anything(paths, text):
    """From any listing come some of its files, each once and safe to write, or one of our errors."""
    try:
        names = chosen(paths, text, index=[path for path in paths if path.endswith(".safetensors")])
    except EngineError:
        return
    assert names
    assert len(set(names)) == len(names)
    assert set(names) <= set(paths)
    assert not any(".." in name.split("/") for name in names)


def test_two_files_for_one_shard():
    """Where two names mean one shard, each can be asked for; the first is the one that its set is made of."""
    paths = ["m-00001-of-00002.gguf", "m-00001-of-00002.GGUF", "m-00002-of-00002.gguf"]
    assert chosen(paths, file=paths[1]) == [paths[1]]
    assert chosen(paths, file=paths[0]) == [paths[0], paths[2]]


def test_many_files_of_many_modules():
    """A listing of tens of thousands of weights is gone through once, not once for each of them."""
    count = 10_000
    paths = [f"{n}.safetensors" for n in range(count)] + [f"1_Dense/{n}.safetensors" for n in range(count)]
    entries = [Entry(path, 1) for path in [*paths, "modules.json"]]
    with guarded(), bounded():
        found = safetensors.choose(entries, lambda _entry: [])
    assert len(found) == 2 * count + 1


def test_many_models_of_which_most_is_missing():
    """Names that claim a hundred thousand shards each cost no more than others; twenty that are missing are named."""
    models = gguf.models_in(Entry(f"{n}-00001-of-99999.gguf", 1) for n in range(300))
    with guarded(), bounded():
        for model in models:
            with pytest.raises(NotFound, match=r"-00021-of-99999.gguf and 99978 more"):
                model.files()
