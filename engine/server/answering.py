"""What all views have in common: a request is routed, and what is wrong becomes an answer in the view's own words."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from aiohttp import web

from engine.errors import PathError
from engine.server import patience
from engine.server.catalogue import Missing, Unsettled
from engine.server.digests import Closed, Damaged, Hashing
from engine.server.target import BadTarget, Target
from engine.telemetry import Log

_log = Log("engine.server.answering")


class Refused(Exception):
    """A request that gets an error: status, the protocol's code for it or "", words, what they are about, headers."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        detail: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.detail, self.headers = status, code, detail, dict(headers or {})


class View(ABC):
    """A protocol. What differs from one to the other is where requests go and how an error looks."""

    bad_request: ClassVar[str]
    """The protocol's code for names and targets that cannot be."""
    unknown: ClassVar[str]
    """And for what it has no word for."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Never raises but for a lost connection: what is wrong becomes an answer."""
        try:
            return await self._route(request, Target.parse(request.raw_path))
        except Refused as exc:
            return self._error(exc)
        except (BadTarget, PathError) as exc:
            return self._error(Refused(400, self.bad_request, str(exc)))
        except Missing as exc:
            return self._error(self._missing(exc))
        except Unsettled as exc:
            return self._error(Refused(503, self.unknown, f"{exc}. Try again.", headers={"Retry-After": "1"}))
        except Damaged as exc:
            _log.warning("file.damaged", path=request.path, cause=str(exc))
            return self._error(Refused(409, self.unknown, f"{exc}."))
        except Hashing as exc:
            again = {"Retry-After": str(patience.ASK_AGAIN_S)}
            return self._error(Refused(503, self.unknown, str(exc), headers=again))
        except Closed:
            return self._error(Refused(503, self.unknown, "The server is ending."))
        except web.HTTPException as exc:
            return self._error(Refused(exc.status, self.unknown, exc.reason))
        except ConnectionError:
            raise  # the client has gone: aiohttp knows what to do
        except OSError as exc:
            _log.warning("file.unreadable", path=request.path, cause=str(exc.strerror))
            return self._error(Refused(500, self.unknown, "The server cannot read this file from its disk."))

    def _missing(self, exc: Missing) -> Refused:
        """What is said of something that is not in the catalogue."""
        return Refused(404, self.unknown, str(exc))

    @abstractmethod
    async def _route(self, request: web.Request, target: Target) -> web.StreamResponse:
        """The answer. Raises Refused, and what `handle` knows."""

    @abstractmethod
    def _error(self, refused: Refused) -> web.Response:
        """An error as the protocol has it."""


def joined(parts: list[str], code: str) -> str:
    """A repository's name from its segments; an encoded slash must not make one into two. Raises Refused."""
    if any("/" in part for part in parts):
        raise Refused(400, code, "A slash is encoded where none can be.")
    return "/".join(parts)


def page_size(target: Target, field: str, most: int, code: str, *, least: int) -> int:
    """How much a page is to hold, as a query field asks. Raises Refused."""
    text = target.get(field) or str(most)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least):
        raise Refused(400, code, f"{field} must be a {'positive ' if least else ''}number.")
    return min(int(text), most)
