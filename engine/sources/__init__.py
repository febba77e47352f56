"""What exists: a source turns a model path into remote files."""

from typing import TYPE_CHECKING, Protocol

from engine.model_path import HUB_REGISTRY, OLLAMA_REGISTRY, ModelPath
from engine.remote_file import RemoteFile
from engine.sources.listing import RawManifest
from engine.sources.selection import Choice

if TYPE_CHECKING:
    from engine.transport.client import Client

__all__ = ["Choice", "Source", "find_source"]


class Source(Protocol):
    """One registry protocol."""

    @property
    def manifest(self) -> RawManifest | None:
        """What the last listing was read from, byte for byte, where the protocol has such a thing."""
        ...

    def version(self, client: "Client", path: ModelPath, choice: Choice) -> str | None:
        """The revision that a listing would be of, where that costs less than the listing; else None.

        Raises as list_files does.
        """
        ...

    def list_files(self, client: "Client", path: ModelPath, choice: Choice) -> list[RemoteFile]:
        """The files that path and choice mean, the model's main file first; at least one.

        Raises NotFound, AccessDenied, PathError (a name that cannot be one), UsageError (path and choice
        contradict each other), NetworkError or ProtocolViolation.
        """
        ...

    def refresh(self, client: "Client", file: RemoteFile) -> RemoteFile:
        """The same file with the size and digest that are published for it now; unchanged where none are.

        For the case that content and promise disagree. Raises as list_files does.
        """
        ...


def find_source(path: ModelPath, *, may_write: bool = True) -> Source:
    """The source that speaks this path's protocol; for a custom registry one that will find it out, and remember it if
    it may_write. Asks nobody."""
    if path.url is not None:
        from engine.sources.plain_http import PlainHttp

        return PlainHttp()
    if path.registry == OLLAMA_REGISTRY:
        from engine.sources.oci import Oci

        return Oci()
    if path.registry == HUB_REGISTRY:
        from engine.sources.huggingface import HuggingFace
        from engine.transport.auth import hub_endpoint

        return HuggingFace(hub_endpoint())
    from engine.settings import home
    from engine.sources.custom import Custom
    from engine.sources.origins import KnownOrigins

    return Custom(f"{path.scheme}://{path.registry}", KnownOrigins(home(), may_write=may_write))
