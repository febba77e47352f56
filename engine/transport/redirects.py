"""Where a redirect may lead. Pure; the loop itself is in wire.py."""

import re
from urllib.parse import urljoin, urlsplit

from engine.errors import PathError, RedirectRefused
from engine.plain_url import match_plain
from engine.telemetry import redact

MAX_HOPS = 20
_MAX_CHARACTERS = 8192
"""RFC 9110 §4.1 asks of everybody to take 8,000; what is longer would fill errors and logs."""
"""As browsers and the Hub's client do."""

_VISIBLE = re.compile("[!-~]*").fullmatch

REDIRECTS = frozenset({301, 302, 303, 307, 308})


def check_url(url: str) -> str:
    """The URL itself, if it is http(s), has a host, no user part, and only visible ASCII. Raises PathError."""
    if match_plain(url):
        return url
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or 0 < parts.port < 65536
    except ValueError:
        # redact() shows nothing of it; what stands before an @ or after a ? may be a secret.
        shown = url.rpartition("@")[2].partition("?")[0]
        raise PathError(f"Not a URL: {shown[:200]!r}.") from None
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname or not port_is_valid:
        raise PathError(f"Not an http or https URL with a host: {redact(url)[:200]!r}.")
    if parts.username is not None or parts.password is not None:
        raise PathError(
            f"A user or password in the URL is refused, since it would end up in logs: {redact(url)[:200]!r}. "
            "Use --token or --header."
        )
    if not _VISIBLE(url):
        raise PathError(
            f"A URL may hold visible ASCII only (percent-encode the rest): {redact(url)[:200]!r}."
        )
    return url


def next_url(current: str, location: str | None) -> str:
    """Where a redirect from current leads (RFC 9110 §10.2.2). Raises RedirectRefused."""
    shown = redact(current)
    if not location:
        raise RedirectRefused(
            f"{shown} redirects without saying where to. Ask whoever runs the server.", url=shown
        )
    try:
        target = joined(current, location.partition("#")[0])
    except PathError as exc:
        raise RedirectRefused(f"{shown} redirects to what is refused: {exc}", url=shown) from exc
    if urlsplit(current).scheme.lower() == "https" and urlsplit(target).scheme.lower() != "https":
        raise RedirectRefused(
            f"{shown} redirects from https to plain http ({redact(target)}), where anybody could change the "
            "content. Refused; ask for the http address yourself if you trust the way there.",
            url=shown,
        )
    return target


def joined(current: str, reference: str) -> str:
    """The URL that a server's reference leads to (RFC 3986 §5.3). Raises PathError.

    urljoin drops control characters without a word, and lends its own host to an absolute URL that has none: both are
    judged before.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", reference):
        check_url(reference)
    if len(reference) > _MAX_CHARACTERS:
        raise PathError(
            f"A URL of {len(reference)} characters is more than any server takes: {reference[:80]!r}…"
        )
    if not _VISIBLE(reference):
        raise PathError(f"A URL may hold visible ASCII only: {redact(reference)[:200]!r}.")
    try:
        return check_url(urljoin(current, reference))
    except PathError:
        raise
    except ValueError:
        raise PathError("It is not a URL.") from None
