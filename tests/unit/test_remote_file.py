"""Remote names, which come from strangers, and identities."""

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.errors import PathError
from engine.remote_file import Identity, RemoteName
from engine.store.layout import inside
from tests.properties import steady

GOOD = [
    "model.gguf",
    "a/b/c.safetensors",
    ".gitattributes",
    "..gguf",
    "-rf",
    "~/x",
    "with space.txt",
    "模型.gguf",
    "e\u0301.txt",
    "console.txt",
    "x" * 255,
    "ab:c",
    "jarvis-part",
    "a.jarvis-part.txt",
]
BAD = [
    "",
    "/",
    "/etc/passwd",
    "a/",
    "a//b",
    ".",
    "..",
    "../a",
    "a/../b",
    "a/./b",
    "a\\b",
    "..\\a",
    "C:a",
    "C:/a",
    "a:b",
    "a/C:b",
    "a/c:/b",
    "a\x00b",
    "a\nb",
    "a\x1b[2Jb",
    "a\x7f",
    "a\x85b",
    "a\u202egpj.exe",
    "a\u2066b",
    "a\u200fb",
    "a\u061cb",
    "a\u2028b",
    "a\udcffb",
    "con",
    "a/NUL.txt",
    "lpt1.gguf",
    "a./b",
    "a ",
    "x" * 256,
    "é" * 128,
    "/".join(["x" * 250] * 17),
    "a.gguf.jarvis-part",
    "a.gguf.jarvis-part/data",
    ".JARVIS-Part/x",
    ".git/config",
    "a/.GIT/hooks/x",
    ".g\u200cit/config",
    "git~1/config",
]


@pytest.mark.parametrize("text", GOOD, ids=ascii)
def test_name_is_taken(text):
    """A relative path with ordinary parts is a name, unchanged."""
    assert RemoteName.parse(text) == text


@pytest.mark.parametrize("text", BAD, ids=ascii)
def test_name_is_refused(text):
    """What could leave a folder, get at a part, deceive a terminal, or not exist on Windows is refused."""
    with pytest.raises(PathError, match="Refusing"):
        RemoteName.parse(text)


@given(st.text(st.sampled_from("abC:/\\.\x00 \u202e~é"), max_size=12))
@example("b/C:")
@steady(400)
@pytest.mark.row("attack/1-parent-path", "attack/3-nested-parent-path")
def test_name_never_leaves_its_folder(text):
    """Whatever passes stays below the folder that it is joined to, by POSIX and by Windows rules."""
    try:
        name = RemoteName.parse(text)
    except PathError:
        return
    for kind, folder in ((PurePosixPath, "/store"), (PureWindowsPath, "D:\\store")):
        base = kind(folder)
        assert inside(base, name).is_relative_to(base)
        assert ".." not in inside(base, name).parts


@pytest.mark.parametrize(
    ("etag", "strong"),
    [('"abc"', '"abc"'), ('W/"abc"', None), ("abc", None), ("", None), (None, None)],
)
def test_only_strong_etags_go_into_if_match(etag, strong):
    """RFC 9110 §13.1.1: If-Match compares strongly, so a weak ETag must not be sent."""
    assert Identity(etag=etag).strong_etag == strong


def test_validator():
    """An ETag of either kind or a date tells versions apart; a size alone does not."""
    assert Identity(etag='W/"a"').has_validator
    assert Identity(last_modified="Mon, 01 Jan 2024 00:00:00 GMT").has_validator
    assert not Identity(size=5).has_validator
