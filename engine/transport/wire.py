"""One lane's way to the network: urllib3 pools pinned to addresses, and our own redirect loop.

urllib3 never follows a redirect, decodes a body or retries for us: each of these has a rule here.
Not thread-safe: every lane has its own Wire. Foreign exceptions are translated once, in `_translated`.
"""

import http.client
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec
import urllib3
from urllib3 import exceptions as u3
from urllib3.util import Timeout

from engine import __version__
from engine.errors import NetworkError, RedirectRefused, UsageError
from engine.settings import Settings
from engine.telemetry import hide_signed_urls, redact
from engine.transport import addresses
from engine.transport.auth import Credentials, origin_of
from engine.transport.challenge import TokenRequest, bearer_challenge, repository_of
from engine.transport.metered import Meter, NoMeter, connection_classes
from engine.transport.proxies import Proxies, proxy_headers
from engine.transport.rate_limit import exhausted_s
from engine.transport.redirects import MAX_HOPS, REDIRECTS, check_url, next_url
from engine.transport.retry import Failure, WireError
from engine.transport.tls import tls_context

USER_AGENT = f"jarvis/{__version__}"
_TUNNEL_REFUSED = "Tunnel connection failed: 407"
"""How http.client tells of a CONNECT for which a proxy wants credentials: in words alone (`HTTPConnection._tunnel`)."""
_FALLBACK_CONNECT_S = 3.0
"""Connect timeout while there are other addresses to try: a dead IPv6 route must not cost ten seconds."""


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
    secrets: tuple[str, ...] = ()
    """Values of the credentials that went along: a server may repeat them, an error must not."""

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
            with _translated(url):
                is_led = must_be_public or (bool(hops) and url != start and self._is_public(start))
                sent = self._credentials.for_url(url)
                response = self._send(method, url, {**headers, **sent}, read_timeout_s, must_be_public=is_led)
            if response.status == 401 and not is_challenged and origin_of(url) == origin_of(start):
                is_challenged = True
                if self._earn_token(url, response, sent.get("Authorization")):
                    continue
            if response.status not in REDIRECTS:
                return Answer(response, url, hops, is_led, tuple(sent.values()))
            hops.append(Hop(url, response.headers))
            with _translated(url):
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

    def _earn_token(self, url: str, response: urllib3.HTTPResponse, sent: str | None) -> bool:
        """Answer a registry's challenge, if this is one; whether the request is to be sent again. sent is the
        Authorization that was not enough. Raises WireError."""
        challenge = bearer_challenge(response.headers.get("www-authenticate", ""))
        if challenge is None or repository_of(url) is None:
            return False
        from engine.transport.tokens import earn  # needs what is defined here

        with _translated(url):
            self._drain(response)

        def send(request: TokenRequest) -> Answer:
            with _translated(request.url):
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
                    secrets=tuple(request.headers.values()),
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
            try:
                response: Any = pool.urlopen(
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
            pool.ConnectionCls = self._classes[urlsplit(url).scheme.lower()]
        return pool

    def _make_pool(self, url: str, address: str) -> urllib3.HTTPConnectionPool:
        parts = urlsplit(url)
        host = parts.hostname or ""
        secure = parts.scheme.lower() == "https"
        if proxy := self._proxies.of(url):
            manager = urllib3.ProxyManager(
                proxy, ssl_context=tls_context(self._settings), proxy_headers=proxy_headers(proxy)
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


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Foreign exceptions into WireError, by one table."""
    shown = redact(url)
    try:
        yield
    except (WireError, UsageError):
        raise
    except RedirectRefused as exc:
        raise WireError(Failure(kind="redirect", message=str(exc), url=shown)) from exc
    except NetworkError as exc:
        raise WireError(Failure(kind="connect", message=str(exc), url=shown)) from exc
    except (u3.HTTPError, OSError, ValueError) as exc:
        raise WireError(describe(exc, shown)) from exc


def describe(exc: BaseException, shown: str) -> Failure:
    """A foreign exception as a Failure; shown is the redacted URL."""
    cause = _innermost(exc)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Failure(
            kind="tls",
            url=shown,
            message=f"The certificate of {shown} is not trusted: {cause.verify_message}. "
            "If it is your own authority's, name it with --cacert.",
        )
    if isinstance(exc, u3.ProxyError) and _TUNNEL_REFUSED in str(cause):
        return Failure(
            kind="status", status=407, url=shown, message=f"{shown}: the proxy asks for credentials."
        )
    if isinstance(exc, u3.ProxyError):
        return Failure(
            kind="connect",
            url=shown,
            message=f"Cannot reach {shown} through the proxy: {_words(cause)}. Check --proxy, HTTP_PROXY, HTTPS_PROXY.",
        )
    if isinstance(exc, u3.NewConnectionError | u3.ConnectTimeoutError):
        return Failure(kind="connect", message=f"Cannot connect to {shown}: {_words(cause)}.", url=shown)
    if isinstance(exc, u3.SSLError) or isinstance(cause, ssl.SSLError):
        return Failure(kind="connect", message=f"TLS with {shown} failed: {_words(cause)}.", url=shown)
    if isinstance(cause, ConnectionError):
        return Failure(kind="reset", message=f"{shown} broke the connection: {_words(cause)}.", url=shown)
    if isinstance(cause, TimeoutError) or isinstance(exc, u3.TimeoutError):
        return Failure(
            kind="stalled", message=f"{shown} sent nothing for too long, or too slowly.", url=shown
        )
    if isinstance(cause, http.client.IncompleteRead):  # urllib3's own are of this kind too
        return Failure(kind="cut", message=f"{shown} ended the body early.", url=shown)
    return Failure(kind="protocol", message=f"{shown} does not keep to HTTP: {_words(cause)}.", url=shown)


def _innermost(exc: BaseException) -> BaseException:
    """The cause that urllib3 wraps: reasons, arguments and contexts, at most a few deep."""
    for _ in range(6):
        inner = getattr(exc, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((a for a in getattr(exc, "args", ()) if isinstance(a, BaseException)), None)
        inner = inner or exc.__cause__
        if inner is None or inner is exc:
            return exc
        exc = inner
    return exc


def _words(exc: BaseException) -> str:
    """An exception in words, without its object's address. http.client's complaints about headers quote them."""
    if isinstance(exc, ValueError):
        return "a header or a length in it makes no sense"
    text = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
    return str(text).partition(": ")[2] if "object at 0x" in str(text) else str(text)[:300]
