"""Requests for a token that Ollama's own key has signed: what private models of its registry open to.

    Authorization: <public key>:<signature>        both in base64; the key as in a .pub file (RFC 8709)

The signature (ed25519) is of "GET,<address>,<base64 of the hexadecimal SHA-256 of no body>"; the address also names
the time and a nonce, so that no signature serves twice (ollama/ollama: auth/auth.go, server/auth.go). The key is asked
for only where the registry has refused to answer without, and is loaded for each request: there are few.
"""

import secrets
import time
from base64 import b64encode, urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from engine.model_path import OLLAMA_REGISTRY
from engine.regular_file import read_small
from engine.telemetry import redact
from engine.transport.challenge import Challenge, TokenRequest, repository_of
from engine.transport.retry import Failure, WireError

_NO_BODY = b64encode(sha256(b"").hexdigest().encode()).decode()
_MAX_KEY_FILE = 1 << 16
_EXTRA = "pip install 'jarviscore-engine[ollama]'"


def is_wanted(url: str, realm: str) -> bool:
    """Whether the registry at url is Ollama's and so is the realm: nobody else is shown a signature."""
    return all(
        (parts := urlsplit(address)).scheme == "https" and parts.hostname == OLLAMA_REGISTRY
        for address in (url, realm)
    )


def signed_request(realm: str, challenge: Challenge, url: str) -> TokenRequest:
    """The request for a token, signed where there is a key. Raises WireError where the key cannot be used."""
    scopes = (challenge.parameters.get("scope") or f"repository:{repository_of(url)}:pull").split()
    asked = {
        "service": challenge.parameters.get("service", ""),
        "scope": scopes,
        "ts": str(int(time.time())),
        "nonce": urlsafe_b64encode(secrets.token_bytes(16)).decode(),
    }
    base = realm.partition("#")[0]
    target = f"{base}{'&' if urlsplit(base).query else '?'}{urlencode(asked, doseq=True)}"
    key = key_file()
    if not key.exists():
        return TokenRequest("GET", target, {})
    return TokenRequest("GET", target, {"Authorization": _signature(key, target)})


def denied(realm: str, status: int | None) -> WireError:
    """The realm gives no token: what may be done about it."""
    place = key_file()
    advice = (
        f"the key {place} is not known there, or may not read this model: log in with `ollama signin`, "
        "or add the .pub file beside it to your keys on ollama.com"
        if place.exists()
        else f"private models open to Ollama's own key, and there is none at {place}: `ollama signin` makes it"
    )
    return _refused(
        f"{OLLAMA_REGISTRY} gives no token for this model ({status}). If it exists, {advice}.", realm
    )


def key_file() -> Path:
    """Where Ollama keeps it, for the user that runs it."""
    return Path("~/.ollama/id_ed25519").expanduser()


def _signature(place: Path, url: str) -> str:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            PublicFormat,
            load_ssh_private_key,
        )
    except ImportError as exc:
        raise _refused(
            f"{OLLAMA_REGISTRY} wants the request for a token to be signed with {place}, which needs the extra: "
            f"{_EXTRA}",
            url,
        ) from exc
    try:
        key = load_ssh_private_key(read_small(place, _MAX_KEY_FILE), password=None)
    except (OSError, ValueError, TypeError) as exc:  # TypeError: it wants a password
        raise _refused(f"The key {place} cannot be used: {exc}. `ollama signin` makes another.", url) from exc
    if not isinstance(key, Ed25519PrivateKey):
        raise _refused(f"The key {place} is none of ed25519, which is what Ollama's registry takes.", url)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1].decode()
    return f"{public}:{b64encode(key.sign(f'GET,{url},{_NO_BODY}'.encode())).decode()}"


def _refused(message: str, url: str) -> WireError:
    return WireError(Failure(kind="denied", message=message, url=redact(url)))
