"""A repository's files as its registry lists them: names here are a stranger's, not yet checked."""

from collections.abc import Iterable

import msgspec

from engine.digest import Digest

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


def in_words(names: Iterable[str]) -> str:
    """Names for an error's text: sorted, harmless to a terminal, at most twenty."""
    clean = sorted({"".join(c if c.isprintable() else "?" for c in name)[:120] for name in names})
    more = f" and {len(clean) - _SHOWN} more" if len(clean) > _SHOWN else ""
    return ", ".join(clean[:_SHOWN]) + more if clean else "none"
