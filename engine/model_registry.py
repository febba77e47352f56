"""Model paths: what a user may type for a model, parsed once, at the door. Pure, but for `HF_ENDPOINT`, whose pages may
be typed: no network, no files.

    mistral                      a shortcut               hf.co/ns/repo[:tag][@revision]  Hugging Face
    ns/repo[:tag][@revision]     Hugging Face             host[:port]/ns/…/model[:tag]    a custom registry
    llama3[:8b]  ollama/ns/name  the Ollama registry      https://host/…/file             that very file

A tag on Hugging Face is a quantization (any case), a .gguf file's name, or else a revision; elsewhere it
is the registry's own tag. `@` pins a revision or, outside Hugging Face, a digest, and wins over the tag.
"""

import re
from typing import ClassVar
from urllib.parse import quote, unquote, urlsplit

import msgspec

from engine import model_pages
from engine.digest import Digest
from engine.model_path import (
    HUB_REGISTRY,
    OCI_TAG,
    OLLAMA_REGISTRY,
    QUANTIZATION,
    ModelPath,
    default_scheme,
    hub_endpoint,
    is_after_user,
    is_host,
    parse_host,
    path_fault,
    with_quantization,
)
from engine.plain_text import JOINER
from engine.remote_file import RemoteName

__all__ = ["KnownModel", "ModelPath", "ModelRegistry", "get_download_url"]

DEFAULT_QUANTIZATION = "Q4_K_M"
VARIANTS = ("Q4_K_M", "Q4_K_S", "Q5_K_M", "Q6_K", "Q8_0")
"""The quantizations that almost every GGUF repository has, the default first."""

ALIASES = {
    "hf": HUB_REGISTRY,
    "hf.co": HUB_REGISTRY,
    "huggingface": HUB_REGISTRY,
    "huggingface.co": HUB_REGISTRY,
    "www.huggingface.co": HUB_REGISTRY,
    "ollama": OLLAMA_REGISTRY,
    "ollama.ai": OLLAMA_REGISTRY,
    "ollama.com": OLLAMA_REGISTRY,
    "www.ollama.com": OLLAMA_REGISTRY,
    "registry.ollama.ai": OLLAMA_REGISTRY,
    "docker.io": "registry-1.docker.io",
    "index.docker.io": "registry-1.docker.io",
}
"""Docker Hub's are those of the reference grammar's own implementation (distribution/reference, normalize.go)."""


_MAX_TEXT = 4096
_URL_SAFE = "/?%:@!$&'()*+,;=~"
_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_./+-]{0,253}[A-Za-z0-9_+-])?", re.ASCII)
_FILE_EXTENSION = re.compile(r".\.(?:[A-Za-z][A-Za-z0-9]{0,11}|7z)$", re.ASCII)
_MODEL_IN_URL = re.compile(
    r"(?P<name>[A-Za-z0-9_][A-Za-z0-9._-]*)(?P<more>(?::[A-Za-z0-9_][A-Za-z0-9._-]*)?(?:@(?:sha256:)?[A-Za-z0-9_][A-Za-z0-9._-]*)?)",
    re.ASCII,
)
_USER_REFUSED = "a user or password in a URL is refused, use --header or --token"
_HUB_VIEWS = ("resolve", "blob", "tree")


class KnownModel(msgspec.Struct, frozen=True):
    """What a shortcut stands for; without a filename, the repository and its default quantization."""

    namespace: str
    repository: str
    filename: str | None = None
    tag: str = "main"


class ModelRegistry:
    """The door for model paths, and the shortcuts of this process."""

    _known: ClassVar[dict[str, KnownModel]] = {
        "mistral": KnownModel("second-state", "Mistral-Nemo-Instruct-2407-GGUF"),
        "qwen": KnownModel("bartowski", "Qwen2.5-7B-Instruct-GGUF"),
        "deepseek": KnownModel("bartowski", "DeepSeek-R1-Distill-Qwen-7B-GGUF"),
        "llama": KnownModel("bartowski", "Meta-Llama-3.1-8B-Instruct-GGUF"),
    }

    @classmethod
    def parse(cls, text: str, *, is_file: bool = False) -> ModelPath:
        """Raises PathError, and nothing else, for text that cannot be a model path.

        With is_file, the URL https://host/a/b of an unknown host is a file, not a custom registry's model; one with
        a tag, a pin or /tree/ says itself that it is a model's.
        """
        if not isinstance(text, str):  # a caller without type checks: a missing setting is None
            raise path_fault(repr(text), f"it is text, and not {type(text).__name__}")
        text = text.replace(JOINER, "").strip()  # copied from an error of ours, which may name what to type
        if not text or len(text) > _MAX_TEXT or not text.isprintable():
            raise path_fault(text, "it is empty, too long, or holds characters that cannot be seen")
        scheme, colon, rest = text.partition("://")
        if colon and scheme.lower() not in ("http", "https"):
            written = f"; write {'hf.co/' if scheme.lower() == 'hf' else ''}{rest[:80]}" if rest else ""
            raise path_fault(text, f"the schemes are http and https{written}")
        scheme = "http" if scheme.lower() == "http" else "https"
        path = _parse_url(scheme, rest, text, is_file=is_file) if colon else _parse_name(text, cls._known)
        if len(path.canonical) > _MAX_TEXT:
            raise path_fault(text, "it is too long once it is percent-encoded")
        return path

    @classmethod
    def add_known_model(
        cls, shortcut: str, namespace: str, repository: str, filename: str, tag: str = "main"
    ) -> None:
        """Make shortcut stand for a file on Hugging Face, in this process. Raises PathError."""
        check_shortcut(shortcut)
        _hub_file(f"{namespace}/{repository}", tag, filename)
        cls._known = {**cls._known, shortcut: KnownModel(namespace, repository, filename, tag)}

    @classmethod
    def known_models(cls) -> dict[str, KnownModel]:
        """A copy of all shortcuts."""
        return dict(cls._known)

    @classmethod
    def get_variants(cls, text: str) -> list[str]:
        """The model's URLs for each of VARIANTS, by naming convention: nobody is asked whether they exist."""
        return [get_download_url(text, quantization) for quantization in VARIANTS]


def check_shortcut(name: str) -> None:
    """Raises PathError for what could not be typed as a model path, or would hide a registry."""
    if not _PART.fullmatch(name) or ".." in name or name.lower() in {*ALIASES, "http", "https", "localhost"}:
        raise path_fault(
            name,
            "a shortcut is letters, digits, dots, dashes and underscores, and not the name of a registry or scheme",
        )
    RemoteName.parse(name)


def get_download_url(text: str, quantization: str | None = None) -> str:
    """The URL of a model's file, by naming convention, without asking anybody. Raises PathError.

    The file of a known model, or of a path that names one, has its quantization swapped for the one asked.
    """
    path = ModelRegistry.parse(text)
    if quantization is not None and not (isinstance(quantization, str) and OCI_TAG.fullmatch(quantization)):
        raise path_fault(str(quantization), "a quantization is a word such as Q4_K_M")
    if path.registry == OLLAMA_REGISTRY and path.url is None:
        if quantization:
            raise path_fault(text, "on the Ollama registry the quantization is part of the tag")
        return path.manifest_url
    filename = path.filename or path.tag_file
    if path.url is not None and not quantization:
        return path.url
    if filename is None:
        name = re.sub(r"(?i)[-_.]gguf$", "", path.repository)
        return path.full_url(
            f"{name}-{(quantization or path.quantization or DEFAULT_QUANTIZATION).upper()}.gguf"
        )
    return path.full_url(with_quantization(filename, quantization) if quantization else filename)


def _parse_name(text: str, known: dict[str, KnownModel], *, has_host: bool = False) -> ModelPath:
    body, at, pin = text.partition("@")
    first, slash, rest = body.partition("/")
    if at and not (body and pin):
        raise path_fault(text, f"nothing {'follows' if body else 'stands before'} the @")
    if len(first.split()) > 1:
        raise path_fault(text, f"there are no spaces in a name; it may be {text.rsplit(maxsplit=1)[-1]}")
    if body == "git":
        raise path_fault(
            text, f"it is an address for git; write {pin.replace(':', '/').removesuffix('.git')[:80]}"
        )
    if not slash:
        return _parse_bare(text, body, pin or None, known)
    registry, is_named = HUB_REGISTRY, first.lower() in ALIASES or is_host(first) or has_host
    if is_named:
        registry, body = _registry(first, text), rest
    name, colon, tag = body.partition(":")
    parts = name.split("/")
    if colon and not tag:
        raise path_fault(text, "nothing follows the colon")
    if is_named and (advice := model_pages.api_advice(registry, body.split("/"))):
        raise path_fault(text, advice)
    scheme = default_scheme(registry)
    is_page = is_named and (_is_page(registry, body) or _page_below_endpoint(scheme, registry, body))
    if is_page or _is_hub_view(parts, registry):
        return _parse_url(scheme, f"{registry}/{body}{at}{pin}", text)
    return _model(text, registry, parts, tag or None, pin or None)


def _is_page(registry: str, path: str) -> bool:
    """Whether this path of the Hub or of Ollama is no model's, but perhaps one that was copied from a browser."""
    if registry not in (HUB_REGISTRY, OLLAMA_REGISTRY):
        return False
    parts = (path if registry == OLLAMA_REGISTRY else path.partition(":")[0]).split("/")
    return "" not in parts and (len(parts) > 2 or any(mark in parts[-1] for mark in "?#"))


def _parse_bare(text: str, body: str, pin: str | None, known: dict[str, KnownModel]) -> ModelPath:
    """A name without a slash: a shortcut, else the Ollama library's."""
    name, colon, tag = body.partition(":")
    if colon and not tag:
        raise path_fault(text, "nothing follows the colon")
    model = known.get(name)
    if model is None and pin and is_after_user(pin):
        raise path_fault(text, _USER_REFUSED)
    if name.lower() in ALIASES:
        raise path_fault(text, "it names a registry, but no model")
    if model is None:
        return _model(text, OLLAMA_REGISTRY, [name], tag or None, pin)
    path = _model(text, HUB_REGISTRY, [model.namespace, model.repository], tag or None, pin)
    if model.filename is None or path.tag_file:
        return path
    filename = with_quantization(model.filename, path.quantization) if path.quantization else model.filename
    explicit = pin or (tag if tag and not path.quantization else None)
    return _hub_file(path.model_id, explicit or model.tag, filename)


def _model(text: str, registry: str, parts: list[str], tag: str | None, pin: str | None) -> ModelPath:
    """Check the parts by the registry's own rules, and fill in its defaults."""
    if registry == OLLAMA_REGISTRY and len(parts) == 1:
        parts = ["library", *parts]
    if registry == HUB_REGISTRY:
        # The Hub lets no name end so: it is how the address for `git clone` ends.
        parts = [*parts[:-1], re.sub(r"(?:\.git)+$", "", parts[-1])]
    if "" in parts:
        raise path_fault(text, "a part of the name is missing")
    if registry == HUB_REGISTRY and (len(parts) > 2 or model_pages.is_hub_page(parts[0])):
        raise path_fault(text, model_pages.hub_advice(parts))
    if not all(_PART.fullmatch(part) and ".." not in part for part in parts):
        raise path_fault(text, "a name's parts are letters, digits, dots, dashes and underscores")
    RemoteName.parse("/".join(parts))
    if registry == OLLAMA_REGISTRY:
        tag = tag or "latest"
    elif tag is not None:
        tag = _hub_tag(text, tag) if registry == HUB_REGISTRY else _tag(text, tag)
    elif registry == HUB_REGISTRY:
        tag = "main"
    if registry == OLLAMA_REGISTRY and not OCI_TAG.fullmatch(tag or ""):
        raise path_fault(text, "a tag is at most 128 letters, digits, dots, dashes and underscores")
    return ModelPath(
        registry, "/".join(parts[:-1]), parts[-1], tag, default_scheme(registry), _pin(text, registry, pin)
    )


def _pin(text: str, registry: str, pin: str | None) -> str | None:
    if pin is None:
        return None
    if registry != HUB_REGISTRY and pin.startswith("sha256:"):
        return str(Digest.parse(pin))
    if registry == OLLAMA_REGISTRY:
        raise path_fault(text, "the Ollama registry is pinned by @sha256:<64 hexadecimal digits>")
    return check_revision(text, pin)


def _hub_tag(text: str, tag: str) -> str:
    return tag.upper() if QUANTIZATION.fullmatch(tag) else _tag(text, tag)


def _tag(text: str, tag: str) -> str:
    return str(RemoteName.parse(tag)) if tag.lower().endswith(".gguf") else check_revision(text, tag)


def check_revision(text: str, revision: str) -> str:
    """The revision, by git-check-ref-format, narrowed to what the Hub lets a branch or tag be called. text: where it
    was typed. Raises PathError."""
    if not _REVISION.fullmatch(revision) or ".." in revision or "//" in revision or "/." in revision:
        raise path_fault(text, f"{revision[:60]!r} is no revision, tag, quantization or .gguf file")
    return revision


def _parse_url(scheme: str, rest: str, text: str, *, is_file: bool = False) -> ModelPath:
    try:
        parts = urlsplit(f"{scheme}://{rest}")
    except ValueError as exc:
        raise path_fault(text, "the URL's host is malformed") from exc
    if "@" in parts.netloc:
        raise path_fault(text, _USER_REFUSED)
    if "\\" in rest:
        raise path_fault(text, "a backslash is in the URL")
    host, path = parse_host(parts.netloc, text), parts.path.strip("/")
    registry = _registry(parts.netloc, text)
    if registry in (HUB_REGISTRY, OLLAMA_REGISTRY):
        model = (
            _hub_address(path, parts.query, text) if registry == HUB_REGISTRY else _ollama_address(path, text)
        )
        if model is not None:
            return model
        parts = parts._replace(path="/" + (model_pages.file_of_collection(path) or path))
    elif shown := _page_below_endpoint(scheme, host, path):
        if (model := _hub_address(shown, parts.query, text)) is not None:
            return model
    elif model_pages.is_docker_page(host):
        raise path_fault(text, "it is a page of Docker Hub; write docker.io/namespace/model:tag")
    elif not parts.query and (name := _model_in_url(path)) and not (is_file and _is_bare(path)):
        model = _parse_name(f"{host}/{name}", {}, has_host=True)
        return msgspec.structs.replace(model, scheme=scheme)
    query = "?" + quote(parts.query, safe=_URL_SAFE) if parts.query else ""
    url = f"{scheme}://{host}{quote(parts.path or '/', safe=_URL_SAFE)}{query}"
    return ModelPath(host, "", "", None, scheme, None, unquote(parts.path.rpartition("/")[2]) or None, url)


def _is_hub_view(parts: list[str], registry: str = "") -> bool:
    views = _HUB_VIEWS if registry != HUB_REGISTRY else model_pages.FILE_VIEWS + model_pages.TREE_VIEWS
    return len(parts) > 3 and any(view in parts[1:3] for view in views)


def _model_in_url(path: str) -> str | None:
    """The name of a custom registry's model that a URL's path is, or whose page it is on a Hub; else None."""
    parts = path.split("/")
    if _is_model_in_url(parts):
        return path
    if (
        len(parts) == 4
        and parts[2] == "tree"
        and _is_model_in_url(parts[:2])
        and _REVISION.fullmatch(parts[3])
    ):
        return "/".join(parts[:2]) + ("" if parts[3] == "main" else f"@{parts[3]}")
    return None


def _is_model_in_url(parts: list[str]) -> bool:
    """Whether a URL's path is a custom registry's model: ns/repo alone, or deeper if a tag or pin says so."""
    last = _MODEL_IN_URL.fullmatch(parts[-1])
    if (
        len(parts) < 2
        or not last
        or last["name"] == "sha256"
        or _is_hub_view(parts)
        or not all(_PART.fullmatch(p) for p in parts[:-1])
    ):
        return False
    return not _FILE_EXTENSION.search(last["name"]) and (len(parts) == 2 or bool(last["more"]))


def _page_below_endpoint(scheme: str, host: str, path: str) -> str | None:
    """The path within the Hub that HF_ENDPOINT names, where the URL is that of a page there. An address of a file
    (/resolve/) is asked as it stands: a mirror may have that and list nothing."""
    url, base = f"{scheme}://{host}/{path}", f"{hub_endpoint()}/"
    parts = url[len(base) :].split("/") if url.lower().startswith(base.lower()) else []
    view = parts[2:3]
    is_page = view == ["discussions"] or (view != ["resolve"] and _is_hub_view(parts, HUB_REGISTRY))
    return "/".join(parts) if is_page else None


def _is_bare(path: str) -> bool:
    """Whether nothing in ns/repo says that it is a model: no tag, pin or view."""
    return path.count("/") == 1 and not set(path) & set(":@")


def _hub_address(path: str, query: str, text: str) -> ModelPath | None:
    """The model, or the file of one, that an address of the Hub shows; None for a file of something else."""
    parts = [unquote(part) for part in path.split("/")]
    try:
        page = model_pages.hub_page(parts) or model_pages.hub_file_info(parts, query)
    except ValueError as exc:
        raise path_fault(text, str(exc)) from exc
    if page is not None:
        return _hub_file(page.repository, page.revision, page.file)
    if parts[0] in ("api", "v2") or model_pages.file_of_collection(path):
        return None
    name = re.split("[:@]", path)[0].split("/")
    if len(name) > 2:  # what goes on from here has two parts, or it would come back
        missing = "a part of the name is missing"
        raise path_fault(text, missing if "" in name else model_pages.hub_advice(parts))
    return _parse_name(f"{HUB_REGISTRY}/{path}", {})


def _ollama_address(path: str, text: str) -> ModelPath | None:
    """As _hub_address; None for what the registry itself hands out."""
    if path.startswith("v2/"):
        advice = model_pages.api_advice(OLLAMA_REGISTRY, path.split("/"))
        if advice and "/blobs/" not in path:
            raise path_fault(text, advice)
        return None
    if advice := model_pages.ollama_advice(path.split("/")):
        raise path_fault(text, advice)
    return _parse_name(f"{OLLAMA_REGISTRY}/{path}", {})


def _hub_file(repo: str, revision: str, filename: str | None) -> ModelPath:
    """A file, or everything, of a Hub repository at a revision, whatever that looks like."""
    text = f"{repo}@{revision}"
    path = _model(text, HUB_REGISTRY, repo.split("/"), None, None)
    revision = check_revision(text, revision)
    name = None if filename is None else str(RemoteName.parse(filename))
    if QUANTIZATION.fullmatch(revision) or revision.lower().endswith(".gguf"):
        return msgspec.structs.replace(path, pin=revision, filename=name)
    return msgspec.structs.replace(path, tag=revision, filename=name)


def _registry(text: str, whole: str) -> str:
    host = parse_host(text, whole)
    return ALIASES.get(host.removesuffix(":443"), host)
