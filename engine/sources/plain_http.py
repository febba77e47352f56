"""A file on any web server: its URL is all that is known beforehand."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.errors import PathError, UsageError
from engine.model_path import HUB_REGISTRY, ModelPath
from engine.remote_file import RemoteFile, RemoteName
from engine.sources.listing import RawManifest
from engine.sources.selection import Choice
from engine.telemetry import redact

if TYPE_CHECKING:
    from engine.transport.client import Client

_HUB_HOSTS = (HUB_REGISTRY, f"www.{HUB_REGISTRY}", "hf.co")
_COLLECTIONS = {"datasets": "data set", "spaces": "space"}


class PlainHttp:
    """Size, validator and range support are learned by the first request for the file itself."""

    manifest: RawManifest | None = None

    def version(self, client: "Client", path: ModelPath, choice: Choice) -> None:
        """Nothing cheaper than the listing tells it."""

    def list_files(self, client: "Client", path: ModelPath, choice: Choice) -> list[RemoteFile]:  # noqa: ARG002 - Source's signature
        """Asks nothing: one file, called `choice.name`, else after the last part of the URL's path."""
        if path.url is None:
            raise PathError(f"{path.canonical} is a model, not the URL of a file.")
        asked = (choice.quant, choice.file, choice.revision)
        if any(value is not None for value in asked) or choice.include or choice.exclude:
            raise UsageError(
                f"{redact(path.url)} is one file: leave out quantization, file, revision and patterns."
            )
        _refuse_pages(path.url)
        return [RemoteFile(name=_name(path, choice), url=path.url, model=redact(path.url))]

    def refresh(self, client: "Client", file: RemoteFile) -> RemoteFile:  # noqa: ARG002 - Source's signature
        """Nothing is published about a file on a plain web server but with the file itself."""
        return file


def _refuse_pages(url: str) -> None:
    """The Hub's pages of data sets and spaces look like addresses of files, and would come as HTML."""
    parts = urlsplit(url)
    first, _, rest = parts.path.strip("/").partition("/")
    if (
        parts.hostname in _HUB_HOSTS
        and first in _COLLECTIONS
        and not {"resolve", "raw"} & set(rest.split("/"))
    ):
        raise PathError(
            f"{redact(url)} is the page of a {_COLLECTIONS[first]}, and models are what is pulled here. A single "
            "file of it comes by its own address, with /resolve/<revision>/<file> at its end."
        )


def _name(path: ModelPath, choice: Choice) -> RemoteName:
    name = choice.name or path.filename
    if not name:
        raise PathError(f"{redact(path.url or '')} names no file. Say what it is to be called with -o FILE.")
    if "/" in name:
        raise PathError(f"{name[:120]!r} is no file name. Say what the file is to be called with -o FILE.")
    return RemoteName.parse(name)
