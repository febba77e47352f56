"""A file somewhere else: what sources make and the transfer eats."""

import re
from typing import Self

import msgspec

from engine.digest import Digest
from engine.errors import PathError
from engine.plain_text import keep_query

_RESERVED = re.compile(
    r"(?i)^(con|prn|aux|nul|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3])(\..*)?$"
)
_DECEPTIVE = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]",
)
"""Control characters, line separators, lone surrogates, and Unicode's direction controls (UAX #9)."""
_VERSIONED = re.compile(r"(?i)^(\.git|git~[0-9]+)$")
"""Where Git looks for what it is to run. It takes none of these into a tree (verify_path in its read-cache.c), so no
honest repository has one."""
_IGNORED = re.compile("[\u200c-\u200f\u206a-\u206f\ufeff]")
"""Some file systems pass over them in names (HFS+; is_hfs_dotgit in Git's utf8.c)."""
_MAX_PART_BYTES, _MAX_NAME_BYTES, _MAX_PARTS = 255, 4096, 100
PART_SUFFIX = ".jarvis-part"
"""Ends the name of an unfinished file's folder, which lies beside finished files: no file that comes may be called so,
or one file's content could be put into the place of another's."""


class RemoteName(str):
    """A relative POSIX path that stays inside whatever folder it is joined to.

    Judged by both POSIX and Windows rules on every platform, because a folder may be shared.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises PathError for anything that could leave a folder, get at a part, or deceive a terminal."""
        parts = text.split("/")
        fault = (
            "it is empty or too long"
            if not 0 < len(text.encode("utf-8", "surrogatepass")) <= _MAX_NAME_BYTES
            else "a backslash or drive letter is in it"
            if "\\" in text or any(p[1:2] == ":" for p in parts)
            else "a part of it is empty, '.' or '..'"
            if any(p in ("", ".", "..") for p in parts)
            else "a control or direction character is in it"
            if _DECEPTIVE.search(text)
            else "a part of it is too long"
            if any(len(p.encode("utf-8", "replace")) > _MAX_PART_BYTES for p in parts)
            else "it lies too deep"
            if len(parts) > _MAX_PARTS
            else "Windows reserves a part of it"
            if any(_RESERVED.match(p) or p[-1] in ". " for p in parts)
            else "Git keeps its own under that name"
            if any(_VERSIONED.match(_IGNORED.sub("", p)) for p in parts)
            else f"{PART_SUFFIX} marks what is unfinished"
            if any(p.casefold().endswith(PART_SUFFIX) for p in parts)
            else None
        )
        if fault:
            raise PathError(f"Refusing the file name {text[:120]!r}: {fault}.")
        return cls(text)


class RemoteFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file to fetch. What is None is learned from the first answer."""

    name: RemoteName
    """Relative path under which it is kept."""
    url: str
    """Where it is asked for first; signed addresses that this leads to are never stored."""
    size: int | None = None
    digest: Digest | None = None
    revision: str | None = None
    """Commit or tag that the source resolved, for the receipt."""
    model: str = ""
    """What the user calls the model it belongs to."""
    accept: str | None = None
    """The Accept header of its requests, where its server insists on one."""
    role: str = "file"
    """What it is to its model: model, projector, adapter, template, params, system, messages, license, config,
    manifest, or just a file."""

    def __post_init__(self) -> None:
        keep_query(self.url)


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What tells one version of a file from another: total size and validators (RFC 9110 §8.8)."""

    size: int | None = None
    etag: str | None = None
    last_modified: str | None = None

    @property
    def strong_etag(self) -> str | None:
        """The ETag, where it is a strong validator and so may go into If-Match."""
        return self.etag if self.etag and self.etag.startswith('"') else None

    @property
    def has_validator(self) -> bool:
        return bool(self.etag or self.last_modified)
