"""What http.client, urllib3, ssl and the system raise, as Failures in words."""

import http.client
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from urllib3 import exceptions as u3

from engine.errors import NetworkError, RedirectRefused, UsageError
from engine.plain_text import conceal
from engine.telemetry import redact
from engine.transport.heads import BrokenFrames
from engine.transport.retry import Failure, Kind, WireError

_TUNNEL_REFUSED = "Tunnel connection failed: 407"
"""How http.client tells of a CONNECT for which a proxy wants credentials: in words alone (`HTTPConnection._tunnel`)."""
_NO_AUTHORITY = "If it is your own authority's, name it with --cacert."
_OTHER_NAME = "Ask for it by the name that the certificate is for, or tell whoever runs the server."
_OTHERWISE = "Check the clock of this machine, and tell whoever runs the server."
_ADVICE = dict.fromkeys((18, 19, 20, 21), _NO_AUTHORITY) | dict.fromkeys((62, 64), _OTHER_NAME)
"""By OpenSSL's codes (x509_vfy.h)."""


@contextmanager
def translated(url: str, proxy: str = "") -> Iterator[None]:
    """Foreign exceptions into WireError, by one table. proxy: the one on the way, as it may be shown."""
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
        raise WireError(describe(exc, shown, proxy)) from exc


def describe(exc: BaseException, shown: str, proxy: str = "") -> Failure:
    """A foreign exception as a Failure; shown is the redacted URL."""
    cause = innermost(exc)
    if isinstance(exc, u3.ProxyError) and _TUNNEL_REFUSED in str(cause):
        message = f"{shown}: the proxy asks for credentials."
        return Failure(kind="status", status=407, url=shown, message=message)
    kind, message = _told(exc, cause, f"{shown} (through the proxy {proxy})" if proxy else shown)
    return Failure(kind=kind, url=shown, message=conceal(message))


def _told(exc: BaseException, cause: BaseException, who: str) -> tuple[Kind, str]:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return "tls", (
            f"The certificate of {who} is not trusted: {cause.verify_message.rstrip('.')}. "
            f"{_ADVICE.get(cause.verify_code, _OTHERWISE)}"
        )
    if isinstance(exc, u3.ProxyError):
        return "connect", f"Cannot reach {who}: {_words(cause)}. Check --proxy, HTTP_PROXY, HTTPS_PROXY."
    if isinstance(exc, u3.NewConnectionError | u3.ConnectTimeoutError):
        return "connect", f"Cannot connect to {who}: {_words(cause)}."
    if isinstance(exc, u3.SSLError) or isinstance(cause, ssl.SSLError):
        return "connect", f"TLS with {who} failed: {_words(cause)}."
    if isinstance(cause, ConnectionError):
        return "reset", f"{who} broke the connection: {_words(cause)}."
    if isinstance(cause, TimeoutError) or isinstance(exc, u3.TimeoutError):
        return "stalled", f"{who} sent nothing for too long, or too slowly."
    if isinstance(cause, BrokenFrames):
        return "frames", f"{who} sent a body whose frames do not fit together: {cause}."
    if isinstance(cause, http.client.IncompleteRead):  # urllib3's own are of this kind too
        return "cut", f"{who} ended the body early."
    return "protocol", f"{who} does not keep to HTTP: {_words(cause)}."


def innermost(exc: BaseException) -> BaseException:
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
