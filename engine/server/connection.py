"""One client's connection: aiohttp's, but that what is no HTTP gets an answer like all others: it repeats nothing of
what was sent, names no versions, and no browser is to sniff, run or frame it."""

from http import HTTPStatus
from typing import Any

from aiohttp import web

HARDENING = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "jarvis",
}
"""No browser is to take a model's file for a page of ours, nor to show or load it within somebody else's."""


class Connection(web.RequestHandler):
    """What a listening socket makes of each connection."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - holds what was sent
    ) -> web.StreamResponse:
        response: Any = super().handle_error(request, status, exc, HTTPStatus(status).phrase)
        response.headers.update(HARDENING)
        answer: web.StreamResponse = response
        return answer
