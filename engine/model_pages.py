"""Web pages about models, as their addresses are copied from a browser: what they show, or what to write instead. Pure.

Parts are those of a path on huggingface.co or ollama.com, percent-decoded, without host, query and fragment.
What is a model's own address, by the grammar, is none of this module's business.
"""

from urllib.parse import parse_qs, quote

import msgspec

FILE_VIEWS = ("resolve", "blob", "raw", "blame", "edit")
"""What stands before revision and file in the addresses that the Hub has for a file."""
TREE_VIEWS = ("tree", "commits", "commit")
"""What stands before a revision, and nothing else, in those that it has for a repository."""
COLLECTIONS = {"datasets": "data sets", "spaces": "spaces"}
_HUB_PAGES = frozenset(
    {"api", "blog", "chat", "collections", "docs", "join", "learn", "login", "models", "new", "organizations"}
    | {"papers", "posts", "pricing", "settings", "tasks"}
)
_OLLAMA_PAGES = frozenset(
    {"blog", "cloud", "docs", "download", "library", "models", "pricing", "search", "settings", "signin"}
)


class HubPage(msgspec.Struct, frozen=True):
    """What an address of the Hub shows."""

    repository: str
    """ "namespace/repository", or the one part of an old name."""
    revision: str
    file: str | None
    """None: all of it."""


def hub_page(parts: list[str]) -> HubPage | None:
    """The file or the revision that this is the address of; None for all others. Raises ValueError, which says what
    to write instead, where a part is missing, or there is one too many."""
    views = (*FILE_VIEWS, *TREE_VIEWS)
    at = next((i for i in (2, 1) if len(parts) > i + 1 and parts[i] in views), None)
    if at is None or parts[0] in COLLECTIONS or parts[0] in _HUB_PAGES:
        return None
    end = at + 1 + _revision_length(parts[at + 1 :])
    repository, revision, inside = (
        "/".join(parts[:at]),
        "/".join(parts[at + 1 : end]),
        "/".join(parts[end:]),
    )
    if parts[at] == "tree" and inside:
        raise ValueError(f"it is a folder's page; pull the model with --include '{inside}/*'")
    if parts[at] in FILE_VIEWS and not inside:
        raise ValueError(f"no file is in it; the model is {_hub_name(repository, revision)}")
    return HubPage(repository, revision, inside if parts[at] in FILE_VIEWS else None)


def hub_file_info(parts: list[str], query: str) -> HubPage | None:
    """The file whose facts a repository's page shows beside it, which only the query says; None for all others."""
    shown = parse_qs(query).get("show_file_info")
    if not shown or len(parts) != 2 or parts[0] in COLLECTIONS:
        return None
    return HubPage("/".join(parts), "main", shown[0])


def hub_advice(parts: list[str]) -> str:
    """Why this of the Hub is no model, and what to write."""
    first = parts[0].lower()
    if first in COLLECTIONS:
        return (
            f"{COLLECTIONS[first]} are out of scope, models are what is pulled here; a single file of one comes by its "
            f"own address, https://huggingface.co/{first}/<namespace>/<name>/resolve/<revision>/<file>"
        )
    if first in _HUB_PAGES or len(parts) < 2:
        return f"huggingface.co/{first} is a page of the Hub and no model; write hf.co/namespace/repository"
    name, rest = "/".join(parts[:2]), "/".join(parts[2:])
    if parts[2:3] == ["discussions"]:
        number = parts[3] if len(parts) > 3 and parts[3].isdigit() else "<number>"
        return f"it is a page about a model; write hf.co/{name}, or hf.co/{name}@refs/pr/{number} for a pull request"
    if "." in parts[-1]:
        written = (
            f"hf.co/{name}:{rest}" if rest.lower().endswith(".gguf") else f"hf.co/{name} --file '{rest}'"
        )
        return f"a name has two parts, and this has too many parts; to pull that file write {written}"
    return (
        f"a name has two parts, and this has too many parts; write hf.co/{name}, and a host without a dot with its "
        "port, as in host:443/ns/model"
    )


def file_of_collection(path: str) -> str | None:
    """The path of a data set's or space's file itself, where this is its address or its page; else None."""
    parts = path.split("/")
    for at in (3, 2):
        if parts[0] in COLLECTIONS and len(parts) > at + 2 and parts[at] in ("resolve", "raw", "blob"):
            view = "resolve" if parts[at] == "blob" else parts[at]
            return "/".join([*parts[:at], view, *parts[at + 1 :]])
    return None


def is_hub_page(name: str) -> bool:
    """Whether the first part of a name is no namespace on the Hub, which needs the word for itself."""
    return name.lower() in COLLECTIONS or name.lower() in _HUB_PAGES


def ollama_advice(parts: list[str]) -> str | None:
    """Why this of ollama.com or its registry is no model, and what to write; None for what may be one."""
    name = "/".join(parts[:2]).removeprefix("library/")
    if parts[-1] == "tags" and len(parts) == 3:
        return f"it lists the model's tags; write ollama/{name}:TAG with one of them"
    if len(parts) > 2:
        return f"a name has two parts, and this has too many parts; write ollama/{name}"
    if len(parts) == 1 and parts[0].lower() in _OLLAMA_PAGES:
        return f"ollama.com/{parts[0].lower()} is a page and no model; write ollama/name:tag"
    return None


def api_advice(registry: str, parts: list[str]) -> str | None:
    """For an address of a registry's API (OCI distribution spec, "Endpoints"): the model that it is about."""
    if len(parts) < 4 or parts[0] != "v2" or parts[-2] not in ("manifests", "blobs", "tags"):
        return None
    end = f":{parts[-1]}" if parts[-2] == "manifests" else ""
    end = f"@{parts[-1]}" if parts[-1].startswith("sha256:") and end else end
    return f"it is an address for programs; the model is {registry}/{'/'.join(parts[1:-2])}{end}"


def is_docker_page(host: str) -> bool:
    """Whether this host has pages about what docker.io hands out, and hands out nothing itself."""
    return host == "hub.docker.com"


def _revision_length(parts: list[str]) -> int:
    """The Hub itself takes refs/pr/1 and refs/convert/parquet in a URL with their slashes."""
    return 3 if parts[0] == "refs" and parts[1:2] in (["pr"], ["convert"]) else 1


def _hub_name(repository: str, revision: str) -> str:
    return f"hf.co/{repository}" + ("" if revision == "main" else f"@{quote(revision)}")
