"""What names something: model paths, pages, files, digests, addresses, redirects."""

import os
from contextlib import suppress

from hypothesis import strategies as st

from engine.digest import Digest
from engine.errors import NotFound, PathError, RedirectRefused
from engine.library.keys import key_of
from engine.library.splits import missing_shards, set_of
from engine.model_registry import ModelRegistry, get_download_url
from engine.plain_url import match_plain
from engine.remote_file import Identity, RemoteName
from engine.server import oci_manifests
from engine.sources import gguf, safetensors
from engine.sources.listing import Entry
from engine.telemetry import redact
from engine.transport.auth import Credentials, origin_of
from engine.transport.redirects import check_url, next_url
from tests.fuzz.documents import HEX, joined, one_of, text
from tests.fuzz.target import simple

_HOSTS = one_of(
    "hf.co huggingface.co ollama ollama.com registry.ollama.ai r.example:5000 localhost "
    "[::1]:80 docker.io 127.0.0.1 "
    "hub.docker.com bücher.example 999.0.0.1 h.example:99999"
)
_PARTS = one_of("ns repo m-GGUF a.b library mistral datasets models x.gguf tags api v2 1 con")
_TAGS = one_of(
    ":Q4_K_M :q8_0 :main :x.gguf :a/b.gguf :latest @v1 @refs/pr/1 @sha256:" + HEX + " :IQ3_XXS@v1 : @ :Q4@"
)
_NAMES = (
    joined(_HOSTS, "/", _PARTS, "/", _PARTS, _TAGS)
    | joined(_PARTS, "/", _PARTS, _TAGS)
    | joined(_PARTS, _TAGS)
)
_SCHEMES = one_of("https:// http:// HTTPS:// ftp:// hf:// git@")
_URLS = joined(
    _SCHEMES, _HOSTS, "/", _PARTS, "/", _PARTS, "/", one_of("a%20b.gguf %2e%2e ä x.bin? d?q=%zz#f x@y")
)


def _model_path(data: bytes) -> None:
    """As an argument of the command comes."""
    typed = os.fsdecode(data)
    for is_file in (False, True):
        with suppress(PathError):
            path = ModelRegistry.parse(typed, is_file=is_file)
            # With is_file only a URL's meaning depends on the flag, and a canonical name is none.
            assert ModelRegistry.parse(path.canonical, is_file=is_file and path.url is not None) == path
            assert isinstance((path.revision, path.quantization, path.manifest_url, key_of(path)), tuple)
            for name in ("x.gguf", "a/b c.bin", f"sha256:{HEX}"):
                with suppress(PathError):
                    path.full_url(name)
            get_download_url(typed)
            get_download_url(typed, "q8_0")
    with suppress(PathError):
        ModelRegistry.get_variants(typed)
    _add_shortcuts(typed)


def _add_shortcuts(typed: str) -> None:
    known = ModelRegistry._known
    try:
        with suppress(PathError):
            ModelRegistry.add_known_model("fuzz", "ns", "repo-GGUF", typed)
            ModelRegistry.parse("fuzz:Q5_K_M")
        with suppress(PathError):
            ModelRegistry.add_known_model(typed, "ns", "repo", "m.gguf")
            assert typed in ModelRegistry.known_models()
    finally:
        ModelRegistry._known = known


model_path = simple(
    "model-path",
    _NAMES | _URLS,
    "/ : @ :// hf.co ollama Q4_K_M .gguf resolve main sha256: .. %2f %00 [::1] localhost :443 "
    "refs/pr/1 .git ß ？ mistral",
    "model_registry.py",
    "model_path.py",
)(_model_path)

_VIEWS = one_of(
    "resolve blob raw blame edit tree commits commit discussions tags manifests blobs resolve/refs/pr"
)
_PAGES = (
    joined(
        "https://hf.co/", _PARTS, "/", _PARTS, "/", _VIEWS, "/", one_of("main v1 refs/pr/1 7"), "/", _PARTS
    )
    | joined(
        "hf.co/",
        _PARTS,
        "/",
        _PARTS,
        one_of("?show_file_info=m.gguf ?library=x #files /tree/main :x /x.gguf /x"),
    )
    | joined(
        "https://huggingface.co/", one_of("datasets spaces"), "/", _PARTS, "/", _PARTS, "/", _VIEWS, "/main/x"
    )
    | joined(
        one_of("https://huggingface.co/ hf.co/"),
        one_of("datasets/a docs pricing Docs/x spaces a a/b/c/d.txt"),
    )
    | joined(
        one_of("ollama.com/ https://ollama.com/ ollama/"), _PARTS, one_of("/tags /x /x/y"), one_of("/z", "")
    )
    | joined(
        one_of("https://r.example/v2/ ollama/v2/ ollama.com/v2/"),
        _PARTS,
        "/",
        _PARTS,
        "/",
        _VIEWS,
        "/",
        one_of("1 sha256:a"),
    )
    | joined("https://hub.docker.com/", one_of("r _ layers"), "/", _PARTS)
)
page_address = simple(
    "page-address",
    _PAGES,
    "/ ? # : @ hf.co/ huggingface.co/ ollama.com/ resolve blob tree commit datasets spaces "
    "discussions tags v2 manifests "
    "show_file_info= refs pr convert %2F main",
    "model_pages.py",
)(_model_path)


def _digest(data: bytes) -> None:
    with suppress(PathError):
        digest = Digest.parse(data.decode("utf-8", "surrogateescape"))
        assert Digest.parse(str(digest)) == digest
        hasher = digest.start(3)
        hasher.update(b"abc")
        assert len(hasher.hexdigest()) == len(digest.hex)


digest = simple(
    "digest",
    one_of(f"sha256:{HEX} {HEX.upper()} git-sha1:{HEX[:40]} md5:{HEX[:32]} sha256:{HEX[1:]}"),
    f"sha256: git-sha1: : {HEX} 0 f ² \u0663",
    "digest.py",
)(_digest)


def _remote_name(data: bytes) -> None:
    name = data.decode("utf-8", "surrogateescape")
    with suppress(PathError):
        assert not {"", ".", ".."} & set(RemoteName.parse(name).split("/"))
    identity = Identity(size=1, etag=name, last_modified=name or None)
    assert identity.has_validator is bool(name)
    assert identity.strong_etag in (None, name)


remote_name = simple(
    "remote-name",
    joined(text, "/", text, one_of(".gguf .jarvis-part . con nul.txt")),
    ".. . / \\ C: con NUL.txt COM1 \x1b \u202e \ud7ff .jarvis-part .JARVIS-PART/data é " + "x" * 250,
    "remote_file.py",
)(_remote_name)


def _url(data: bytes) -> None:
    url = data.decode("utf-8", "surrogateescape")
    assert "@" not in redact(url).partition("://")[2].partition("/")[0]
    with suppress(PathError):
        origin = origin_of(url)
        if match_plain(url):
            assert check_url(url) == url
            assert origin.startswith(url.partition(":")[0])
        check_url(url)
        assert Credentials({origin: {"X": "1"}}).for_url(url) == {"X": "1"}


url = simple(
    "url",
    _URLS | joined("https://", one_of("u:p@ u@ @"), _HOSTS, "/?token=1"),
    "http https :// / ? # @ : :0 :65536 [ ] [::1] \\ % \x00 é 。 。。 h.example",
    "plain_url.py",
)(_url)


def _redirect(data: bytes) -> None:
    """A Location as http.client hands it over."""
    location = data.decode("latin-1")
    for current in ("https://h.example/a/b?c", "http://127.0.0.1:8080/x", "https://[2001:db8::1]/"):
        with suppress(RedirectRefused):
            target = next_url(current, location)
            assert check_url(target) == target
            assert target.lower().startswith("https:") or not current.startswith("https:")


redirect = simple(
    "redirect",
    _URLS | one_of("/x ../../y ?q=1 //h.example/z # https:h http:///x https:///x") | st.just(b""),
    "http:// https:// // / .. ? # @ : [ ] javascript: \t \n \xa0 %0a file:///etc/passwd",
    "transport/redirects.py",
)(_redirect)


def _split_names(data: bytes) -> None:
    """Names of a listing, a line each."""
    names = list(dict.fromkeys(line.decode("utf-8", "replace") for line in data.split(b"\n")))
    entries = [Entry(name, size) for size, name in enumerate(names)]
    models = gguf.models_in(entry for entry in entries if gguf.is_model(entry.path))
    for quant in (None, "Q8_0", names[0][:20]):
        with suppress(NotFound):
            assert set(gguf.choose(entries, quant)) <= set(entries) if models else True
    for entry in entries[:3]:
        if gguf.is_gguf(entry.path):
            with suppress(NotFound):
                assert entry in gguf.model_of(entry, entries).files()
    with suppress(NotFound):
        safetensors.choose(entries, lambda _index: [names[-1], "model-00001-of-00002.safetensors"])
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
    "library/splits.py",
    "sources/gguf.py",
    "sources/safetensors.py",
)(_split_names)
TARGETS = (model_path, page_address, digest, remote_name, url, redirect, split_names)
