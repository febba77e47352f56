"""Link headers (RFC 8288): where a listing goes on. Pure."""

import re

_GAP = re.compile(r"[\s,]*", re.ASCII)
_TARGET = re.compile(r"<(?P<reference>[^<>]*)>")
_PARAMETER = re.compile(
    r"\s*;\s*(?:(?P<name>[^\s=;,\"<>]+)"
    r"(?:\s*=\s*(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<plain>[^\s;,\"<>]*)))?)?",
    re.ASCII,
)
_END = re.compile(r"\s*(?:,|\Z)", re.ASCII)
_RELATION = re.compile(r"[a-z][a-z0-9.-]*|[a-z][a-z0-9+.-]*:.*", re.ASCII | re.IGNORECASE)
"""A registered type, or a URI (RFC 8288 §3.3)."""


def next_link(header: str) -> str | None:
    """The reference of rel="next" as it stands there; None where there is no such link.

    Raises ValueError for what cannot be read, and for two that differ: in either case nobody knows where it goes on.
    """
    found = {reference for reference, relations in _links(header) if "next" in relations}
    if len(found) > 1:
        raise ValueError("its Link header names two next pages")
    return found.pop() if found else None


def _links(header: str) -> list[tuple[str, list[str]]]:
    """Each link's reference and its relation types, in lower case."""
    links: list[tuple[str, list[str]]] = []
    at = 0
    while (at := _matched(_GAP, header, at).end()) < len(header):
        target = _matched(_TARGET, header, at)
        relations, at = _relations(header, target.end())
        links.append((target["reference"], relations))
        at = _matched(_END, header, at).end()
    return links


def _relations(header: str, at: int) -> tuple[list[str], int]:
    """What the parameters from here on say of rel, the first time (§3.3), and where they end."""
    relations: list[str] | None = None
    while parameter := _PARAMETER.match(header, at):
        at = parameter.end()
        if relations is None and (parameter["name"] or "").lower() == "rel":
            relations = _types(parameter)
    return relations or [], at


def _types(parameter: re.Match[str]) -> list[str]:
    quoted = parameter["quoted"]
    text = parameter["plain"] or "" if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
    types = text.lower().split()
    if "next" in text.lower() and not all(map(_RELATION.fullmatch, types)):
        raise _unreadable()  # of other links nobody minds what they are called
    return types


def _matched(pattern: re.Pattern[str], header: str, at: int) -> re.Match[str]:
    match = pattern.match(header, at)
    if match is None:
        raise _unreadable()
    return match


def _unreadable() -> ValueError:
    return ValueError("its Link header cannot be read, so nobody knows whether it goes on")
