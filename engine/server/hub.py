"""The Hugging Face Hub's read-only HTTP API over a catalogue, as its clients use it.

    GET        /api/models                                all models
    GET        /api/models/{repo}[/revision/{rev}]        commit, file names; ?blobs=true: sizes, digests
    GET        /api/models/{repo}/refs                    the one branch
    GET        /api/models/{repo}/tree/{rev}[/{folder}]   files and folders, in pages linked by rel="next"
    POST       /api/models/{repo}/paths-info/{rev}        the same for named paths
    HEAD, GET  /{repo}/resolve/{rev}/{file}               content

Shapes are the Hub's (huggingface.co/docs/hub/api, and what huggingface_hub reads); errors carry X-Error-Code,
by which its clients choose their exception. A revision stands in one segment, its slashes encoded.
"""

import asyncio
import base64
import binascii
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from aiohttp import web

from engine.remote_file import RemoteName
from engine.server import patience, tree
from engine.server.answering import Refused, View, joined, page_size
from engine.server.catalogue import Catalogue, Entry, Listing, Missing, Unsettled, is_commit
from engine.server.digests import Digests, Published, awaited
from engine.server.sending import send_file
from engine.server.target import Target, parse_fields

_CODES = {"repository": "RepoNotFound", "revision": "RevisionNotFound", "entry": "EntryNotFound"}
_ACTIONS = ("revision", "tree", "paths-info", "refs")
_PAGE, _PAGE_EXPANDED = 1000, 50
"""Entries on a page, as the Hub has it."""
_MAX_PATHS = 1000
"""Of one paths-info request."""


class HubView(View):
    """Answers every request of an application. Holds the catalogue and its digests; owns neither."""

    bad_request, unknown = "BadRequest", ""

    def __init__(self, catalogue: Catalogue, digests: Digests) -> None:
        self._catalogue = catalogue
        self._digests = digests

    def _missing(self, exc: Missing) -> Refused:
        # With the commit of a missing file, clients remember that it is not there.
        commit = {"X-Repo-Commit": exc.commit} if exc.commit else {}
        return Refused(404, _CODES[exc.kind], str(exc), headers=commit)

    def _error(self, refused: Refused) -> web.Response:
        message = str(refused)
        headers = {**refused.headers, "X-Error-Message": _header_text(message)}
        if refused.code:
            headers["X-Error-Code"] = refused.code
        return web.Response(
            status=refused.status,
            body=msgspec.json.encode({"error": message}),
            content_type="application/json",
            headers=headers,
        )

    async def _route(self, request: web.Request, target: Target) -> web.StreamResponse:
        match target.segments:
            case ("api", "models"):
                _allow(request, "GET", "HEAD")
                return await self._models()
            case ("api", "models", *rest):
                return await self._api(request, target, rest)
            case (name, "resolve", revision, *path) if path:
                return await self._resolve(request, [name], revision, path)
            case (namespace, name, "resolve", revision, *path) if path:
                return await self._resolve(request, [namespace, name], revision, path)
            case ("datasets" | "spaces", *_) | ("api", "datasets" | "spaces", *_):
                raise Refused(404, "RepoNotFound", "This server hands out models only.")
        raise Refused(404, "", "There is nothing here. The models are listed under /api/models.")

    async def _api(self, request: web.Request, target: Target, rest: list[str]) -> web.StreamResponse:
        words = 1 if len(rest) == 1 or rest[1] in _ACTIONS else 2
        repository = joined(rest[:words], "BadRequest")
        action, *arguments = rest[words:] or ["revision", "main"]
        _allow(request, *(("POST",) if action == "paths-info" else ("GET", "HEAD")))
        match action, arguments:
            case "revision", [revision]:
                return await self._info(target, repository, revision)
            case "refs", []:
                return await self._refs(target, repository)
            case "tree", [revision, *path]:
                return await self._tree(request, target, repository, revision, path)
            case "paths-info", [revision]:
                return await self._paths_info(request, repository, revision)
        raise Refused(404, "", "There is no such endpoint.")

    async def _resolve(
        self, request: web.Request, repository: list[str], revision: str, path: list[str]
    ) -> web.StreamResponse:
        _allow(request, "GET", "HEAD")
        name = RemoteName.parse("/".join(path))
        listing, entry, file = await asyncio.to_thread(
            self._catalogue.find, joined(repository, "BadRequest"), revision, name
        )
        with file:
            published = await self._published(entry)
            headers = {
                "ETag": published.etag,
                "X-Repo-Commit": listing.commit,
                "Content-Disposition": f"inline; filename*=UTF-8''{quote(name.rpartition('/')[2], safe='')}",
            }
            return await send_file(request, entry, file, headers)

    async def _models(self) -> web.Response:
        def found() -> Iterable[Listing]:
            for repository in self._catalogue.repositories():
                try:
                    yield self._catalogue.listing(repository)
                except Missing:
                    continue  # gone since it was listed

        listings = await asyncio.to_thread(lambda: list(found()))
        return _json([tree.summary(listing) for listing in listings])

    async def _info(self, target: Target, repository: str, revision: str) -> web.Response:
        listing = await self._listing(repository, revision)
        info = tree.model_info(listing)
        if target.is_set("blobs"):
            published = await self._all_published(listing.entries.values(), revision)
            info["siblings"] = [
                tree.sibling(entry, published[entry.name]) for entry in listing.entries.values()
            ]
        if wanted := target.all("expand"):
            info = {key: value for key, value in info.items() if key in ("_id", "id", *wanted)}
        return _json(info, listing)

    async def _refs(self, target: Target, repository: str) -> web.Response:
        listing = await self._listing(repository, "main")
        branch = {"name": "main", "ref": "refs/heads/main", "targetCommit": listing.commit}
        refs: dict[str, Any] = {"branches": [branch], "converts": [], "tags": []}
        if target.is_set("include_prs"):
            refs["pullRequests"] = []
        return _json(refs)

    async def _tree(
        self, request: web.Request, target: Target, repository: str, revision: str, path: list[str]
    ) -> web.Response:
        listing = await self._listing(repository, revision)
        folder = "/".join(path).strip("/")
        if folder:
            RemoteName.parse(folder)
        nodes = tree.nodes_in(listing, folder, recursive=target.is_set("recursive"))
        if folder and not nodes:
            message = f"There is no folder {folder[:200]!r} in {repository} at {listing.commit}."
            raise Missing("entry", message, listing.commit)
        expand = target.is_set("expand")
        page, rest = tree.page_of(nodes, _cursor(target), _page(target, expand=expand))
        answer = _json(await self._described(listing, page, revision, expand=expand), listing)
        if rest:
            answer.headers["Link"] = _next_link(request, target, listing, folder, page[-1].path)
        return answer

    async def _paths_info(self, request: web.Request, repository: str, revision: str) -> web.Response:
        paths, expand = await _asked_paths(request)
        listing = await self._listing(repository, revision)
        nodes = tree.nodes_at(listing, paths)
        return _json(await self._described(listing, nodes, revision, expand=expand), listing)

    async def _described(
        self, listing: Listing, nodes: list[tree.Node], revision: str, *, expand: bool
    ) -> list[dict[str, Any]]:
        published = await self._all_published([n.entry for n in nodes if n.entry], revision)
        return [tree.described(node, published.get(node.path), listing, expand=expand) for node in nodes]

    async def _listing(self, repository: str, revision: str) -> Listing:
        return await asyncio.to_thread(self._catalogue.listing, repository, revision)

    async def _published(self, entry: Entry) -> Published:
        (published,) = await awaited([self._digests.of(entry)])
        return published

    async def _all_published(self, entries: Iterable[Entry], revision: str) -> dict[str, Published]:
        wanted = list(entries)
        try:
            found = await awaited(map(self._digests.of, wanted))
        except Unsettled as exc:
            if is_commit(revision):
                raise Missing("revision", f"{exc}: revision {revision} is no more. Ask for main.") from exc
            raise
        return {entry.name: published for entry, published in zip(wanted, found, strict=True)}


def _json(value: Any, listing: Listing | None = None) -> web.Response:
    headers = {"X-Repo-Commit": listing.commit} if listing else {}
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", headers=headers)


def _header_text(text: str) -> str:
    """Visible ASCII only: what stands in a header must not be able to end it (RFC 9110 §5.5)."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)


def _allow(request: web.Request, *methods: str) -> None:
    if request.method not in methods:
        raise Refused(405, "", "This cannot be done here.", headers={"Allow": ", ".join(methods)})


def _page(target: Target, *, expand: bool) -> int:
    return page_size(target, "limit", _PAGE_EXPANDED if expand else _PAGE, "BadRequest", least=1)


def _cursor(target: Target) -> str:
    """The path after which the page begins; a cursor is that path in base64, opaque to clients."""
    try:
        return base64.urlsafe_b64decode(target.get("cursor")).decode()
    except (binascii.Error, ValueError) as exc:
        raise Refused(400, "BadRequest", "This cursor was not made here.") from exc


def _next_link(request: web.Request, target: Target, listing: Listing, folder: str, last: str) -> str:
    """Absolute, because clients follow it as it is; at the commit, so that all pages are of one listing."""
    path = f"/api/models/{quote(listing.repository)}/tree/{listing.commit}" + (folder and f"/{quote(folder)}")
    kept = [(key, value) for key, value in target.query if key != "cursor"]
    query = urlencode([*kept, ("cursor", base64.urlsafe_b64encode(last.encode()).decode())])
    return f'<{request.scheme}://{request.host}{path}?{query}>; rel="next"'


async def _asked_paths(request: web.Request) -> tuple[list[str], bool]:
    """The body of paths-info, a form or JSON: paths, and whether details are wanted."""
    try:
        # Not by the charset that a request names: decoding punycode takes time by the square of its length.
        async with asyncio.timeout(patience.BODY_S):
            body = (await request.read()).decode("utf-8")
        if request.content_type == "application/json":
            asked = msgspec.json.decode(body, type=_PathsInfo)
            paths = [asked.paths] if isinstance(asked.paths, str) else asked.paths
            expand = asked.expand
        else:
            form = Target((), parse_fields(body))
            paths, expand = form.all("paths"), form.is_set("expand")
    except TimeoutError:
        raise Refused(408, "BadRequest", "The body of the request did not come.") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError, web.RequestPayloadError) as exc:
        raise Refused(400, "BadRequest", "The body must be a form or JSON with paths.") from exc
    if len(paths) > _MAX_PATHS:
        raise Refused(400, "BadRequest", f"At most {_MAX_PATHS} paths at once.")
    return paths, expand


class _PathsInfo(msgspec.Struct):
    paths: list[str] | str
    expand: bool = False
