"""One lane's way to the network: urllib3 pools pinned to addresses, and our own redirect loop.

urllib3 never follows a redirect, decodes a body or retries for us: each of these has a rule here.
Not thread-safe: every lane has its own Wire. Foreign exceptions are translated once (foreign_errors.py).
"""

import http.client
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec
import urllib3
from urllib3 import exceptions as u3
from urllib3.util import Timeout

from engine import __version__
from engine.errors import NetworkError, RedirectRefused
from engine.settings import Settings
from engine.telemetry import hide_signed_urls, redact
from engine.transport import addresses
from engine.transport.auth import Credentials, origin_of
from engine.transport.challenge import TokenRequest, bearer_challenge, repository_of
from engine.transport.foreign_errors import innermost, translated
from engine.transport.metered import Meter, NoMeter, connection_classes
from engine.transport.proxies import Proxies, proxy_headers
from engine.transport.rate_limit import exhausted_s
from engine.transport.redirects import MAX_HOPS, REDIRECTS, check_url, next_url
from engine.transport.tls import tls_context

USER_AGENT = f"jarvis/{__version__}"
_FALLBACK_CONNECT_S = 3.0
"""Connect timeout while there are other addresses to try: a dead IPv6 route must not cost ten seconds."""

_ENDED = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


class Hop(msgspec.Struct, frozen=True):
    """A redirect that was followed: who sent it, and the headers that came with it."""

    url: str
    headers: Mapping[str, str]


class Answer(msgspec.Struct, frozen=True):
    """An open response: its body is unread. Close it, or read it to its end to keep the connection."""

    response: urllib3.HTTPResponse
    url: str
    hops: list[Hop]
    must_be_public: bool = False
    """A public server has led here."""
    has_credentials: bool = False
    """The user's went along with the request."""

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self.response.headers

    def pauses(self) -> list[tuple[str, float]]:
        """Origins on the way here that will answer nothing more in this window, and seconds until the next one. Of a
        refusal nothing is said: what it asks for is its Failure's."""
        said = [(hop.url, hop.headers) for hop in self.hops]
        if self.status < 400:
            said.append((self.url, self.headers))
        return [(origin_of(url), wait) for url, headers in said if (wait := exhausted_s(headers)) is not None]

    def close(self) -> None:
        """Drop the connection with whatever it still carries."""
        self.response.close()


def _asked_anew(ask: Callable[[], Any], pool: urllib3.HTTPConnectionPool) -> Any:
    """The answer; asked for once more where a kept connection has ended in the meantime (RFC 9112 §9.3.1). For what is
    only read: a server may have acted on a body before it closed."""
    is_kept = pool.pool is not None and any(kept is not None and kept.sock for kept in pool.pool.queue)
    try:
        return ask()
    except u3.ProtocolError as exc:
        if is_kept and isinstance(innermost(exc), _ENDED):
            return ask()
        raise


class Wire:
    """Requests of one lane. `turn` spreads lanes over a name's addresses."""

    def __init__(
        self, settings: Settings, credentials: Credentials, *, meter: Meter | None = None, turn: int = 0
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        self._classes = connection_classes(meter or NoMeter())
        self._turn = turn
        self._pools: dict[tuple[str, str], urllib3.HTTPConnectionPool] = {}
        self._addresses: dict[str, list[str]] = {}
        self._proxies = Proxies(settings)
        hide_signed_urls()

    def open(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        read_timeout_s: float | None = None,
        must_be_public: bool = False,
    ) -> Answer:
        """Send a request and follow redirects. Returns with the body unread. Raises WireError, PathError, UsageError.

        must_be_public: a public server has led to url in an earlier answer, whose names may lead elsewhere by now.
        """
        hops: list[Hop] = []
        start = check_url(url)
        is_challenged = False
        while True:
            with self._translated(url):
                is_led = must_be_public or (bool(hops) and url != start and self._is_public(start))
                sent = self._credentials.for_url(url)
                response = self._send(method, url, {**headers, **sent}, read_timeout_s, must_be_public=is_led)
            if response.status == 401 and not is_challenged and origin_of(url) == origin_of(start):
                is_challenged = True
                if self._earn_token(url, response, sent.get("Authorization")):
                    continue
            if response.status not in REDIRECTS:
                return Answer(response, url, hops, is_led, self._credentials.are_given(url))
            hops.append(Hop(url, response.headers))
            with self._translated(url):
                self._drain(response)
                if len(hops) > MAX_HOPS:
                    raise RedirectRefused(f"{redact(start)} redirects more than {MAX_HOPS} times.")
                url = next_url(url, response.headers.get("location"))

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()

    def forget(self, url: str) -> None:
        """Try another address of this URL's host next time."""
        self._turn += 1
        self._addresses.pop(origin_of(url), None)

    def _translated(self, url: str) -> AbstractContextManager[None]:
        proxy = self._proxies.of(url)
        return translated(url, redact(proxy) if proxy else "")

    def _earn_token(self, url: str, response: urllib3.HTTPResponse, sent: str | None) -> bool:
        """Answer a registry's challenge, if this is one; whether the request is to be sent again. sent is the
        Authorization that was not enough. Raises WireError."""
        challenge = bearer_challenge(response.headers.get("www-authenticate", ""))
        if challenge is None or repository_of(url) is None:
            return False
        from engine.transport.tokens import earn  # needs what is defined here

        with self._translated(url):
            self._drain(response)

        def send(request: TokenRequest) -> Answer:
            with self._translated(request.url):
                elsewhere = origin_of(request.url) != origin_of(url)
                return Answer(
                    self._send(
                        request.method,
                        request.url,
                        {"Accept": "application/json", **request.headers},
                        3 * self._settings.stall_timeout_s,
                        must_be_public=elsewhere and self._is_public(url),
                        body=request.body,
                    ),
                    request.url,
                    [],
                )

        earn(self._credentials, url, challenge, sent, send)
        return True

    def _drain(self, response: urllib3.HTTPResponse) -> None:
        """Read a redirect's small body so that its connection can be used again; drop a large one."""
        if int(response.headers.get("content-length") or 1 << 20) > 1 << 16:
            response.close()
        else:
            response.read(1 << 16, decode_content=False)
            response.release_conn()

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        read_timeout_s: float | None,
        *,
        must_be_public: bool,
        body: bytes | None = None,
    ) -> urllib3.HTTPResponse:
        parts = urlsplit(url)
        target = parts._replace(scheme="", netloc="").geturl() or "/"
        sent = {
            "User-Agent": USER_AGENT,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            **headers,
            "Host": parts.netloc,
        }
        failure: Exception | None = None
        routes = self._routes(url, must_be_public=must_be_public)
        for index, address in enumerate([*routes]):
            last = index == len(routes) - 1
            timeout = self._settings.connect_timeout_s
            pool = self._pool(url, address)
            ask = partial(
                pool.urlopen,
                method,
                url if pool.proxy is not None and parts.scheme == "http" else target,
                body=body,
                headers=sent,
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
                timeout=Timeout(
                    connect=timeout if last else min(timeout, _FALLBACK_CONNECT_S), read=read_timeout_s
                ),
            )
            try:
                response: Any = _asked_anew(ask, pool) if body is None else ask()
            except (u3.NewConnectionError, u3.ConnectTimeoutError) as exc:
                failure = exc
                continue
            self._prefer(url, address)
            return cast(urllib3.HTTPResponse, response)
        raise failure or NetworkError(f"No address for {redact(url)}.")

    def _routes(self, url: str, *, must_be_public: bool) -> list[str]:
        """Addresses to try for url, the one that worked before first; "" stands for a proxy."""
        if must_be_public and not self._settings.allow_private_redirects and (private := self._private(url)):
            raise RedirectRefused(
                f"A public server redirects to {urlsplit(url).hostname!r}, which is the private address "
                f"{private}. Refused: it could be aimed at services of your own network."
            )
        return [""] if self._proxies.of(url) else self._resolved(url)

    def _resolved(self, url: str) -> list[str]:
        """Addresses of url's host in this lane's order; asked once, then remembered until forget()."""
        origin = origin_of(url)
        if origin not in self._addresses:
            parts = urlsplit(url)
            found = addresses.resolve(
                parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
            )
            self._addresses[origin] = addresses.rotated(found, self._turn)
        return self._addresses[origin]

    def _prefer(self, url: str, address: str) -> None:
        """Ask this address first from now on."""
        known = self._addresses.get(origin_of(url), [])
        if known and known[0] != address:
            known.remove(address)
            known.insert(0, address)

    def _is_public(self, url: str) -> bool:
        """Whether url is outside of private networks."""
        return self._private(url) is None

    def _private(self, url: str) -> str | None:
        """A private address that url leads to, if it does; through a proxy only the name can tell."""
        if self._proxies.of(url):
            host = urlsplit(url).hostname or ""
            return None if addresses.sounds_public(host) else host
        return next((a for a in self._resolved(url) if not addresses.is_public(a)), None)

    def _pool(self, url: str, address: str) -> urllib3.HTTPConnectionPool:
        key = (origin_of(url), address)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = self._make_pool(url, address)
            # TLS to the server, or to a proxy on the way to it.
            is_secure = isinstance(pool, urllib3.HTTPSConnectionPool)
            pool.ConnectionCls = self._classes["https" if is_secure else "http"]
        return pool

    def _make_pool(self, url: str, address: str) -> urllib3.HTTPConnectionPool:
        parts = urlsplit(url)
        host = parts.hostname or ""
        secure = parts.scheme.lower() == "https"
        if proxy := self._proxies.of(url):
            manager = urllib3.ProxyManager(
                proxy,
                ssl_context=tls_context(self._settings),
                proxy_ssl_context=tls_context(self._settings),
                proxy_headers=proxy_headers(proxy),
            )
            return manager.connection_from_host(host, parts.port, parts.scheme.lower())
        if secure:
            return urllib3.HTTPSConnectionPool(
                address,
                parts.port or 443,
                maxsize=1,
                ssl_context=tls_context(self._settings),
                server_hostname=host,
            )
        return urllib3.HTTPConnectionPool(address, parts.port or 80, maxsize=1)
