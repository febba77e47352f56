"""engine.console.interruptibly: a long wait is no silence."""

import threading

import pytest

from engine.console import interruptibly as module
from engine.console.interruptibly import interruptibly


def test_a_long_wait_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Again and again, until it is over."""
    monkeypatch.setattr(module, "_TELL_EVERY_S", 0.01)
    over, said = threading.Event(), list[str]()

    def say(text: str) -> None:
        said.append(text)
        if len(said) == 3:
            over.set()

    assert interruptibly(lambda: over.wait(20), say)
    assert len(said) >= 3
    assert all("Still asking" in text for text in said)


def test_a_short_one_is_not() -> None:
    """Nor is its outcome lost."""
    assert interruptibly(lambda: 7, lambda _: pytest.fail("said something")) == 7
    with pytest.raises(KeyError):
        interruptibly(lambda: {}["x"])
