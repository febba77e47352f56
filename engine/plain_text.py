"""Text of strangers, a server's words or a file's name, made fit for errors, logs and terminals."""

import re

JOINER = "\u2060"
"""WORD JOINER: invisible, harmless, and ours (errors.py)."""

SECRET_NAMES = re.compile(
    "auth|token|key|secret|cookie|pass|credential|session|signature|^sig$", re.IGNORECASE
)
"""Of headers and in queries: their values are hidden wherever they come back; an Accept is no secret."""
_FEWEST_CHARACTERS = 6
"""What is shorter may be a name, and is no secret for long."""
_MOST_SECRETS = 1000
_secrets: dict[str, None] = {}


def printable(text: str, instead: str = "?") -> str:
    """One line that cannot command a terminal and shows no secret, whatever a server put into it."""
    text = conceal(text)
    if text.isprintable():
        return text.strip()
    line = " ".join(part.strip() for part in text.splitlines())
    return "".join(c if c.isprintable() or c == JOINER else instead for c in line)


def keep_secret(value: str) -> None:
    """From now on nobody in this process shows the words of a credential: servers repeat them, in what they say, in
    addresses, tags and names."""
    words = [word.lower() for word in re.split("[ =;,]+", value) if len(word) >= _FEWEST_CHARACTERS]
    for word in words:  # each step is one of the interpreter's, so that threads and forks need no lock
        _secrets[word] = _secrets.pop(word, None)
    for word in list(_secrets)[:-_MOST_SECRETS]:
        _secrets.pop(word, None)


def keep_query(url: str) -> None:
    """The same for what an address holds under names of secrets, signatures among them."""
    if "?" in url:
        from urllib.parse import parse_qsl

        for name, value in parse_qsl(url.partition("?")[2]):
            if SECRET_NAMES.search(name):
                keep_secret(value)


def conceal(text: str) -> str:
    """The text with *** for every word that `keep_secret` was told, in capitals or not."""
    if not _secrets:
        return text
    lowered = text.lower()
    for word in list(_secrets):
        if word in lowered:
            text = re.sub(re.escape(word), "***", text, flags=re.IGNORECASE)
    return text
