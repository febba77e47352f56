"""What a user may type for a model, or paste from a browser."""

import os
from contextlib import suppress

from engine.errors import PathError
from engine.library.keys import key_of
from engine.model_registry import ModelRegistry, get_download_url
from tests.fuzz.documents import HEX, joined, one_of
from tests.fuzz.target import simple

HOSTS = one_of(
    "hf.co huggingface.co ollama ollama.com registry.ollama.ai r.example:5000 localhost "
    "[::1]:80 docker.io 127.0.0.1 "
    "hub.docker.com bücher.example 999.0.0.1 h.example:99999"
)
_PARTS = one_of("ns repo m-GGUF a.b library mistral datasets models x.gguf tags api v2 1 con")
_TAGS = one_of(
    ":Q4_K_M :q8_0 :main :x.gguf :a/b.gguf :latest @v1 @refs/pr/1 @sha256:" + HEX + " :IQ3_XXS@v1 : @ :Q4@"
)
_NAMES = (
    joined(HOSTS, "/", _PARTS, "/", _PARTS, _TAGS)
    | joined(_PARTS, "/", _PARTS, _TAGS)
    | joined(_PARTS, _TAGS)
)
_SCHEMES = one_of("https:// http:// HTTPS:// ftp:// hf:// git@")
URLS = joined(
    _SCHEMES, HOSTS, "/", _PARTS, "/", _PARTS, "/", one_of("a%20b.gguf %2e%2e ä x.bin? d?q=%zz#f x@y")
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
        get_download_url("ns/repo", typed)
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
model_path = simple(
    "model-path",
    _NAMES | URLS | _PAGES,
    "/ : @ :// hf.co ollama Q4_K_M .gguf resolve main sha256: .. %2f %00 [::1] localhost :443 "
    "refs/pr/1 .git ß ？ mistral",
    "model_registry.py",
    "model_path.py",
)(_model_path)
page_address = simple(
    "page-address",
    _PAGES,
    "/ ? # : @ hf.co/ huggingface.co/ ollama.com/ resolve blob tree commit datasets spaces "
    "discussions tags v2 manifests "
    "show_file_info= refs pr convert %2F main",
    "model_pages.py",
)(_model_path)


TARGETS = (model_path, page_address)
