"""Which proxy a request goes through: the settings' own, else the environment's (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY,
NO_PROXY, as urllib.request reads them, which is only loaded where there is one)."""

import os
from urllib.parse import unquote, urlsplit

from engine.errors import UsageError
from engine.plain_text import keep_secret
from engine.settings import Settings, proxy_url
from engine.transport.challenge import basic


class Proxies:
    """Read once; a name that is none is told when it is needed."""

    def __init__(self, settings: Settings) -> None:
        self._always = settings.proxy
        self._by_scheme = {} if settings.proxy else _from_environment()

    def of(self, url: str) -> str | None:
        """The URL of the proxy for url; None: straight. Raises UsageError."""
        if self._always or not self._by_scheme:
            return self._always
        from urllib.request import proxy_bypass

        parts = urlsplit(url)
        if proxy_bypass(f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or ""):
            return None
        name = next((name for name in (parts.scheme.lower(), "all") if self._by_scheme.get(name)), None)
        if name is None:
            return None
        proxy = proxy_url(self._by_scheme[name])
        if proxy is None:  # not shown: there may be a password in it
            raise UsageError(
                f"{name.upper()}_PROXY is not the address of an HTTP proxy, such as http://proxy.example:3128. "
                "Correct it, unset it, or name another one with --proxy."
            )
        return proxy


def _from_environment() -> dict[str, str]:
    if not any(name.lower().endswith("_proxy") and value for name, value in os.environ.items()):
        return {}
    from urllib.request import getproxies_environment

    return {scheme: proxy for scheme, proxy in getproxies_environment().items() if scheme != "no"}


def proxy_headers(proxy: str) -> dict[str, str]:
    """Basic credentials that a proxy's URL carries."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    headers = {"proxy-authorization": basic(user)}
    for value in (user.partition(":")[2], *headers.values()):
        keep_secret(value)
    return headers
