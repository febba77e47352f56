"""A Hub as huggingface.co behaves, made of two origins that remember every request and misbehave on command.

The site answers the API (revision, tree). Whoever asks for a large file is sent on to another host, by an address that
is signed anew for each request; X-Linked-Etag says its SHA-256. Small files lie in Git: they are found behind a
relative 307, and their ETag is Git's SHA-1. (huggingface.co/docs/hub/api; what its clients read.)
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from tests.origin import File, Origin
from tests.origin.wire import Request

_LARGE = (".gguf", ".safetensors", ".bin")
"""What .gitattributes of a new repository puts into large file storage, as far as it matters here."""


class Hub:
    """Two origins that run already: `site` and `content`."""

    def __init__(self, site: Origin, content: Origin, content_base: str | None = None) -> None:
        """content_base: what signed addresses begin with, where that is not the origin's own."""
        self.site = site
        self.content = content
        self._content_base = content_base or content.base

    def add(
        self,
        repository: str,
        files: Mapping[str, bytes],
        *,
        revisions: Iterable[str] = ("main",),
        bearer: str | None = None,
        denied_code: str = "RepoNotFound",
        pace: float | None = None,
    ) -> str:
        """A repository with these files at each of the revisions; its commit, which names its content.

        bearer: the token that may read it, others get denied_code; pace: bytes a second on each connection.
        """
        state = "".join(f"{name}\0{hashlib.sha256(data).hexdigest()}\n" for name, data in files.items())
        commit = hashlib.sha1(f"{repository}\n{state}".encode()).hexdigest()
        manners = {"bearer": bearer, "denied_code": denied_code}
        api = f"api/models/{repository}"
        self._answer(f"{api}/tree/{commit}", [_node(name, data) for name, data in files.items()], manners)
        for revision in (*revisions, commit):
            self._answer(f"{api}/revision/{revision}", {"id": repository, "sha": commit}, manners)
            for name, data in files.items():
                path = f"{repository}/resolve/{revision}/{name}"
                if name.endswith(_LARGE):
                    self._add_large(path, data, commit, pace, manners)
                else:
                    self._add_small(path, f"{repository}/{commit}/{name}", data, commit, manners)
        return commit

    def _answer(self, path: str, value: object, manners: dict[str, Any]) -> None:
        self.site.add(path, File(json.dumps(value).encode(), content_type="application/json", **manners))

    def _add_large(
        self, path: str, data: bytes, commit: str, pace: float | None, manners: dict[str, Any]
    ) -> None:
        digest = hashlib.sha256(data).hexdigest()
        self.content.add(digest, File(data, signed=True, pace=pace))

        def signed(_request: Request) -> str:
            return self.content.sign(digest).replace(self.content.base, self._content_base)

        linked = {"X-Repo-Commit": commit, "X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(data))}
        self.site.add(path, File(data, redirect=signed, headers=linked, **manners))

    def _add_small(self, path: str, cached: str, data: bytes, commit: str, manners: dict[str, Any]) -> None:
        headers, etag = {"X-Repo-Commit": commit}, f'"{_git_sha1(data)}"'
        cached = f"api/resolve-cache/models/{cached}"
        self.site.add(cached, File(data, headers=headers, etag=etag, **manners))
        self.site.add(
            path, File(data, redirect=f"/{cached}", redirect_status=307, headers=headers, **manners)
        )

    def asked(self) -> list[tuple[str, str]]:
        """Method and path of all requests to the site."""
        return [(record.method, record.path) for record in self.site.requests]

    def tokens(self, path_start: str = "") -> set[str | None]:
        """Values of Authorization that came with requests for paths that begin so; None for a request without."""
        return {r.headers.get("Authorization") for r in self.site.requests if r.path.startswith(path_start)}


def _node(name: str, data: bytes) -> dict[str, object]:
    node: dict[str, object] = {"type": "file", "path": name, "size": len(data), "oid": _git_sha1(data)}
    if name.endswith(_LARGE):
        lfs = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        return node | {"oid": hashlib.sha1(name.encode()).hexdigest(), "lfs": lfs}
    return node


def _git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
