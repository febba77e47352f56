"""What a server says is left of its rate limit, and when it begins anew. Pure.

Known forms (draft-ietf-httpapi-ratelimit-headers, as the Hub has it; with the window, for servers that leave t out;
the same draft up to its seventh version):

    RateLimit: "resolvers";r=0;t=172
    RateLimit-Policy: "fixed window";"resolvers";q=3000;w=300
    RateLimit: limit=100, remaining=0, reset=50
"""

import re
from collections.abc import Iterator, Mapping

_ITEM = re.compile(r'(?:"[^"]*"|[^",])+')
_MAX_HEADER = 2048
_SPARE_S = 1.0
"""Seconds are whole ones: a window that ends in t may last t and nearly one more (the Hub's client waits so, too)."""


def exhausted_s(headers: Mapping[str, str]) -> float | None:
    """Seconds until there is something left again; None where something is, or nothing sound is said.

    headers find names in any case, or hold them in lower case. Of several limits the last one to begin anew counts.
    """
    text = headers.get("ratelimit", "")
    if not text:
        return None
    windows = {
        name: seconds
        for names, fields in _items(headers.get("ratelimit-policy", ""))
        if (seconds := _whole(fields.get("w"))) is not None
        for name in names
    }
    found = []
    for names, fields in [*_items(text), _of_old(text)]:
        if _whole(fields.get("r")) == 0:
            waits = [_whole(fields.get("t")), *(windows.get(name) for name in names)]
            found.append(next((seconds for seconds in waits if seconds is not None), None))
    known = [seconds for seconds in found if seconds is not None]
    return max(known) + _SPARE_S if known else None


def _items(text: str) -> Iterator[tuple[list[str], dict[str, str]]]:
    """The strings and the parameters of each item of a list (RFC 9651 §3.1)."""
    for item in _ITEM.findall(text[:_MAX_HEADER]):
        parts = [part.strip() for part in item.split(";")]
        names = [part.strip('"') for part in parts if part.startswith('"')]
        yield (
            names,
            {name.strip(): value.strip() for name, mark, value in (p.partition("=") for p in parts) if mark},
        )


def _of_old(text: str) -> tuple[list[str], dict[str, str]]:
    said = {name: value for _, fields in _items(text) for name, value in fields.items()}
    return [], {"r": said.get("remaining", ""), "t": said.get("reset", "")}


def _whole(text: str | None) -> float | None:
    return float(text[:12]) if text and text.isascii() and text.isdigit() else None
