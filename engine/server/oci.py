"""The read-only part of the OCI distribution protocol over a store and a folder, as its clients and Ollama's use it.

    GET        /v2/                             here it is
    HEAD, GET  /v2/{name}/manifests/{ref}       by tag or digest
    HEAD, GET  /v2/{name}/blobs/{digest}        content, with ranges
    GET        /v2/{name}/tags/list             ?n=, ?last=; pages linked by rel="next"

Shapes and error codes are those of the OCI distribution specification 1.1; there are no uploads and no referrers.
Ollama's client asks for more than that: it takes a blob's size from HEAD, and from the answer to a GET of the blob,
even a 200, the Location at which it asks for the ranges (server/download.go); so this answer names its own address.
"""

import asyncio
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from aiohttp import web

from engine.server.answering import Refused, View, joined, page_size
from engine.server.catalogue import Entry
from engine.server.oci_folder import FolderModels
from engine.server.oci_manifests import Manifest, fitting, is_digest, is_well_formed
from engine.server.oci_store import StoredModels
from engine.server.sending import bytes_answer, send_file
from engine.server.target import Target

_VERSION = {"Docker-Distribution-API-Version": "registry/2.0"}


class OciView(View):
    """Answers what is asked below /v2/: the store's models as registries sent them, then the folder's."""

    bad_request, unknown = "NAME_INVALID", "UNKNOWN"

    def __init__(self, folder: FolderModels, store: StoredModels | None) -> None:
        self._folder = folder
        self._store = store

    def _error(self, refused: Refused) -> web.Response:
        error = {"code": refused.code, "message": str(refused), "detail": refused.detail}
        response = _json({"errors": [error]})
        response.set_status(refused.status)
        response.headers.update(refused.headers)
        return response

    async def _route(self, request: web.Request, target: Target) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            message = "This server hands out models; nothing can be pushed to it or deleted."
            raise Refused(405, "UNSUPPORTED", message, headers={"Allow": "GET, HEAD"})
        match target.segments:
            case ("v2",) | ("v2", ""):
                return _json({})
            case ("v2", *name, "manifests", reference) if name:
                return await self._manifest(request, _name(name), reference)
            case ("v2", *name, "blobs", digest) if name:
                return await self._blob(request, _name(name), digest)
            case ("v2", *name, "tags", "list") if name:
                return await self._tags(_name(name), target)
        raise Refused(
            404, "UNSUPPORTED", "There is no such endpoint here: manifests, blobs and tags/list are."
        )

    async def _manifest(self, request: web.Request, name: str, reference: str) -> web.Response:
        if is_digest(reference) and not is_well_formed(reference):
            raise Refused(400, "DIGEST_INVALID", "This is no digest.", reference)
        found = await self._find_manifest(name, reference)
        if found is None:
            raise Refused(
                404,
                "MANIFEST_UNKNOWN",
                "There is no such model here.",
                {"name": name, "reference": reference},
            )
        if not is_digest(reference):
            found = fitting(found, request.headers.getall("Accept", []))
        headers = {**_VERSION, "Docker-Content-Digest": found.digest, "ETag": f'"{found.digest}"'}
        if not is_digest(reference):
            headers["Vary"] = "Accept"
        return bytes_answer(request, found.body, headers, found.media_type, ranges=False)

    async def _find_manifest(self, name: str, reference: str) -> Manifest | None:
        stored = await asyncio.to_thread(self._store.manifest, name, reference) if self._store else None
        return stored or await self._folder.manifest(name, reference)

    async def _blob(self, request: web.Request, name: str, digest: str) -> web.StreamResponse:
        if not is_well_formed(digest):
            raise Refused(400, "DIGEST_INVALID", "This is no digest.", digest)
        stored = await asyncio.to_thread(self._store.blob, name, digest) if self._store else None
        found: Entry | bytes | None = stored or await self._folder.blob(name, digest)
        if found is None:
            raise Refused(404, "BLOB_UNKNOWN", "There is no such blob in this repository.", digest)
        headers = {**_VERSION, "Docker-Content-Digest": digest, "ETag": f'"{digest}"'}
        if "Range" not in request.headers:
            headers["Location"] = f"/v2/{quote(name)}/blobs/{digest}"
        if isinstance(found, bytes):
            return bytes_answer(request, found, headers, "application/octet-stream")
        with await asyncio.to_thread(found.open) as file:
            return await send_file(request, found, file, headers)

    async def _tags(self, name: str, target: Target) -> web.Response:
        stored = await asyncio.to_thread(self._store.tags, name) if self._store else []
        tags = sorted({*stored, *await self._folder.tags(name)})
        if not tags:
            raise Refused(404, "NAME_UNKNOWN", "There is no such repository here.", {"name": name})
        page = [tag for tag in tags if tag > target.get("last")]
        answer, rest = (
            page[: (most := page_size(target, "n", len(page), "UNSUPPORTED", least=0))],
            page[most:],
        )
        response = _json({"name": name, "tags": answer})
        if answer and rest:
            query = urlencode({"n": most, "last": answer[-1]})
            response.headers["Link"] = f'</v2/{quote(name)}/tags/list?{query}>; rel="next"'
        return response


def _name(parts: list[str]) -> str:
    """A repository's name from its segments; an encoded slash must not make one into two. Raises PathError."""
    name = joined(parts, "NAME_INVALID")
    # Not RemoteName's rules: a registry's own name, with its port, may be the first part.
    if any(part in ("", ".", "..") for part in parts) or len(name) > 255:
        raise Refused(400, "NAME_INVALID", "This can be no repository's name.")
    return name


def _json(value: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", headers=_VERSION)
