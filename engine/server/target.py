"""A request's target, taken apart before anything is decoded. Pure.

Libraries tidy a target up: they resolve `..`, decode `%2F`, merge slashes. Here a segment is what stands
between two slashes as the client sent them, decoded once, strictly; what it may mean is decided by whoever
uses it as a file name or a revision.
"""

import re
from typing import Self
from urllib.parse import unquote_to_bytes

import msgspec

_SEGMENT = re.compile(r"(?:[^%\x00-\x20\x7f]|%[0-9A-Fa-f]{2})*")


class BadTarget(ValueError):
    """A target that is no origin-form with well-formed percent-encoding of UTF-8."""


class Target(msgspec.Struct, frozen=True):
    """Decoded segments of the path (a decoded slash stays inside its segment), and the query's fields."""

    segments: tuple[str, ...]
    query: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """From the request line's origin-form (RFC 9112 §3.2.1). Raises BadTarget."""
        path, _, query = text.partition("?")
        if not path.startswith("/") or "#" in text:
            raise BadTarget("The request target must be a path.")
        segments = tuple(_decoded(segment) for segment in path[1:].split("/"))
        return cls(segments, parse_fields(query))

    def get(self, name: str, default: str = "") -> str:
        """The last value of a query field."""
        return next((value for key, value in reversed(self.query) if key == name), default)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.query if key == name]

    def is_set(self, name: str) -> bool:
        return self.get(name).lower() in ("true", "1")


def parse_fields(text: str) -> tuple[tuple[str, str], ...]:
    """Fields of a query or of a form body (WHATWG URL §5.1), in order. Raises BadTarget."""
    pairs = (field.partition("=") for field in text.replace("+", "%20").split("&") if field)
    return tuple((_decoded(name), _decoded(value)) for name, _, value in pairs)


def _decoded(text: str) -> str:
    if not _SEGMENT.fullmatch(text):
        raise BadTarget("The request target is not percent-encoded as it must be.")
    try:
        decoded = unquote_to_bytes(text).decode("utf-8")
    except UnicodeError as exc:
        raise BadTarget("The request target is not UTF-8.") from exc
    if "\0" in decoded:
        raise BadTarget("The request target holds a null character.")
    return decoded
