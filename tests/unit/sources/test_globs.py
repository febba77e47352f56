"""--include and --exclude mean what they mean to the Hub's own client, which is asked here."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.errors import EngineError
from engine.model_registry import ModelRegistry
from engine.sources import Choice
from engine.sources.listing import Entry
from engine.sources.selection import Wish, matches, select
from tests.properties import steady

filter_repo_objects = pytest.importorskip("huggingface_hub.utils").filter_repo_objects

PATHS = [
    ".gitattributes",
    "README.md",
    "config.json",
    "model.Q4_K_M.gguf",
    "model.q4_k_m.gguf",
    "Q8_0/model-00001-of-00002.gguf",
    "Q8_0/deep/er/model.gguf",
    "onnx/model.onnx",
    "onnx/quantized/model[int8].onnx",
    "a?b.txt",
    "1_Pooling/config.json",
]
GLOBS = [
    "*",
    "*.gguf",
    "*.GGUF",
    "*q4*",
    "Q8_0/",
    "Q8_0/*",
    "Q8_0",
    "onnx/**",
    "**/config.json",
    "*/config.json",
    "config.json",
    "?onfig.json",
    "[mM]odel*",
    "[!m]*",
    "model[int8]*",
    "*[[]int8]*",
    "a[?]b.txt",
    ".*",
    "Q8_0\\*",
    "onnx\\",
    "/",
    "",
    "[",
    "./config.json",
]


def hubs_choice(paths: list[str], include: list[str], exclude: list[str]) -> list[str]:
    return list(filter_repo_objects(paths, allow_patterns=include or None, ignore_patterns=exclude or None))


def our_choice(paths: list[str], include: list[str], exclude: list[str]) -> list[str]:
    return [path for path in paths if (not include or matches(path, include)) and not matches(path, exclude)]


@pytest.mark.parametrize("glob", GLOBS)
def test_a_glob_means_what_the_hub_means(glob):
    """Each of the table chooses the same files, as include and as exclude."""
    assert our_choice(PATHS, [glob], []) == hubs_choice(PATHS, [glob], [])
    assert our_choice(PATHS, [], [glob]) == hubs_choice(PATHS, [], [glob])


def test_the_table_tells_globs_apart():
    """The table could show a difference: most of its globs match some and not all."""
    counts = [len(our_choice(PATHS, [glob], [])) for glob in GLOBS]
    assert sum(0 < count < len(PATHS) for count in counts) > len(GLOBS) / 2


WORDS = st.text(alphabet="abQ8.*?[]!/\\-_^", max_size=8)


@example(["a/b"], ["a/"], [])
@example(["a\\b"], ["a/b"], [])
@given(st.lists(WORDS, max_size=6), st.lists(WORDS, max_size=3), st.lists(WORDS, max_size=3))
@steady(500)
def test_any_globs_mean_what_the_hub_means(paths, include, exclude):
    """Whatever is included and excluded, over whatever names."""
    assert our_choice(paths, include, exclude) == hubs_choice(paths, include, exclude)


@given(
    st.lists(st.sampled_from(PATHS), unique=True, min_size=1), st.sampled_from(GLOBS), st.sampled_from(GLOBS)
)
@steady(300)
def test_what_is_selected_is_what_the_hub_selects(paths, include, exclude):
    """The same through select(), where nothing that matches is an error and unlike names are refused."""
    wish = Wish.of(ModelRegistry.parse("ns/repo"), Choice(include=(include,), exclude=(exclude,)))
    expected = hubs_choice(paths, [include], [exclude])
    try:
        found = [entry.path for entry in select([Entry(path, 1) for path in paths], wish, lambda _: ())]
    except EngineError:
        is_refused = {"a?b.txt"} & set(expected) or {"model.Q4_K_M.gguf", "model.q4_k_m.gguf"} <= set(
            expected
        )
        assert not expected or is_refused
        return
    assert sorted(found) == sorted(expected)
