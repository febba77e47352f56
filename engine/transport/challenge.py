"""A registry's challenge (RFC 9110 §11.6.1, RFC 6750 §3) and the token request that answers it
(distribution: docs/spec/auth/token.md and oauth.md). Pure.

Whom a token is asked of is the registry's to say, and it may lie (CVE-2025-51471): `check_realm` is the door.
"""

import re
from urllib.parse import urlencode, urlsplit

import msgspec

from engine.errors import PathError
from engine.telemetry import redact
from engine.transport.redirects import check_url
from engine.transport.retry import Failure, WireError

CLIENT_ID = "jarvis"
_MAX_HEADER = 8192
_REPOSITORY = re.compile(r"/v2/(?P<name>.+)/(?:manifests|blobs|tags|referrers)/", re.ASCII)
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]{1,65536}=*", re.ASCII)
_GAP = re.compile(r"[\s,]*", re.ASCII)
_ITEM = re.compile(
    r"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)"
    r"(?:\s*=\s*(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<plain>[^\s,\"=]+)(?=[\s,]|$))|(?=\s|,|$))",
    re.ASCII,
)
_TWO_PART_SUFFIX = re.compile(r"(?:ac|co|com|edu|gov|net|or|org)\.[a-z]{2}", re.ASCII)


class Challenge(msgspec.Struct, frozen=True):
    """One of the challenges in a WWW-Authenticate header; scheme and names of parameters in lower case."""

    scheme: str
    parameters: dict[str, str]


class TokenRequest(msgspec.Struct, frozen=True):
    """How a token is asked for."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None = None


class _TokenAnswer(msgspec.Struct, frozen=True):
    token: str = ""
    access_token: str = ""


def repository_of(url: str) -> str | None:
    """ "ns/model" of an address below /v2/; None for one that is no registry's."""
    match = _REPOSITORY.match(urlsplit(url).path)
    return match["name"] if match else None


def parse_challenges(header: str) -> list[Challenge]:
    """All challenges of a header, a server's mistakes and the token68 of other schemes passed over."""
    found: list[Challenge] = []
    at, header = 0, header[:_MAX_HEADER]
    while (gap := _GAP.match(header, at)) and (at := gap.end()) < len(header):
        match = _ITEM.match(header, at)
        if match is None:
            comma = header.find(",", at + 1)
            at = comma if comma > 0 else len(header)
            continue
        at = match.end()
        value = match["plain"] if match["quoted"] is None else re.sub(r"\\(.)", r"\1", match["quoted"])
        if value is None:
            found.append(Challenge(match["name"].lower(), {}))
        elif found:
            found[-1].parameters.setdefault(match["name"].lower(), value)
    return found


def bearer_challenge(header: str) -> Challenge | None:
    """The one that a token answers."""
    return next(
        (c for c in parse_challenges(header) if c.scheme == "bearer" and "realm" in c.parameters), None
    )


def check_realm(registry_url: str, realm: str) -> str:
    """The realm itself, if a token for this registry may be asked of it. Raises WireError.

    It must be at the registry's own origin, or with https on its host or site: what both names end with and somebody
    has registered (auth.docker.io for registry-1.docker.io). A site is the last two labels of a name, three after
    endings such as co.uk. Plain http only where it is the registry's own origin, that has what is sent there anyway:
    another port of the same host may be another user's.
    """
    shown = redact(registry_url)
    try:
        check_url(realm)
    except PathError as exc:
        raise _refused(f"{shown} names a realm for tokens that is refused: {exc}", shown) from exc
    asked, named = urlsplit(registry_url), urlsplit(realm)
    here, there = (asked.hostname or "").lower(), (named.hostname or "").lower()
    is_own = (asked.scheme.lower(), here, asked.port or 80) == (named.scheme.lower(), there, named.port or 80)
    is_near = here == there or _site(here) == _site(there) is not None
    if not (is_own if named.scheme.lower() == "http" else is_near):
        raise _refused(
            f"{shown} wants a token to be fetched from {redact(realm)}, which is another site, or plain http at an "
            "address that is not the registry's own. Refused: credentials could go astray. If you trust it, fetch a "
            "token yourself and pass it with --token.",
            shown,
        )
    return realm


def token_requests(
    realm: str, challenge: Challenge, url: str, authorization: str | None
) -> list[TokenRequest]:
    """Requests to try in turn. authorization is what the user gave for the registry: "Basic …" goes along; what
    is in "Bearer …", not having been taken as a token, is a refresh token (oauth.md) or a password for any user."""
    scope = challenge.parameters.get("scope") or f"repository:{repository_of(url)}:pull"
    asked = {"service": challenge.parameters.get("service", ""), "scope": scope}
    asked = {name: value for name, value in asked.items() if value}
    base = realm.partition("#")[0]
    target = base + ("&" if urlsplit(base).query else "?") + urlencode(asked)
    scheme, _, secret = (authorization or "").partition(" ")
    if scheme.lower() == "basic":
        return [TokenRequest("GET", target, {"Authorization": f"Basic {secret}"})]
    if scheme.lower() != "bearer":
        return [TokenRequest("GET", target, {})]
    form = {"grant_type": "refresh_token", "refresh_token": secret, "client_id": CLIENT_ID, **asked}
    return [
        TokenRequest(
            "POST", base, {"Content-Type": "application/x-www-form-urlencoded"}, urlencode(form).encode()
        ),
        TokenRequest("GET", target, {"Authorization": basic(f"{CLIENT_ID}:{secret}")}),
    ]


def basic(user_and_password: str) -> str:
    """The value of an Authorization header for "user:password" (RFC 7617)."""
    from base64 import b64encode

    return "Basic " + b64encode(user_and_password.encode()).decode()


def token_in(body: bytes, realm: str) -> str:
    """The token in an answer. Raises WireError."""
    shown = redact(realm)
    try:
        answer = msgspec.json.decode(body, type=_TokenAnswer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        answer = _TokenAnswer()
    token = answer.access_token or answer.token
    if not _TOKEN68.fullmatch(token):
        raise WireError(Failure(kind="protocol", message=f"{shown} answered without a token.", url=shown))
    return token


def _refused(message: str, shown: str) -> WireError:
    return WireError(Failure(kind="redirect", message=message, url=shown))


def _site(host: str) -> str | None:
    """What somebody has registered; None for addresses and for names without a dot."""
    labels = host.rstrip(".").split(".")
    if ":" in host or labels[-1].isdigit() or len(labels) < 2:
        return None
    count = 3 if _TWO_PART_SUFFIX.fullmatch(".".join(labels[-2:])) else 2
    return ".".join(labels[-count:]) if len(labels) >= count else None
