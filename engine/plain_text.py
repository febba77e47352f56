"""Text of strangers: a server's words, a file's name, what a header says."""

JOINER = "\u2060"
"""WORD JOINER: invisible, harmless, and ours (errors.py)."""


def printable(text: str, instead: str = "?") -> str:
    """One line that cannot command a terminal, whatever a server put into it."""
    if text.isprintable():
        return text.strip()
    line = " ".join(part.strip() for part in text.splitlines())
    return "".join(c if c.isprintable() or c == JOINER else instead for c in line)
