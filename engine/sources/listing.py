"""A repository's files as its registry lists them: names here are a stranger's, not yet checked."""

from collections.abc import Iterable, Mapping

import msgspec

from engine.digest import Digest
from engine.errors import PathError
from engine.plain_text import printable
from engine.sources.links import next_link
from engine.telemetry import redact
from engine.transport.auth import origin_of
from engine.transport.redirects import joined

_SHOWN = 20


class Entry(msgspec.Struct, frozen=True):
    """One file of a listing."""

    path: str
    size: int
    digest: Digest | None = None


class RawManifest(msgspec.Struct, frozen=True):
    """A manifest as the registry sent it: its digest is that of these very bytes, so they are never written anew."""

    body: bytes
    media_type: str
    digest: str
    """ "sha256:<hex>", computed."""
    url: str
    index: str | None = None
    """Digest of the index that the tag or pin names, where that led to this manifest."""

    @property
    def published(self) -> str:
        """Digest of what the tag or pin names: what a registry shows for it, and what changes when it moves."""
        return self.index or self.digest


def next_page(current: str, headers: Mapping[str, str], origins: set[str]) -> str | None:
    """Where a listing goes on (RFC 8288, rel="next"); None at its end. Raises ValueError where the header cannot be
    read, the address cannot be one, or is not at one of these origins: credentials go along."""
    reference = next_link(headers.get("Link") or headers.get("link") or "")
    if reference is None:
        return None
    try:
        url = joined(current, reference)
    except PathError as exc:
        raise ValueError(f"the address of its next page is none: {redact(reference)[:200]!r}") from exc
    if origin_of(url) not in origins:
        raise ValueError(f"its next page is elsewhere: {redact(url)}")
    return url


def in_words(names: Iterable[str], *, length: int = 120) -> str:
    """Names for an error's text: sorted, harmless to a terminal, at most twenty of so many characters each."""
    clean = sorted({printable(name)[:length] for name in names})
    more = f" and {len(clean) - _SHOWN} more" if len(clean) > _SHOWN else ""
    return ", ".join(clean[:_SHOWN]) + more if clean else "none"
