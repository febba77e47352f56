"""Tokens of the registry: handed out at its own host, each good for one repository."""

import base64
import binascii
import hashlib
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tests.origin.ollama.rules import MANNERS

_EMPTY_BODY = base64.b64encode(hashlib.sha256(b"").hexdigest().encode()).decode()
_KIND = b"ssh-ed25519"


class Tokens:
    """needed: every model asks for one, not only those that are private. Private ones open to known keys alone."""

    def __init__(self, *, needed: bool) -> None:
        self.needed = needed
        self.keys: set[str] = set()
        """Public keys of those who may read what is private: base64 of the wire form (RFC 8709), as in a .pub file."""
        self._generation = 0

    def challenge(self, base: str, name: str) -> str:
        """The value of WWW-Authenticate; without a scope where no name is asked for (at /v2/)."""
        scope = f',scope="{_scope(name)}"' if name else ""
        return f'Bearer realm="{base}/token",service="{MANNERS["service"]}"{scope}'

    def issue(self, query: str) -> str:
        """For the scopes that a request to the realm names; RFC 6749's form, as JSON's token."""
        return self._token(" ".join(parse_qs(query)["scope"]))

    def opens(self, authorization: str, name: str) -> bool:
        return authorization == f"Bearer {self._token(_scope(name))}"

    def is_signed(self, authorization: str | None, url: str) -> bool:
        """Whether a known key has signed the request for a token: KEY:SIGNATURE over "GET,URL,<hash of no body>"."""
        key, _, signature = (authorization or "").partition(":")
        if key not in self.keys:
            return False
        try:
            public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key)[-32:])
            public.verify(base64.b64decode(signature), f"GET,{url},{_EMPTY_BODY}".encode())
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True

    def revoke(self) -> None:
        """All that were issued so far open nothing any more."""
        self._generation += 1

    def _token(self, scope: str) -> str:
        return hashlib.sha256(f"{self._generation}:{scope}".lower().encode()).hexdigest()


def wire_form(public: Ed25519PublicKey) -> str:
    """A public key as it stands in a .pub file."""
    fields = (_KIND, public.public_bytes_raw())
    return base64.b64encode(b"".join(len(field).to_bytes(4, "big") + field for field in fields)).decode()


def sign(key: Ed25519PrivateKey, url: str) -> str:
    """The Authorization of a request for a token, as Ollama's client makes it."""
    signature = key.sign(f"GET,{url},{_EMPTY_BODY}".encode())
    return f"{wire_form(key.public_key())}:{base64.b64encode(signature).decode()}"


def _scope(name: str) -> str:
    return f"repository:{name}:pull"
