"""The questions that rules.toml asks about a request; each function is one, under its own name."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs

from tests.origin.ollama.addresses import Signer
from tests.origin.ollama.models import Shelf
from tests.origin.ollama.rules import MANNERS
from tests.origin.ollama.tokens import Tokens
from tests.origin.wire import Request

_CLOSED = re.compile(r"bytes=\d+-\d+", re.ASCII)
_OLLAMA = re.compile(r"ollama/(\d+)\.(\d+)", re.ASCII)
_OLDEST = (0, 1)


@dataclass(frozen=True)
class Visit:
    """A request together with what it asks for, and what the server knows."""

    request: Request
    resource: str
    """ping (/v2/), manifest, blob, chunksums, token, or object (of the storage)."""
    name: str
    """NAMESPACE/MODEL; of an object its path."""
    reference: str
    """Tag or digest."""
    shelf: Shelf
    tokens: Tokens
    signer: Signer
    base: str = ""
    """Of the origin: scheme, host and port."""

    @property
    def url(self) -> str:
        return f"{self.base}{self.request.target}"


Question = Callable[[Visit], bool]
QUESTIONS: dict[str, Question] = {}


def question(ask: Question) -> Question:
    QUESTIONS[ask.__name__] = ask
    return ask


@question
def is_an_old_ollama(visit: Visit) -> bool:
    match = _OLLAMA.match(visit.request.headers.get("User-Agent") or "")
    return match is not None and (int(match[1]), int(match[2])) < _OLDEST


@question
def lacks_a_token(visit: Visit) -> bool:
    is_open = not (visit.tokens.needed or visit.shelf.is_private(visit.name))
    return not is_open and not visit.request.headers.has("Authorization")


@question
def has_another_credential(visit: Visit) -> bool:
    given = visit.request.headers.get("Authorization")
    return given is not None and not visit.tokens.opens(given, visit.name)


@question
def names_no_service_or_scope(visit: Visit) -> bool:
    fields = parse_qs(visit.request.query)
    return fields.get("service") != [MANNERS["service"]] or "scope" not in fields


@question
def asks_for_a_private_model_without_a_known_key(visit: Visit) -> bool:
    scopes = " ".join(parse_qs(visit.request.query).get("scope", [])).split()
    names = [scope.split(":")[1] for scope in scopes if scope.count(":") == 2]
    signed = visit.tokens.is_signed(visit.request.headers.get("Authorization"), visit.url)
    return any(map(visit.shelf.is_private, names)) and not signed


@question
def accepts_another_type_only(visit: Visit) -> bool:
    """Several Accept lines are one list; parameters (q) are not weighed."""
    model = visit.shelf.find(visit.name, visit.reference)
    lines = visit.request.headers.get_all("Accept")
    named = [item.partition(";")[0].strip() for line in lines for item in line.split(",")]
    return model is not None and bool(lines) and not {model.manifest_type, "*/*"} & set(named)


@question
def names_no_manifest(visit: Visit) -> bool:
    return visit.shelf.find(visit.name, visit.reference) is None


@question
def names_no_blob(visit: Visit) -> bool:
    return visit.shelf.blob(visit.name, visit.reference) is None


@question
def carries_a_credential(visit: Visit) -> bool:
    return any(visit.request.headers.has(name) for name in ("Authorization", "Cookie"))


@question
def is_not_signed(visit: Visit) -> bool:
    return not visit.signer.is_signed(visit.name, visit.request.query)


@question
def is_expired(visit: Visit) -> bool:
    return visit.signer.is_expired(visit.request.query)


@question
def asks_an_open_range(visit: Visit) -> bool:
    lines = visit.request.headers.get_all("Range")
    return any(_CLOSED.fullmatch(line) is None for line in lines)
