"""A custom registry: which protocol it speaks is found by asking, the Hub's first, and remembered."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from engine.errors import (
    AccessDenied,
    EngineError,
    NetworkError,
    NotFound,
    ProtocolViolation,
    RedirectRefused,
)
from engine.model_path import ModelPath
from engine.remote_file import RemoteFile
from engine.sources.huggingface import HuggingFace
from engine.sources.listing import RawManifest
from engine.sources.oci import Oci
from engine.sources.origins import KnownOrigins
from engine.sources.selection import Choice
from engine.telemetry import Log
from engine.transport.retry import PUSHBACK_STATUS

if TYPE_CHECKING:
    from engine.transport.client import Client

_T = TypeVar("_T")
_log = Log(__name__)
_HUB, _OCI = "hub", "oci"
_NO_SUCH_ADDRESS = (400, 405, 501)
"""What servers answer that have nothing of a protocol, and are no 404: beside a 404 to the other one, that stands."""
_WORDS = {_HUB: "as a Hub", _OCI: "as an OCI registry"}


class Custom:
    """Takes the first protocol in which the server knows the model.

    What was remembered only says which is asked first, so that a server may change, and speak both.
    """

    def __init__(self, origin: str, known: KnownOrigins) -> None:
        """`origin` is scheme, host and port: "http://localhost:5000"."""
        self._origin = origin
        self._known = known
        self._source: HuggingFace | Oci | None = None

    @property
    def manifest(self) -> RawManifest | None:
        """What the last listing was read from, where that was an OCI manifest."""
        return self._source.manifest if isinstance(self._source, Oci) else None

    def version(self, client: "Client", path: ModelPath, choice: Choice) -> None:
        """The listing has to find out the protocol anyway."""

    def list_files(self, client: "Client", path: ModelPath, choice: Choice) -> list[RemoteFile]:
        """As Source says. Where no protocol fits, the error holds the answers to both."""
        return self.ask(path, lambda source: source.list_files(client, path, choice))

    def ask(self, path: ModelPath, question: Callable[[HuggingFace | Oci], _T]) -> _T:
        """The answer in the first protocol that has one. Raises as list_files does, and what the question raises."""
        refused: dict[str, EngineError] = {}
        known = self._known.protocol_of(self._origin)
        for protocol in self._order(path, known):
            source = HuggingFace(self._origin) if protocol == _HUB else Oci()
            try:
                found = question(source)
            except (NotFound, AccessDenied, NetworkError) as exc:
                if isinstance(exc, NetworkError) and not _may_know_the_other(exc, is_known=protocol == known):
                    raise
                _log.info("protocol.refused", origin=self._origin, protocol=protocol, error=str(exc))
                refused[protocol] = exc
                continue
            self._source = source
            self._known.remember(self._origin, protocol)
            return found
        raise _none_fits(path, refused)

    def refresh(self, client: "Client", file: RemoteFile) -> RemoteFile:
        """As Source says."""
        return self._source.refresh(client, file) if self._source else file

    def _order(self, path: ModelPath, known: str | None) -> list[str]:
        """What to ask, in this order; a Hub's names have two parts, and its revisions are no digests."""
        if (path.pin and path.pin.startswith("sha256:")) or path.model_id.count("/") != 1:
            return [_OCI]
        return [_OCI, _HUB] if known == _OCI else [_HUB, _OCI]


def _may_know_the_other(exc: NetworkError, *, is_known: bool) -> bool:
    """Whether the server may know the other protocol all the same: it is there, and does not ask for time. A server
    that is none of a Hub need not answer a Hub's addresses well, or at all; one that is_known for this protocol has an
    outage."""
    if isinstance(exc, ProtocolViolation | RedirectRefused):
        return True
    if is_known and (exc.status is None or exc.status >= 500):
        return False
    return exc.kind not in ("connect", "tls") and exc.status not in (407, *PUSHBACK_STATUS)


def _none_fits(path: ModelPath, refused: dict[str, EngineError]) -> EngineError:
    """One error for all answers, of the kind that says most about what to do."""
    errors = list(refused.values())
    if len(errors) == 1:
        return errors[0]
    answers = "; ".join(f"{_WORDS[protocol]}: {error}" for protocol, error in refused.items())
    message = f"{path.registry} was asked for {path.model_id} in both protocols. {answers}"
    if path.tag is None and path.pin is None:
        message += f" If {path.scheme}://{path.registry}/{path.model_id} is a file, say so with -o FILE."
    # What is broken was found; who is refused might find it; and only where both say so is it not there.
    if any(isinstance(error, ProtocolViolation) for error in errors):
        return ProtocolViolation(message)
    if any(isinstance(error, AccessDenied) for error in errors):
        return AccessDenied(message)
    if any(isinstance(error, NotFound) for error in errors) and not any(map(_has_failed, errors)):
        return NotFound(message)
    return NetworkError(message)


def _has_failed(error: EngineError) -> bool:
    """Whether the server might have it, and was not able to say so."""
    return isinstance(error, NetworkError) and error.status not in _NO_SUCH_ADDRESS
