"""Credentials: which headers belong to which origin, and to nobody else.

Tokens found in the environment or in the Hub's own file go to the Hub's origins only; a token or
header that the user typed goes to the origin of what they typed. A redirect to another origin
(scheme, host or port) carries none of them (RFC 9110 §15.4, and CVE-2018-18074's lesson).
"""

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import msgspec

from engine.errors import PathError, UsageError
from engine.plain_text import SECRET_NAMES, keep_secret
from engine.plain_url import match_plain
from engine.regular_file import read_small
from engine.telemetry import Log
from engine.transport.challenge import basic, repository_of

_log = Log(__name__)
HUB = "https://huggingface.co"
_HUB_ORIGINS = (HUB, "https://hf.co", "https://hub-ci.huggingface.co")
TOKEN_VARIABLES = ("HF_TOKEN", "HUGGINGFACE_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""Where a token for the Hub is looked for, in this order, before its file."""
_MAX_TOKEN_FILE = 1 << 16


@lru_cache(maxsize=4096)
def origin_of(url: str) -> str:
    """Scheme, host and port of a URL, the port always written: "https://hf.co:443". Raises PathError."""
    if plain := match_plain(url):
        scheme, host, number = plain.groups()
        return f"{scheme}://{host}:{number or (443 if scheme == 'https' else 80)}"
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443}.get(parts.scheme.lower(), 80)
    except ValueError:
        raise PathError(f"Not a URL: {url.rpartition('@')[2].partition('?')[0][:200]!r}.") from None
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme.lower()}://{host}:{port}"


class Credentials(msgspec.Struct, frozen=True):
    """Secret headers by origin. Never logged, never stored; sent to workers through their pipe."""

    by_origin: dict[str, dict[str, str]] = {}
    earned: dict[str, str] = {}
    """Tokens that registries have given for a repository, by origin and repository. The one thing here that changes:
    all lanes of a process share it, and whoever renews a token renews it for all (transport/wire.py)."""

    def __post_init__(self) -> None:
        for headers in self.by_origin.values():
            for name, value in headers.items():
                if SECRET_NAMES.search(name):
                    keep_secret(value)
        for token in self.earned.values():
            keep_secret(token)

    def for_url(self, url: str) -> dict[str, str]:
        """The headers that a request to this URL may carry."""
        headers = dict(self.by_origin.get(origin_of(url), {}))
        if self.earned and (token := self.earned.get(token_key(url))):
            headers["Authorization"] = f"Bearer {token}"
        return headers

    def are_given(self, url: str) -> bool:
        """Whether the user gave something secret for requests to this URL; a token that was earned is not theirs."""
        return any(SECRET_NAMES.search(name) for name in self.by_origin.get(origin_of(url), {}))

    def with_headers(self, url: str, headers: Mapping[str, str]) -> Self:
        """A copy in which the origin of url also gets these headers. Raises UsageError for what no header can hold."""
        for name, value in headers.items():
            _check_header(name, value)
        origin = origin_of(url)
        merged = {**self.by_origin, origin: {**self.by_origin.get(origin, {}), **headers}}
        return type(self)(merged, dict(self.earned))

    def with_token(self, url: str, token: str) -> Self:
        """A copy in which the origin of url gets this bearer token, or "user:password" as Basic: a colon is in no
        token (RFC 6750 §2.1). Raises UsageError for what cannot be one."""
        return self.with_headers(url, _basic(token) if ":" in token else _bearer(token))

    def __repr__(self) -> str:
        return f"Credentials({sorted(self.by_origin)})"


def token_key(url: str) -> str:
    """Under which an earned token is kept; empty for addresses that are no registry's."""
    repository = repository_of(url)
    return f"{origin_of(url)}/{repository}" if repository else ""


def _basic(token: str) -> dict[str, str]:
    _bearer(token)
    keep_secret(token.partition(":")[2])
    return {"Authorization": basic(token)}


def _bearer(token: str) -> dict[str, str]:
    # Judged here and not shown: http.client's own error for a bad header prints its value.
    if not token or any(not 0x21 <= ord(c) <= 0x7E for c in token):
        raise UsageError(
            "The token cannot be one: it is empty, or holds a space, a line break or another character that no token "
            "has. Copy it again (--token, HF_TOKEN, or the Hub's token file)."
        )
    return {"Authorization": f"Bearer {token}"}


def _check_header(name: str, value: str) -> None:
    """RFC 9110 §5.1 and §5.5."""
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        raise UsageError(f"Not the name of a header: {name[:80]!r}. Write --header 'Name: value'.")
    if any((ord(c) < 0x20 and c != "\t") or ord(c) == 0x7F or ord(c) > 0xFF for c in value):
        raise UsageError(f"The value of the header {name!r} holds a character that no header can hold.")


def hub_endpoint(environ: Mapping[str, str] = os.environ) -> str:
    """`HF_ENDPOINT`, else the Hub; without a trailing slash."""
    return (environ.get("HF_ENDPOINT") or HUB).rstrip("/")


def hub_origins(environ: Mapping[str, str] = os.environ) -> frozenset[str]:
    """Origins that a Hub token may be sent to."""
    return frozenset(origin_of(url) for url in (*_HUB_ORIGINS, hub_endpoint(environ)))


def hub_token(environ: Mapping[str, str] = os.environ) -> str | None:
    """The user's Hub token: environment, else the file that the Hub's own tools write; None without one."""
    for name in TOKEN_VARIABLES:
        if token := environ.get(name, "").strip():
            return token
    found, fault = _in_token_file(environ)
    if fault is not None:
        _log.warning("token.unreadable", why=fault)
    return found


def token_fault(environ: Mapping[str, str] = os.environ) -> str | None:
    """Why the file that would have the Hub's token cannot be used, in a sentence; None where it is not there, holds
    one, or is not asked."""
    is_set = any(environ.get(name, "").strip() for name in TOKEN_VARIABLES)
    return None if is_set else _in_token_file(environ)[1]


def _in_token_file(environ: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The token in the file, and what is wrong with the file."""
    cache = environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = environ.get("HF_HOME") or f"{cache}/huggingface"
    try:
        path = Path(environ.get("HF_TOKEN_PATH") or f"{home}/token").expanduser()
        if str(path) == os.devnull:
            return None, None
        return read_small(path, _MAX_TOKEN_FILE).decode().strip() or None, None
    except (
        FileNotFoundError,
        NotADirectoryError,
        RuntimeError,
    ):  # the last: there is no home folder to expand
        return None, None
    except UnicodeDecodeError:
        why = "it is no text in UTF-8"
    except FileExistsError:
        why = "it is a folder, a pipe or a device"
    except OSError as exc:
        why = exc.strerror or type(exc).__name__
    return None, f"The Hub's token file {str(path)!r} cannot be read: {why}. No token is sent to the Hub."


def hub_credentials(token: str | None, environ: Mapping[str, str] = os.environ) -> Credentials:
    """The token, else the one found in the environment, for the Hub's origins. Raises UsageError for what cannot
    be a token."""
    token = token or hub_token(environ)
    if not token:
        return Credentials()
    return Credentials({origin: _bearer(token) for origin in hub_origins(environ)})
