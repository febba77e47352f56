"""Final statuses as typed errors: what happened, to what, and what the user can do about it. Pure, but for HF_ENDPOINT.

The Hub's `X-Error-Code` decides before the status does, because the Hub answers 401 both for a bad
token and, to hide that they exist, for private repositories (its own client reads it the same way).
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from engine.errors import AccessDenied, EngineError, NetworkError, NotFound, PathError, ProtocolViolation
from engine.plain_text import printable
from engine.telemetry import redact
from engine.transport.auth import hub_origins, origin_of
from engine.transport.challenge import repository_of

_API = re.compile(
    r"^(?P<prefix>.*?)/api/models/(?P<repo>[^/]+(?:/[^/]+)?)(?:/(?:revision|tree|refs|paths-info)(?:/|$)|$)"
)
_RESOLVE = re.compile(r"^(?P<prefix>.*?)/(?P<repo>[^/]+(?:/[^/]+)?)/resolve/")
_MAX_SAID = 200
_MAY_READ = "check that the token that was given may read it"
KEPT = "What was received is kept, and the same command resumes."
_LAPSED = frozenset({401, 403, 410})
"""What web servers answer to a signed address whose time is over (nginx's secure_link: 403 or 410, as configured)."""


def refusal(
    url: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes = b"",
    *,
    has_lapsed: bool = False,
    keeps: bool = False,
    is_despite_credentials: bool = False,
) -> EngineError:
    """The error for a status that trying again will not change. The caller raises it.

    `headers` may be spelt in any case. `body` may be cut: it is only read for the server's own explanation.
    has_lapsed: the address has given a part of the file before. keeps: that, or what else has come, is kept.
    is_despite_credentials: the user's went along, so that the advice is to look at them.
    """
    known = {name.lower(): value for name, value in headers.items()}
    shown, said = redact(url), said_by_server(known, body)
    advice = _MAY_READ if is_despite_credentials else token_advice(url)
    kept = f" {KEPT}" if keeps else ""
    by_code = _by_error_code(known.get("x-error-code", ""), url, said + kept, advice=advice)
    if by_code is None and has_lapsed and status in _LAPSED and not (model_page(url) or repository_of(url)):
        return _lapsed(status, shown, said)
    given = _where_given(url) if is_despite_credentials else None
    return by_code or _by_status(status, shown, said + kept, known, advice=advice, given=given)


def model_page(url: str) -> str | None:
    """The page of the model that a Hub URL is about, at the endpoint that was asked; None if about none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    match = _API.match(parts.path) or _RESOLVE.match(parts.path)
    if not match or "@" in parts.netloc:
        return None
    return f"{parts.scheme}://{parts.netloc}{match['prefix']}/{match['repo']}"


def _by_error_code(code: str, url: str, said: str, *, advice: str) -> EngineError | None:
    shown, page = redact(url), model_page(url)
    name = page or shown
    match code:
        case "RepoNotFound":
            return NotFound(
                f"{name} does not exist, or is private. Check the spelling of the name; "
                f"if it is private, {advice}.{said}"
            )
        case "RevisionNotFound":
            return NotFound(
                f"{name} has no such revision (asked: {shown}). Check the branch, tag or commit.{said}"
            )
        case "EntryNotFound" if page:
            return NotFound(f"{shown} is not a file of that revision. Check the file's name.{said}")
        case "GatedRepo":
            return AccessDenied(
                f"{name} is gated: its owner grants access. Visit {name}, log in and accept the terms; "
                f"then {advice} and run the same command again.{said}",
                visit=page,
            )
        case "DisabledRepo":
            return AccessDenied(f"{name} has been disabled by the Hub. No token opens it.{said}")
    return None


def _lapsed(status: int, shown: str, said: str) -> EngineError:
    return AccessDenied(
        f"{shown} was open before and refuses access now ({status}): the link has expired, or the right to read it has "
        "ended. What was received is kept. If the same address opens again, the same command resumes; with a new link, "
        f"keep -o as it is and give --sha256, which tells that it is the same file.{said}"
    )


def _where_given(url: str) -> str:
    """Where the credentials may have come from that were sent to url in vain."""
    if _is_hubs(url):
        return "--token, HF_TOKEN or the Hub's token file (`jarvis doctor`)"
    return (
        "--token, which is USER:PASSWORD or the token itself" if repository_of(url) else "--token or --header"
    )


def token_advice(url: str) -> str:
    """What to do without a right to url: of credentials, those that would be sent there."""
    try:
        host, repository = urlsplit(url).hostname, repository_of(url)
    except ValueError:
        host = repository = None
    if host == "registry.ollama.ai":
        return "private models there open to Ollama's own key alone, in ~/.ollama (`ollama signin`)"
    if repository:
        return "pass --token USER:PASSWORD, or the token itself"
    if _is_hubs(url):
        return "set a token with --token or in HF_TOKEN"
    return "set a token with --token" if model_page(url) else "pass --token or --header"


def _is_hubs(url: str) -> bool:
    """Whether tokens of the environment go there."""
    try:
        return origin_of(url) in hub_origins()
    except PathError:
        return False


def _denied(status: int, shown: str, said: str, *, advice: str, given: str | None) -> AccessDenied:
    """given: where the credentials came from that went along; None where there were none."""
    match status:
        case 401 if "invalid credentials" in said.lower() or "invalid username or password" in said.lower():
            return AccessDenied(
                f"{shown} refused the token (401): it is wrong or has expired. Make a new one; without any token, "
                f"public models still work.{said}"
            )
        case 401 if given:
            return AccessDenied(
                f"{shown} refuses the credentials that were given (401): they are wrong or have expired. Check {given}."
                f"{said}"
            )
        case 401:
            return AccessDenied(f"{shown} asks for credentials (401): {advice}.{said}")
        case 403 if "disabled" in said.lower():
            return AccessDenied(f"{shown} has been disabled by its server (403). No token opens it.{said}")
        case 403 if given:
            return AccessDenied(
                f"{shown} refuses access (403), with the credentials that were given: {advice}. A signed address may "
                f"have expired.{said}"
            )
        case _:
            return AccessDenied(
                f"{shown} refuses access (403). If it needs a token, {advice}; if there is one, "
                f"its owner may lack the right to read this, and a signed address may have expired.{said}"
            )


def _by_status(
    status: int, shown: str, said: str, headers: Mapping[str, str], *, advice: str, given: str | None
) -> EngineError:
    if status in (401, 403, 404) and "/blob/" in shown:
        said += (
            " Addresses with /blob/ are pages for people: the file's own has /resolve/ or /raw/ in its place."
        )
    match status:
        case 401 | 403:
            return _denied(status, shown, said, advice=advice, given=given)
        case 404:
            return NotFound(f"{shown} does not exist (404). Check the address.{said}")
        case 410:
            return NotFound(f"{shown} is gone for good (410). Look for where it has moved to.{said}")
        case 451:
            return AccessDenied(f"{shown} is withheld for legal reasons (451).{said}")
        case 407:
            advice = (
                "The proxy asks for credentials (407), or refuses those in its address (--proxy, HTTPS_PROXY): "
                "http://USER:PASSWORD@HOST:PORT, with % for what is no letter or digit, as in %40 for @."
            )
        case 429:
            asked = _clean(headers.get("retry-after", ""))[:40]
            wait = f" It says to wait {asked} s." if asked else ""
            advice = (
                f"The server asks to slow down (429).{wait} Try again later, or with fewer connections (-c)."
            )
        case 416:
            return ProtocolViolation(
                f"{shown} has no such range (416): the file may have become shorter. "
                f"Run the same command again.{said}",
                url=shown,
                status=status,
            )
        case _ if status < 400:
            return ProtocolViolation(
                f"{shown} answered {status}, which is no answer to this request.{said}",
                url=shown,
                status=status,
            )
        case _ if status >= 500 or status == 408:
            advice = f"The server failed ({status}). Run the same command again later."
        case _:
            advice = f"The server refused the request ({status}). Check the address and the options."
    request = headers.get("x-request-id", "")
    reference = f" (request {_clean(request)[:80]})" if request else ""
    return NetworkError(f"{shown}: {advice}{said}{reference}", url=shown, status=status)


def said_by_server(headers: Mapping[str, str], body: bytes) -> str:
    """What the server says, or nothing: a stranger's text, bounded, without what plays with a terminal."""
    text = _clean(headers.get("x-error-message") or _error_field(body))
    if len(text) > _MAX_SAID:
        text = text[: _MAX_SAID - 1] + "…"
    return f' The server says: "{text}"' if text else ""


def _error_field(body: bytes) -> str:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return ""
    if not isinstance(answer, dict):
        return ""
    error = answer.get("error")
    return error if isinstance(error, str) else _registry_error(answer.get("errors"))


def _registry_error(errors: object) -> str:
    """What an OCI registry says (distribution spec, "Error Codes"): `[{"code", "message", "detail"}]`."""
    first = errors[0] if isinstance(errors, list) and errors else None
    message = first.get("message") if isinstance(first, dict) else None
    return message if isinstance(message, str) else ""


def _clean(text: str) -> str:
    return " ".join(printable(text, " ").split())
