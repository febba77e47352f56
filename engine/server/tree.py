"""What the Hub's JSON says of a listing: models, folders, files. Pure.

Folders are those that hold files, as in Git. A folder's oid names it at this commit; nothing is
read for it, so it is not the one that Git would compute.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from engine.server.catalogue import Entry, Listing
from engine.server.digests import Published


class Node(msgspec.Struct, frozen=True):
    """A file (entry is set) or a folder (it is not)."""

    path: str
    entry: Entry | None = None


def nodes_in(listing: Listing, folder: str, *, recursive: bool) -> list[Node]:
    """What a folder ("" is the root) holds, in the order of paths; empty when there is no such folder."""
    prefix = f"{folder}/" if folder else ""
    nodes: dict[str, Node] = {}
    for name, entry in listing.entries.items():
        if not name.startswith(prefix):
            continue
        parts = name[len(prefix) :].split("/")
        for depth in range(1, len(parts) if recursive else min(2, len(parts))):
            path = prefix + "/".join(parts[:depth])
            nodes.setdefault(path, Node(path))
        if recursive or len(parts) == 1:
            nodes[name] = Node(name, entry)
    return sorted(nodes.values(), key=lambda node: node.path)


def nodes_at(listing: Listing, paths: Iterable[str]) -> list[Node]:
    """The files and folders of these paths, in the order asked; unknown ones are left out."""
    folders = {name[:at] for name in listing.entries for at, char in enumerate(name) if char == "/"}
    found: dict[str, Node] = {}
    for asked in paths:
        path = asked.strip("/")
        if entry := listing.entries.get(path):
            found[path] = Node(path, entry)
        elif path in folders:
            found[path] = Node(path)
    return list(found.values())


def page_of(nodes: list[Node], after: str, count: int) -> tuple[list[Node], int]:
    """The nodes that follow the path `after` ("": from the start), at most count, and how many remain."""
    start = bisect_right(nodes, after, key=lambda node: node.path) if after else 0
    page = nodes[start : start + count]
    return page, len(nodes) - start - len(page)


def described(node: Node, published: Published | None, listing: Listing, *, expand: bool) -> dict[str, Any]:
    """A tree entry; published is None for folders."""
    if node.entry is None or published is None:
        entry: dict[str, Any] = {
            "type": "directory",
            "oid": _folder_oid(node.path, listing),
            "size": 0,
            "path": node.path,
        }
    else:
        entry = {"type": "file", "oid": published.oid, "size": node.entry.size, "path": str(node.path)}
        if published.sha256:
            entry["lfs"] = {
                "oid": published.sha256,
                "size": node.entry.size,
                "pointerSize": published.pointer_bytes,
            }
    if expand:
        changed_ns = node.entry.stamp.mtime_ns if node.entry else listing.mtime_ns
        entry["lastCommit"] = {"id": listing.commit, "title": "As found on disk", "date": _time(changed_ns)}
    return entry


def sibling(entry: Entry, published: Published) -> dict[str, Any]:
    """A file as a model's info names it with ?blobs=true; here the SHA-256 is called so."""
    shown: dict[str, Any] = {"rfilename": str(entry.name), "size": entry.size, "blobId": published.oid}
    if published.sha256:
        shown["lfs"] = {
            "sha256": published.sha256,
            "size": entry.size,
            "pointerSize": published.pointer_bytes,
        }
    return shown


def summary(listing: Listing) -> dict[str, Any]:
    """A model in the list of all."""
    return {
        "_id": listing.commit[:24],
        "id": listing.repository,
        "modelId": listing.repository,
        "sha": listing.commit,
        "lastModified": _time(listing.mtime_ns),
        "createdAt": _time(listing.mtime_ns),
        "private": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
    }


def model_info(listing: Listing) -> dict[str, Any]:
    """A model by itself."""
    namespace, slash, _ = listing.repository.partition("/")
    return {
        **summary(listing),
        "author": namespace if slash else None,
        "gated": False,
        "disabled": False,
        "usedStorage": sum(entry.size for entry in listing.entries.values()),
        "siblings": [{"rfilename": str(name)} for name in listing.entries],
    }


def _folder_oid(path: str, listing: Listing) -> str:
    return hashlib.sha1(f"{listing.commit}\0{path}".encode(), usedforsecurity=False).hexdigest()


def _time(mtime_ns: int) -> str:
    """As the Hub writes it: UTC, milliseconds, Z. Beyond what a calendar holds, 1970."""
    try:
        moment = datetime.fromtimestamp(mtime_ns / 1e9, UTC)
    except (OverflowError, OSError, ValueError):
        moment = datetime.fromtimestamp(0, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
