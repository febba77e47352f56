"""Where a redirect may lead. Pure; the loop itself is in client.py."""

from urllib.parse import urljoin, urlsplit

from engine.errors import PathError, RedirectRefused
from engine.telemetry import redact

MAX_HOPS = 20
"""As browsers and the Hub's client do."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})


def check_url(url: str) -> str:
    """The URL itself, if it is http(s), has a host, no user part, and only visible ASCII. Raises PathError."""
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or 0 < parts.port < 65536
    except ValueError:
        raise PathError(f"Not a URL: {url[:200]!r}.") from None
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname or not port_is_valid:
        raise PathError(f"Not an http or https URL with a host: {redact(url)[:200]!r}.")
    if parts.username is not None or parts.password is not None:
        raise PathError(
            f"A user or password in the URL is refused, since it would end up in logs: {redact(url)[:200]!r}. "
            "Use --token or --header."
        )
    if any(not 0x21 <= ord(c) <= 0x7E for c in url):
        raise PathError(
            f"A URL may hold visible ASCII only (percent-encode the rest): {redact(url)[:200]!r}."
        )
    return url


def next_url(current: str, location: str | None) -> str:
    """Where a redirect from current leads (RFC 9110 §10.2.2). Raises RedirectRefused."""
    shown = redact(current)
    if not location:
        raise RedirectRefused(f"{shown} redirects without saying where to.", url=shown)
    try:
        target = check_url(urljoin(current, location).partition("#")[0])
    except PathError as exc:
        raise RedirectRefused(f"{shown} redirects to what is refused: {exc}", url=shown) from exc
    if urlsplit(current).scheme.lower() == "https" and urlsplit(target).scheme.lower() != "https":
        raise RedirectRefused(
            f"{shown} redirects from https to plain http ({redact(target)}), where anybody could change the "
            "content. Refused; ask for the http address yourself if you trust the way there.",
            url=shown,
        )
    return target
