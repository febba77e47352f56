"""A target: a door of the engine, and what is known of the documents that come in by it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from hypothesis import strategies as st

Run = Callable[[bytes], None]
"""Hands bytes to the engine's own parser. What the parser declares is caught in it; all else is a finding."""


@dataclass(frozen=True)
class Target:
    name: str
    opened: Callable[[], AbstractContextManager[Run]]
    """What the door needs beside it, a folder or a server, for as long as it is fuzzed."""
    documents: st.SearchStrategy[bytes]
    """Sound ones, or nearly."""
    tokens: tuple[bytes, ...]
    """Words that mean something there."""
    modules: tuple[str, ...]
    """Below engine/, whose branches this target is to reach."""


def simple(
    name: str, documents: st.SearchStrategy[bytes], tokens: str | tuple[bytes, ...], *modules: str
) -> Callable[[Run], Target]:
    """Makes a target of a function that needs nothing beside it. tokens: words, with spaces between."""

    def make(run: Run) -> Target:
        @contextmanager
        def opened() -> Iterator[Run]:
            yield run

        return Target(name, opened, documents, _split(tokens), modules)

    return make


def housed(
    name: str, documents: st.SearchStrategy[bytes], tokens: str | tuple[bytes, ...], *modules: str
) -> Callable[[Callable[[], Iterator[Run]]], Target]:
    """The same of a generator that makes what is needed, yields the function, and clears up."""

    def make(opened: Callable[[], Iterator[Run]]) -> Target:
        return Target(name, contextmanager(opened), documents, _split(tokens), modules)

    return make


def _split(tokens: str | tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(tokens.encode().split(b" ")) if isinstance(tokens, str) else tokens
