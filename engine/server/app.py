"""The application: one store, a view for each protocol over it, and what holds for all of them."""

import asyncio
import re
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from engine.server.catalogue import Catalogue
from engine.server.connection import HARDENING
from engine.server.digests import Digests
from engine.server.hub import HubView
from engine.server.oci import OciView
from engine.server.oci_folder import FolderModels
from engine.server.oci_store import StoredModels
from engine.store import layout
from engine.store.receipts import Receipts
from engine.telemetry import Log

_log = Log("engine.server")
LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
AT_WORK: Final = web.AppKey("at_work", set[Any])
"""Protocols of the connections on which a request is being answered."""
ANY_HOST: Final = frozenset({"*"})
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?", re.ASCII)
_MAX_BODY_BYTES = 1 << 20


def make_app(
    root: Path, *, store: Path | None = None, allow_hosts: frozenset[str] | None = None
) -> web.Application:
    """An application that hands out the models under root. Raises UsageError when root is no folder.

    store: a store's root, whose models from registries are handed out too, as those registries would. A root that
    is itself a store stands for both.

    Requests must name one of allow_hosts in their Host header, at any port: by default the loopback names, so
    that a web page whose own name is made to lead here (DNS rebinding) reads nothing. ANY_HOST lifts that.
    """
    allowed = frozenset(name.lower() for name in (LOOPBACK_HOSTS if allow_hosts is None else allow_hosts))

    at_work: set[Any] = set()

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        at_work.add(request.protocol)
        try:
            refusal = _host_refusal(request, allowed) or _page_refusal(request)
            answer = refusal or await handler(request)
        except (ConnectionError, asyncio.CancelledError):
            _log.info("request.aborted", method=request.method, path=request.path, client=request.remote)
            raise
        finally:
            at_work.discard(request.protocol)
        _log.info(
            "request.answered",
            method=request.method,
            path=request.path,
            status=answer.status,
            range=request.headers.get("Range", ""),
            client=request.remote,
        )
        return answer

    if layout.models(root).is_dir() and (layout.registry(root).is_dir() or layout.blobs(root).is_dir()):
        root, store = layout.models(root), root
    receipts = Receipts(layout.receipts(store)) if store else None
    catalogue, digests = Catalogue(root), Digests(receipts)
    registry = OciView(FolderModels(catalogue, digests), StoredModels(store) if store else None)
    app = web.Application(middlewares=[guard], client_max_size=_MAX_BODY_BYTES)
    app[AT_WORK] = at_work
    app.router.add_route("*", "/v2", registry.handle)
    app.router.add_route("*", "/v2/{path:.*}", registry.handle)
    app.router.add_route("*", "/{path:.*}", HubView(catalogue, digests).handle)
    app.on_response_prepare.append(_harden)

    async def close(_app: web.Application) -> None:
        digests.close()

    app.on_shutdown.append(close)
    return app


async def _harden(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HARDENING)


def _host_refusal(request: web.Request, allowed: frozenset[str]) -> web.Response | None:
    """The answer to a request that does not say, or says wrongly, whom it asks (RFC 9112 §3.2)."""
    hosts = request.headers.getall("Host", [])
    match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
    if not match:
        return web.json_response({"error": "There must be one valid Host header."}, status=400)
    if "*" in allowed or match.group(1).lower() in allowed:
        return None
    return web.json_response(
        {"error": "This server does not answer to that host name. Ask for it by its address."}, status=403
    )


def _page_refusal(request: web.Request) -> web.Response | None:
    """The answer to what a page of another site makes a browser ask for (W3C Fetch Metadata): it could read nothing of
    it, but have files hashed. Whoever follows a link is let in."""
    fetch = {name: request.headers.get(f"Sec-Fetch-{name}") for name in ("Site", "Mode", "Dest")}
    is_visit = (request.method, fetch["Mode"], fetch["Dest"]) == ("GET", "navigate", "document")
    if fetch["Site"] not in ("cross-site", "same-site") or is_visit:
        return None
    return web.json_response({"error": "Web pages of other sites get nothing here."}, status=403)
