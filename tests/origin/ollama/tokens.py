"""Tokens of the registry: handed out at its own host, each good for one repository."""

import hashlib
from urllib.parse import parse_qs

from tests.origin.ollama.rules import MANNERS


class Tokens:
    """needed: every model asks for one, not only those that are private."""

    def __init__(self, *, needed: bool) -> None:
        self.needed = needed
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

    def revoke(self) -> None:
        """All that were issued so far open nothing any more."""
        self._generation += 1

    def _token(self, scope: str) -> str:
        return hashlib.sha256(f"{self._generation}:{scope}".lower().encode()).hexdigest()


def _scope(name: str) -> str:
    return f"repository:{name}:pull"
