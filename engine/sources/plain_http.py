"""A file on any web server: its URL is all that is known beforehand."""

from typing import TYPE_CHECKING

from engine.errors import PathError, UsageError
from engine.model_path import ModelPath
from engine.remote_file import RemoteFile, RemoteName
from engine.sources.listing import RawManifest
from engine.sources.selection import Choice
from engine.telemetry import redact

if TYPE_CHECKING:
    from engine.transport.client import Client


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
        return [RemoteFile(name=_name(path, choice), url=path.url, model=redact(path.url))]

    def refresh(self, client: "Client", file: RemoteFile) -> RemoteFile:  # noqa: ARG002 - Source's signature
        """Nothing is published about a file on a plain web server but with the file itself."""
        return file


def _name(path: ModelPath, choice: Choice) -> RemoteName:
    name = choice.name or path.filename
    if not name:
        raise PathError(f"{redact(path.url or '')} names no file. Say what it is to be called with -o FILE.")
    if "/" in name:
        raise PathError(f"{name[:120]!r} is no file name. Say what the file is to be called with -o FILE.")
    return RemoteName.parse(name)
