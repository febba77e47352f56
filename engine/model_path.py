"""A parsed model path: what it names, its one spelling, and the addresses that follow from it.

Pure but for `HF_ENDPOINT`, which moves the addresses of Hugging Face; it is read when one is made and
changes no path.

The grammar is in model_registry.py.
"""

import ipaddress
import os
import re
from functools import lru_cache
from urllib.parse import quote, urljoin

import msgspec

from engine.digest import Digest
from engine.errors import PathError
from engine.remote_file import RemoteName
from engine.telemetry import redact

HUB_REGISTRY = "huggingface.co"
OLLAMA_REGISTRY = "registry.ollama.ai"

_PREFIX = r"(?:(?:UD|I1)-)?"
QUANTIZATION = re.compile(
    rf"{_PREFIX}(?:I?Q[1-9][0-9]?|TQ[12]|B?F16|F32|F64|(?:FP|MXFP|NVFP)[0-9]{{1,2}}|I2_S)(?:_[0-9A-Z]{{1,4}})*",
    re.ASCII | re.IGNORECASE,
)
"""A tag that is to be taken for a quantization: the types of llama.cpp (Q4_K_M, IQ3_XXS, TQ1_0, BF16, MXFP4_MOE), of
its forks (IQ4_KSS, Q4_0_R8, I2_S), and the prefixes that repackers put before them (UD-, i1-)."""
OCI_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
"""OCI distribution spec, "Pulling manifests"."""
_QUANT_IN_NAME = re.compile(
    rf"(?<![A-Z0-9])({_PREFIX}(?:I?Q[1-9][0-9]?(?:_(?:[0-9]|K|KS|KSS|KT|KL|NL|XXS|XS|S|M|L|XL|XXL|R[48]|G[0-9]{{2,3}}))*"
    r"|TQ[12]_0|B?F16|F32|F64|(?:MX|NV)FP4(?:_MOE)?|FP[0-9]{1,2}|I2_S))(?![A-Z0-9])",
    re.ASCII | re.IGNORECASE,
)
"""The same within a file's name, but only the endings that exist: in M-Q8_0_pt.gguf, pt is no part of it."""
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:]+)(?::([0-9]{1,5}))?", re.ASCII)
_HOST_NAME = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
)


class ModelPath(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """A parsed model path. Made by `ModelRegistry.parse`; constructors do not validate."""

    registry: str
    """Host, with port and IPv6 brackets where there are any; for the Hub and Ollama their official name."""
    namespace: str
    """May hold slashes on a custom registry; empty where the registry's name has none."""
    repository: str
    """Empty when `url` is set."""
    tag: str | None = None
    """As typed, but a quantization in upper case. None where a custom registry's own default is meant."""
    scheme: str = "https"
    pin: str | None = None
    """What stood after "@": a revision, or "sha256:<hex>" outside Hugging Face."""
    filename: str | None = None
    """The one file that a URL or a known model names. Not checked when `url` is set: it is a stranger's."""
    url: str | None = None
    """A file on a plain web server: no registry's model."""

    @property
    def model_id(self) -> str:
        """What the registry calls it: "namespace/repository"."""
        return f"{self.namespace}/{self.repository}" if self.namespace else self.repository

    @property
    def quantization(self) -> str | None:
        """The tag, where it is a quantization, in upper case; as a Hub reads it."""
        tag = self.tag if self.registry != OLLAMA_REGISTRY else None
        return tag.upper() if tag and QUANTIZATION.fullmatch(tag) else None

    @property
    def tag_file(self) -> str | None:
        """The tag, where it is the name of a .gguf file."""
        return self.tag if self.tag and self.tag.lower().endswith(".gguf") else None

    @property
    def revision(self) -> str:
        """What to ask a Hub for: the pin, else a tag that is no quantization or file, else main."""
        if self.pin:
            return self.pin
        return "main" if self.tag is None or self.quantization or self.tag_file else self.tag

    @property
    def canonical(self) -> str:
        """The one spelling of this path; parses to an equal value, whatever shortcuts exist."""
        if self.url is not None:
            return self.url
        if self.filename is not None:
            return f"https://{self._resolve_path(self.registry, self.revision)}/{quote(self.filename)}"
        is_usual = self.scheme == default_scheme(self.registry) and is_host(self.registry)
        scheme = "" if is_usual else f"{self.scheme}://"
        tag = (
            ""
            if self.tag is None or (self.registry == HUB_REGISTRY and self.tag == "main")
            else f":{self.tag}"
        )
        return f"{scheme}{self.registry}/{self.model_id}{tag}" + (f"@{self.pin}" if self.pin else "")

    @property
    def manifest_url(self) -> str:
        """Where an OCI registry, Ollama's too, has the manifest (OCI distribution spec)."""
        return (
            f"{self.scheme}://{self.registry}/v2/{self.model_id}/manifests/{self.pin or self.tag or 'latest'}"
        )

    def full_url(self, filename: str) -> str:
        """The address of a file of this model; on Ollama, of a blob "sha256:<hex>". Raises PathError.

        Of a file on a plain web server: the address of its neighbour.
        """
        if self.url is not None:
            return urljoin(self.url, quote(RemoteName.parse(filename)))
        if self.registry == OLLAMA_REGISTRY:
            return f"{self.scheme}://{self.registry}/v2/{self.model_id}/blobs/{Digest.parse(filename)}"
        name = quote(RemoteName.parse(filename))
        if self.registry == HUB_REGISTRY:
            return f"{self._resolve_path(hub_endpoint(), self.revision)}/{name}"
        return f"{self.scheme}://{self._resolve_path(self.registry, self.pin or self.tag or 'main')}/{name}"

    def _resolve_path(self, base: str, revision: str) -> str:
        return f"{base}/{self.model_id}/resolve/{quote(revision, safe='')}"


def quantization_of(filename: str) -> str | None:
    """The last quantization in a file's name, its folders left aside, in upper case."""
    found = _QUANT_IN_NAME.findall(filename.rpartition("/")[2])
    return found[-1].upper() if found else None


def with_quantization(filename: str, quantization: str) -> str:
    """The same name with another quantization, in the case of the old one. PathError where none stands."""
    folder, slash, name = filename.rpartition("/")
    found = list(_QUANT_IN_NAME.finditer(name))
    if not found:
        raise path_fault(
            filename, "the file's name holds no quantization that could be swapped; name the file"
        )
    old = found[-1]
    new = quantization.lower() if old[0].islower() else quantization.upper()
    return f"{folder}{slash}{name[: old.start()]}{new}{name[old.end() :]}"


def path_fault(text: str, why: str) -> PathError:
    shown = redact(text) if "://" in text else _without_user(text.partition("?")[0])
    return PathError(
        f"Not a model path: {shown[:120]!r}: {why}. Examples: mistral, hf.co/namespace/repository:Q4_K_M."
    )


def _without_user(text: str) -> str:
    """A path without what stands before a host, which may be a password; a pin is no host with a path."""
    return text.rpartition("@")[2] if is_after_user(text.rpartition("@")[2]) else text


def is_after_user(text: str) -> bool:
    """Whether what follows an @ is a host and a model there, so that a user or password stands before it."""
    host, slash, _ = text.partition("/")
    return bool(slash) and is_host(host)


def parse_host(text: str, whole: str) -> str:
    """Host and port in lower case, ASCII, addresses in their shortest form. Raises PathError."""
    host = _normal_host(text)
    if host is None:
        raise path_fault(whole, f"{text[:80]!r} is no host[:port]")
    return host


@lru_cache(maxsize=64)
def _normal_host(text: str) -> str | None:
    """None for what is no host. Cached: a thousand URLs of one pull have a handful of hosts."""
    match = _HOST.fullmatch(text.lower())
    if not match:
        return None
    name, port = match.groups()
    try:
        if name.startswith("["):
            name = f"[{ipaddress.IPv6Address(name[1:-1]).compressed}]"
        else:
            name = name if name.isascii() else name.encode("idna").decode("ascii").lower()
            if name.rpartition(".")[2].isdigit():
                name = str(ipaddress.IPv4Address(name))
    except ValueError:
        return None
    is_name = name.startswith("[") or (len(name) <= 253 and _HOST_NAME.fullmatch(name))
    if not is_name or (port is not None and not 0 < int(port) < 65536):
        return None
    return name if port is None else f"{name}:{int(port)}"


def is_host(text: str) -> bool:
    """Whether the first part of a path without a scheme is a host, as Docker tells them from namespaces."""
    return any(char in text for char in ".:[") or text.lower() == "localhost"


def default_scheme(registry: str) -> str:
    """https; but http on loopback, where nobody listens in and servers rarely have certificates."""
    name = re.sub(r":[0-9]+$", "", registry) if not registry.endswith("]") else registry
    try:
        is_loopback = ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        is_loopback = name == "localhost" or name.endswith(".localhost")
    return "http" if is_loopback else "https"


def hub_endpoint() -> str:
    """Where the Hub's addresses are, without a slash at its end."""
    return (os.environ.get("HF_ENDPOINT") or f"https://{HUB_REGISTRY}").rstrip("/")
