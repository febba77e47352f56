"""The user's own shortcuts: kept, resolved, and forgiving to a file that somebody broke."""

import json

import pytest

from engine.errors import PathError
from engine.model_registry import ModelRegistry
from engine.store.aliases import Aliases


def test_alias_is_kept(tmp_path):
    """What is added is there for the next process, in the canonical spelling; it can be replaced and removed."""
    Aliases(tmp_path / "new").add("mine", "hf.co/ns/repo:q4_k_m")
    assert Aliases(tmp_path / "new").targets == {"mine": "huggingface.co/ns/repo:Q4_K_M"}
    Aliases(tmp_path / "new").add("mine", "llama3")
    assert Aliases(tmp_path / "new").parse("mine") == ModelRegistry.parse("llama3")
    Aliases(tmp_path / "new").remove("mine")
    assert Aliases(tmp_path / "new").targets == {}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["aliases.json"]


RESOLVED = [
    ("mine", "ns/repo:Q4_K_M@v1"),
    ("mine:q8_0", "ns/repo:Q8_0@v1"),
    ("mine@v2", "ns/repo:Q4_K_M@v2"),
    ("mine:Q6_K@refs/pr/1", "ns/repo:Q6_K@refs/pr/1"),
    (" mine\n", "ns/repo:Q4_K_M@v1"),
    ("oll", "llama3:latest"),
    ("oll:8b", "llama3:8b"),
    ("file", "https://h.example/a/m.gguf"),
    ("mine/x", "mine/x"),
    ("hf.co/ns/mine", "hf.co/ns/mine"),
    ("qwen", "other/thing"),
    ("mistral", "mistral"),
]


@pytest.mark.parametrize(("text", "meant"), RESOLVED)
def test_alias_is_resolved(tmp_path, text, meant):
    """A bare name is looked up, a built-in shortcut may be covered, and a tag or pin that is typed wins."""
    aliases = Aliases(tmp_path)
    aliases.add("mine", "ns/repo:Q4_K_M@v1")
    aliases.add("oll", "llama3")
    aliases.add("file", "https://h.example/a/m.gguf")
    aliases.add("qwen", "other/thing")
    assert aliases.parse(text) == ModelRegistry.parse(meant)


def test_alias_of_an_alias(tmp_path):
    """What an alias stood for when it was used as a target stays, so there are no circles."""
    aliases = Aliases(tmp_path)
    aliases.add("a", "ns/one")
    aliases.add("b", "a")
    aliases.add("a", "b")
    aliases.add("a", "ns/two")
    assert aliases.parse("b") == ModelRegistry.parse("ns/one")


@pytest.mark.parametrize(
    ("name", "target"),
    [("x", ""), ("x", "a/b/c"), ("x", "../y"), ("a/b", "n/r"), ("a:b", "n/r"), ("", "n/r"), ("hf", "n/r"),
     ("https", "n/r"), ("..", "n/r"), ("-x", "n/r"), ("a\x1b", "n/r"), ("con", "n/r")],
)  # fmt: skip
def test_alias_that_cannot_be(tmp_path, name, target):
    """A name that could not be typed, or a target that is none, is refused, and nothing is written."""
    with pytest.raises(PathError):
        Aliases(tmp_path).add(name, target)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["file:Q8_0", "file@v1", "none:", "mine@"])
def test_alias_with_more_than_it_takes(tmp_path, text):
    """An alias of a file takes no tag; a promised part that is missing is told as for any path."""
    aliases = Aliases(tmp_path)
    aliases.add("file", "https://h.example/a/m.gguf")
    aliases.add("mine", "ns/repo")
    with pytest.raises(PathError):
        aliases.parse(text)


def test_no_such_alias(tmp_path):
    """Removing what is not there says so."""
    with pytest.raises(PathError, match="no alias 'x'"):
        Aliases(tmp_path).remove("x")


def test_broken_entries_are_passed_over(tmp_path):
    """One bad entry, whatever it is, takes nothing from the others; the file as it was is kept at the next change."""
    bad = {"good": "ns/repo", "num": 7, "a/b": "ns/repo", "esc\x1b": "ns/repo", "up": "../x", "list": ["x"]}
    (tmp_path / "aliases.json").write_text(json.dumps(bad))
    aliases = Aliases(tmp_path)
    assert aliases.targets == {"good": "huggingface.co/ns/repo"}
    assert aliases.fault is not None and "num" in aliases.fault
    aliases.add("new", "ns/new")
    assert set(Aliases(tmp_path).targets) == {"good", "new"}
    assert json.loads((tmp_path / "aliases.json.damaged").read_text()) == bad


def test_entry_that_is_no_text_is_passed_over(tmp_path):
    """So is one whose bytes are no UTF-8, which only shows when it is looked at."""
    (tmp_path / "aliases.json").write_bytes(b'{"bad": "\xff", "good": "ns/repo"}')
    assert Aliases(tmp_path).targets == {"good": "huggingface.co/ns/repo"}


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 5000, b"\0" * 50]
)
def test_broken_file_is_passed_over(tmp_path, raw):
    """A file that is no JSON object means no aliases, and is told; it is not lost when one is added."""
    (tmp_path / "aliases.json").write_bytes(raw)
    aliases = Aliases(tmp_path)
    assert (aliases.targets, bool(aliases.fault)) == ({}, True)
    aliases.add("new", "ns/new")
    assert (tmp_path / "aliases.json.damaged").read_bytes() == raw
    assert set(Aliases(tmp_path).targets) == {"new"}
