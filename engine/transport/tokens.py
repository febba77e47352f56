"""Tokens that registries give out: asked for once by all lanes of a process, and anew when one has expired.

They live in the process's `Credentials.earned` and nowhere else: a worker gets those that are known when it starts,
and renews for itself.
"""

import threading
from collections.abc import Callable

from engine.errors import ProtocolViolation
from engine.plain_text import keep_secret
from engine.transport import ollama_key
from engine.transport.auth import Credentials, token_key
from engine.transport.bodies import read_bounded, status_failure
from engine.transport.challenge import (
    Challenge,
    TokenRequest,
    check_realm,
    repository_of,
    token_in,
    token_requests,
)
from engine.transport.refusals import said_by_server, token_advice
from engine.transport.retry import Failure, WireError
from engine.transport.wire import Answer

Send = Callable[[TokenRequest], Answer]
"""Sends a request to the realm as it is: with no other credentials, and following no redirect."""

_MAX_ANSWER_BYTES = 1 << 17
_ASK_OTHERWISE = frozenset({400, 401, 403, 404, 405})
"""What endpoints answer that do not know a refresh token."""
_one_asks = threading.Lock()


def earn(credentials: Credentials, url: str, challenge: Challenge, sent: str | None, send: Send) -> None:
    """See to it that credentials hold another token for url than the Authorization that was sent in vain. Of all
    lanes that were challenged one asks; the others wait and take what it got. Raises WireError."""
    realm = check_realm(url, challenge.parameters["realm"])
    key, earned = token_key(url), credentials.earned
    with _one_asks:
        if key in earned and sent != f"Bearer {earned[key]}":
            return
        earned.pop(key, None)
        given = credentials.for_url(url).get("Authorization")
        if given is None and ollama_key.is_wanted(url, realm):
            earned[key] = _ask_ollama(realm, challenge, url, send)
        else:
            earned[key] = _ask_registry(realm, challenge, url, given, send)


def _ask_registry(realm: str, challenge: Challenge, url: str, given: str | None, send: Send) -> str:
    try:
        return _ask(realm, token_requests(realm, challenge, url, given), send)
    except WireError as exc:
        if exc.failure.status in (401, 403):
            raise _denied(url, exc.failure, has_asked_as_somebody=given is not None) from exc
        raise


def _denied(url: str, failure: Failure, *, has_asked_as_somebody: bool) -> WireError:
    """Of the model, and not of the realm's address, which nobody typed."""
    advice = "check what --token or --header gave" if has_asked_as_somebody else token_advice(url)
    said = said_by_server(failure.headers, failure.body)
    message = f"{failure.url} gives no token for {repository_of(url)} ({failure.status}): {advice}.{said}"
    return WireError(Failure(kind="denied", message=message, url=failure.url, status=failure.status))


def _ask_ollama(realm: str, challenge: Challenge, url: str, send: Send) -> str:
    try:
        return _ask(realm, [ollama_key.signed_request(realm, challenge, url)], send)
    except WireError as exc:
        if exc.failure.status in (401, 403):
            raise ollama_key.denied(realm, exc.failure.status) from exc
        raise


def _ask(realm: str, requests: list[TokenRequest], send: Send) -> str:
    for last, request in enumerate(requests, 1 - len(requests)):
        keep_secret(request.headers.get("Authorization", ""))
        answer = send(request)
        if answer.status == 200:
            token = token_in(_body(answer), realm)
            keep_secret(token)
            return token
        failure = status_failure(answer)
        if last == 0 or failure.status not in _ASK_OTHERWISE:
            raise WireError(failure)
    raise AssertionError("there is always a request")


def _body(answer: Answer) -> bytes:
    try:
        return read_bounded(answer, _MAX_ANSWER_BYTES)
    except ProtocolViolation as exc:
        raise WireError(Failure(kind="protocol", message=str(exc), url=exc.url or "")) from exc
