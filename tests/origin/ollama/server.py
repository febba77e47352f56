"""Two origins that together behave as registry.ollama.ai does; rules.toml says how."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Self
from urllib.parse import unquote

from tests.certificates import LOCAL_NAMES, Certificates
from tests.origin.content import Content
from tests.origin.files import File
from tests.origin.ledger import Record
from tests.origin.manners import Exchange
from tests.origin.ollama.addresses import Signer
from tests.origin.ollama.conditions import QUESTIONS, Visit
from tests.origin.ollama.models import Model, Shelf
from tests.origin.ollama.rules import MANNERS, RULES, Rule
from tests.origin.ollama.tokens import Tokens
from tests.origin.server import Origin
from tests.origin.wire import Answer, Request, plain

STORAGE_HOST = "127.0.0.2"
"""Another host than the registry's, so that a client has to treat it as one."""
_ROUTE = re.compile(r"v2/([^/]+/[^/]+)/(manifests|blobs|chunksums)/([^/]+)")
_RESOURCES = {"manifests": "manifest", "blobs": "blob", "chunksums": "chunksums"}


class Registry(Origin):
    """The registry's own host: manifests, sizes of blobs, and where their bytes are."""

    def __init__(
        self,
        shelf: Shelf,
        tokens: Tokens,
        signer: Signer,
        storage: "Storage",
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.shelf, self.tokens, self.signer, self.storage, self.name = (
            shelf,
            tokens,
            signer,
            storage,
            name,
        )

    @property
    def base(self) -> str:
        return f"https://{self.name}" if self.name else super().base

    def answer(self, exchange: Exchange) -> Answer:
        request = exchange.request
        if request.method not in ("GET", "HEAD"):
            return plain(405, "GET and HEAD only.\n", [("Allow", "GET, HEAD")])
        visit = self._visit(request)
        if visit is None:
            return plain(404, "404 page not found\n")
        rule = refusal(visit)
        if rule is not None:
            exchange.record.refused = rule.name
            return self._refuse(rule, visit)
        answers = {
            "ping": lambda _visit: _json(200, {}),
            "manifest": self._manifest,
            "blob": self._blob,
            "chunksums": self._chunksums,
            "token": self._token,
        }
        return answers[visit.resource](visit)

    def _visit(self, request: Request) -> Visit | None:
        if plain_resource := {"token": "token", "v2": "ping", "v2/": "ping"}.get(request.path):
            return Visit(request, plain_resource, "", "", self.shelf, self.tokens, self.signer, self.base)
        match = _ROUTE.fullmatch(request.path)
        if match is None:
            return None
        name, noun, reference = match.groups()
        return Visit(request, _RESOURCES[noun], name, reference, self.shelf, self.tokens, self.signer)

    def _refuse(self, rule: Rule, visit: Visit) -> Answer:
        answer = _json(rule.status, {"errors": [{"code": rule.code, "message": rule.message}]})
        if rule.status == 401:
            answer.headers.append(("WWW-Authenticate", self.tokens.challenge(self.base, visit.name)))
        return answer

    def _manifest(self, visit: Visit) -> Answer:
        model = self.shelf.find(visit.name, visit.reference)
        assert model is not None
        answer = plain(200, model.manifest, [("Content-Type", model.content_type or model.manifest_type)])
        if visit.request.method == "HEAD" and not MANNERS["manifest_head_has_length"]:
            answer.headers.drop("Content-Length")
        return answer

    def _blob(self, visit: Visit) -> Answer:
        blob = self.shelf.blob(visit.name, visit.reference)
        assert blob is not None
        if visit.request.method == "HEAD":
            return File(blob, validators=False).answer(visit.request)
        return plain(MANNERS["blob_status"], "", [("Location", self.storage.address(visit.reference))])

    def _chunksums(self, visit: Visit) -> Answer:
        blob = self.shelf.blob(visit.name, visit.reference)
        assert blob is not None
        text = "".join(_chunk_lines(blob, MANNERS["chunk_bytes"]))
        return plain(200, text, [("Content-Location", self.storage.address(visit.reference))])

    def _token(self, visit: Visit) -> Answer:
        return _json(200, {"token": self.tokens.issue(visit.request.query)})


class Storage(Origin):
    """The object store behind it, at another host: bytes for whoever has a signed address, and nothing else."""

    def __init__(
        self, shelf: Shelf, tokens: Tokens, signer: Signer, name: str | None = None, **options: Any
    ) -> None:
        super().__init__(host=LOCAL_NAMES[1] if name else STORAGE_HOST, **options)
        self.shelf, self.tokens, self.signer, self.name = shelf, tokens, signer, name

    @property
    def base(self) -> str:
        return f"https://{self.name}" if self.name else super().base

    @staticmethod
    def path(digest: str) -> str:
        """Where a blob lies: what faults of this origin take as their path."""
        value = digest.removeprefix("sha256:")
        return f"docker/registry/v2/blobs/sha256/{value[:2]}/{value}/data"

    def address(self, digest: str) -> str:
        path = self.path(digest)
        return f"{self.base}/{path}?{self.signer.query(path)}"

    def put(self, model: Model) -> None:
        for digest, content in model.blobs.items():
            self.add(self.path(digest), content)

    def answer(self, exchange: Exchange) -> Answer:
        request = exchange.request
        visit = Visit(request, "object", unquote(request.path), "", self.shelf, self.tokens, self.signer)
        rule = refusal(visit)
        if rule is not None:
            exchange.record.refused = rule.name
            return _xml(rule)
        return (
            exchange.file.answer(request)
            if exchange.file
            else plain(404, "<Error><Code>NoSuchKey</Code></Error>")
        )


def refusal(visit: Visit) -> Rule | None:
    """The first rule by which a request is refused."""
    about = (rule for rule in RULES.rules if visit.resource in rule.on)
    return next((rule for rule in about if QUESTIONS[rule.question](visit)), None)


class OllamaRegistry:
    """Both origins with their models, from `with` to its end.

    life_s: of a signed address. tokens: every model asks for a token, not only private ones, which open to the keys in
    `tokens.keys` alone. tls: certificates; both
    origins then speak https. names: what registry and storage are called, with tls, to clients that a proxy leads here.
    Models may be added while it serves.
    """

    def __init__(
        self,
        models: Sequence[Model] = (),
        *,
        life_s: int = MANNERS["address_life_s"],
        tokens: bool = False,
        tls: Certificates | None = None,
        port: int = 0,
        names: tuple[str, str] | None = None,
    ) -> None:
        self.shelf = Shelf([])
        self.tokens = Tokens(needed=tokens)
        self.signer = Signer(life_s)
        identity = tls and tls.issue("ollama", *LOCAL_NAMES, STORAGE_HOST, *(names or ()))
        name, storage_name = names or (None, None)
        parts = (self.shelf, self.tokens, self.signer)
        self.storage = Storage(*parts, storage_name, tls=identity)
        self.registry = Registry(*parts, self.storage, name, tls=identity, port=port)
        self._stack = ExitStack()
        for model in models:
            self.add(model)

    def __enter__(self) -> Self:
        self._stack.enter_context(self.storage)
        self._stack.enter_context(self.registry)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def add(self, model: Model) -> Model:
        """Serve one more; one of the same name and tag makes way (a tag that moves)."""
        self.shelf.add(model)
        self.storage.put(model)
        return model

    @property
    def url(self) -> str:
        """Of the registry, without a slash at its end."""
        return self.registry.base

    @property
    def host(self) -> str:
        """Host and port, as they stand before a model's name."""
        return f"{self.registry.host}:{self.registry.port}"

    def manifest_url(self, model: Model) -> str:
        return f"{self.url}/v2/{model.name}/manifests/{model.tag}"

    def blob_url(self, model: Model, digest: str) -> str:
        return f"{self.url}/v2/{model.name}/blobs/{digest}"

    def expire_addresses(self) -> None:
        """Every address signed so far is too old; new ones are good again."""
        self.signer.ahead_s += self.signer.life_s

    @property
    def requests(self) -> list[Record]:
        """Of both origins, in the order in which they began."""
        return sorted([*self.registry.requests, *self.storage.requests], key=lambda record: record.started)

    @property
    def refusals(self) -> list[str]:
        """Names of the rules by which requests were refused, in that order."""
        return [record.refused for record in self.requests if record.refused]


def _chunk_lines(blob: Content, chunk_bytes: int) -> Iterator[str]:
    for start in range(0, blob.size, chunk_bytes):
        stop = min(start + chunk_bytes, blob.size)
        digest = hashlib.sha256()
        for view in blob.views(start, stop):
            digest.update(view)
        yield f"sha256:{digest.hexdigest()} {start}-{stop - 1}\n"


def _json(status: int, document: object) -> Answer:
    return plain(status, json.dumps(document), [("Content-Type", "application/json")])


def _xml(rule: Rule) -> Answer:
    body = f'<?xml version="1.0"?><Error><Code>{rule.code}</Code><Message>{rule.message}</Message></Error>'
    return plain(rule.status, body, [("Content-Type", "application/xml")])
