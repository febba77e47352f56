"""Names that mean harm, by every way that they can come in: refused, shown in the message, harmless to a terminal."""

import pytest

from engine.digest import Digest
from engine.errors import PathError
from engine.model_registry import ModelRegistry
from engine.remote_file import RemoteName
from engine.sources import Choice
from engine.sources.listing import Entry
from engine.sources.selection import Wish, select
from tests.unit.console.made import options

HEX = "0123456789abcdef" * 4

NAMES = {
    "parent": "../x.gguf",
    "parent, nested": "a/../../x.gguf",
    "parent, last": "a/..",
    "absolute": "/etc/x.gguf",
    "backslash": "..\\x.gguf",
    "backslash within": "a\\..\\x.gguf",
    "drive": "C:x.gguf",
    "drive, absolute": "C:/x.gguf",
    "unc": "\\\\host\\share\\x.gguf",
    "stream": "a:x/b.gguf",
    "nul": "x\0.gguf",
    "newline": "x\n.gguf",
    "carriage return": "x\r.gguf",
    "escape": "x\x1b[2J.gguf",
    "escape in 8 bits": "x\x9b2J.gguf",
    "delete": "x\x7f.gguf",
    "right to left": "x\u202efugg.exe",
    "isolate": "x\u2066.gguf",
    "line separator": "x\u2028.gguf",
    "surrogate": "x\udcff.gguf",
    "dot": "./x.gguf",
    "dot within": "a/./x.gguf",
    "empty part": "a//x.gguf",
    "empty": "",
    "slash at the end": "a/x.gguf/",
    "long part": "x" * 256,
    "long path": "a/" * 2100 + "x.gguf",
    "deep path": "a/" * 300 + "x.gguf",
    "reserved by Windows": "con.gguf",
    "reserved by Windows, folder": "nul/x.gguf",
    "reserved by Windows, superscript": "COM\u00b9.gguf",
    "trailing dot": "a./x.gguf",
    "trailing space": "a /x.gguf",
    "ours": "x.gguf.jarvis-part",
    "ours, folder": "x.gguf.Jarvis-Part/data",
}


def in_listing(name):
    """A Hub's listing that has this name, pulled by a glob."""
    wish = Wish.of(ModelRegistry.parse("ns/repo"), Choice(include=("*",)))
    select([Entry("README.md", 1), Entry(name, 1)], wish, lambda _entry: [])


def in_hub_url(name):
    """A Hub's URL of a file, percent-encoded."""
    encoded = "".join(f"%{byte:02x}" for byte in name.encode("utf-8", "surrogateescape"))
    ModelRegistry.parse(f"https://hf.co/ns/repo/resolve/main/{encoded}")


DOORS = {
    "remote name": RemoteName.parse,
    "listing": in_listing,
    "full_url": lambda name: ModelRegistry.parse("ns/repo").full_url(name),
    "full_url of a custom host": lambda name: ModelRegistry.parse("r.example/ns/repo").full_url(name),
    "known model": lambda name: ModelRegistry.add_known_model("x", "ns", "repo", name),
    "hub url": in_hub_url,
}


NOT_IN_A_URL = ("surrogate", "long path")


@pytest.mark.parametrize(
    ("kind", "door"),
    [(kind, door) for kind in NAMES for door in DOORS if door != "hub url" or kind not in NOT_IN_A_URL],
)
@pytest.mark.row(
    "attack/1-parent-path",
    "attack/2-absolute-path",
    "attack/3-nested-parent-path",
    "attack/4-backslash",
    "attack/5-drive-or-unc",
    "attack/6-control-characters",
    "attack/7-empty-parts",
    "attack/8-overlong-names",
    "attack/11-our-own-names",
)
def test_hostile_file_name(kind, door):
    """Refused at every door; the message shows it, with what could command a terminal escaped."""
    name = NAMES[kind]
    with pytest.raises(PathError) as caught:
        DOORS[door](name)
    message = str(caught.value)
    assert message.isprintable()
    if door != "hub url" or kind not in ("empty", "slash at the end"):
        assert repr(name[:60])[1:-1] in message


CLASHES = [
    ["A.gguf", "a.gguf"],
    ["stra\u00dfe/x", "STRASSE/x"],
    ["\u00e9.gguf", "e\u0301.gguf"],
    ["a", "a/b"],
    ["A", "a/b/c"],
    ["x.gguf", "x.gguf"],
]


@pytest.mark.parametrize("paths", CLASHES)
@pytest.mark.row("attack/9-names-that-collide", "attack/10-file-and-folder")
def test_names_that_become_one(paths):
    """Two files that one disk or another would put into one place are refused, and named."""
    wish = Wish.of(ModelRegistry.parse("ns/repo"), Choice(include=("*",)))
    with pytest.raises(PathError, match="Refusing"):
        select([Entry(path, 1) for path in paths], wish, lambda _entry: [])


MODEL_PARTS = [
    "..",
    ".",
    "",
    "-rf",
    ".ssh",
    "a..b",
    "a\\b",
    "a\0b",
    "a\x1b[2Jb",
    "a\u202eb",
    "con",
    "a b",
    "a%2fb",
]


FORMS = ["{}/repo", "ns/{}", "hf.co/{}/repo", "ollama/{}/m", "r.example/ns/{}"]


@pytest.mark.parametrize(
    ("part", "form"),
    [(part, form) for part in MODEL_PARTS for form in FORMS]
    + [(part, "ns/repo@{}") for part in MODEL_PARTS if part != "con"],
)
@pytest.mark.row("attack/16-path-parts")
def test_hostile_part_of_a_path(part, form):
    """Namespace, repository and revision become folders and addresses: what could lead elsewhere is refused."""
    with pytest.raises(PathError) as caught:
        ModelRegistry.parse(form.format(part))
    assert str(caught.value).isprintable()
    assert repr(part)[1:-1] in str(caught.value)


@pytest.mark.parametrize("form", ["ns/repo:{}", "ollama/ns/m:{}", "r.example/ns/m:{}", "m:{}"])
@pytest.mark.parametrize(
    "tag", ["..", "../x.gguf", ".x", "-x", "a/../b", "a\\b", "a\0b", "a\u202eb", "/x.gguf"]
)
@pytest.mark.row("attack/16-path-parts")
def test_hostile_tag(tag, form):
    """So is a tag."""
    with pytest.raises(PathError) as caught:
        ModelRegistry.parse(form.format(tag))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "revision", ["..", "../x", "a/../b", "-x", "a b", "a\\b", "a%2fb", "", "sha256:../x"]
)
@pytest.mark.row("attack/16-path-parts")
def test_hostile_revision(revision):
    """The option is a door like the path."""
    with pytest.raises(PathError, match="no revision") as caught:
        options("ns/repo", "--revision", revision)
    assert str(caught.value).isprintable()


DIGESTS = {
    "traversal": "sha256:../../x",
    "short": f"sha256:{HEX[:-1]}",
    "long": f"sha256:{HEX}0",
    "empty": "sha256:",
    "unknown": f"md5:{HEX[:32]}",
    "unknown, long": f"sha512:{HEX}{HEX}",
    "algorithm in upper case": f"SHA256:{HEX}",
    "dash": f"sha256-{HEX}",
    "twice": f"sha256:sha256:{HEX}",
    "other digits": "sha256:" + "\u0663" * 64,
    "control": f"sha256:{HEX[:-1]}\x1b",
    "nul": f"sha256:{HEX[:-1]}\0",
    "slash": f"sha256:{HEX[:-1]}/",
}


@pytest.mark.parametrize("kind", DIGESTS)
@pytest.mark.row("attack/17-digest-as-path")
def test_hostile_digest(kind):
    """A digest becomes a file's name: anything but 64 hexadecimal digits of a known algorithm is refused, and shown."""
    text = DIGESTS[kind]
    doors = [Digest.parse, ModelRegistry.parse("m").full_url]
    if kind != "dash":  # which a branch may be called
        doors.append(lambda text: ModelRegistry.parse(f"r.example/n/m@{text}"))
    for door in doors:
        with pytest.raises(PathError) as caught:
            door(text)
        assert str(caught.value).isprintable() or "\u2060" in str(caught.value)
        assert repr(text)[1:-1][:40] in str(caught.value).replace("\u2060", "")


def test_digest_in_upper_case():
    """Hexadecimal digits in upper case are the same digest, and have one spelling from then on."""
    assert Digest.parse(f"sha256:{HEX.upper()}") == Digest("sha256", HEX)
