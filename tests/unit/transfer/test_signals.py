"""engine.transfer.signals: handlers run where everything is in order, and all of them do."""

import signal
from collections.abc import Iterator

import pytest

from engine.transfer.signals import PutOffSignals


@pytest.fixture
def handled() -> Iterator[list[int]]:
    """Numbers of signals that a handler of SIGUSR1 and SIGUSR2 has seen."""
    seen: list[int] = []
    numbers = (signal.SIGUSR1, signal.SIGUSR2)
    before = [signal.signal(number, lambda got, _: seen.append(got)) for number in numbers]
    yield seen
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_a_handler_waits_until_everything_is_in_order(handled: list[int]) -> None:
    """In their order, each once."""
    with PutOffSignals() as signals:
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR2)
        assert handled == []
        signals.handle()
        assert handled == [signal.SIGUSR1, signal.SIGUSR2]
        signals.handle()
    assert len(handled) == 2


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_none_is_lost_at_the_end(handled: list[int], error: type[BaseException] | None) -> None:
    """However the pull ends; and afterwards the program has its handlers back."""
    with pytest.raises(error or AssertionError), PutOffSignals():
        signal.raise_signal(signal.SIGUSR1)
        raise error or AssertionError
    assert handled == [signal.SIGUSR1]
    signal.raise_signal(signal.SIGUSR2)
    assert handled == [signal.SIGUSR1, signal.SIGUSR2]


def test_in_a_callback_it_runs_at_once(handled: list[int]) -> None:
    """It is the program's own code."""
    with PutOffSignals() as signals:
        signals.let_through(signal.raise_signal)(signal.SIGUSR1)
        assert handled == [signal.SIGUSR1]
        signal.raise_signal(signal.SIGUSR1)
        assert handled == [signal.SIGUSR1]


def test_what_a_handler_raises_comes_out_where_it_is_handled() -> None:
    """Ctrl-C by Python's own handler; another one soon after it does not disturb the end."""
    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), PutOffSignals() as signals:
            signal.raise_signal(signal.SIGUSR1)
            try:
                signals.handle()
            finally:
                signal.raise_signal(signal.SIGUSR1)
                ended = True
        assert ended
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_whoever_insists_is_heard(handled: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Something may be stuck: what comes after two seconds is handled at once."""
    now = [100.0]
    monkeypatch.setattr("engine.transfer.signals.time.monotonic", lambda: now[0])
    with PutOffSignals():
        signal.raise_signal(signal.SIGUSR1)
        now[0] += 1.9
        signal.raise_signal(signal.SIGUSR2)
        assert handled == []
        now[0] += 0.2
        signal.raise_signal(signal.SIGUSR2)
        assert handled == [signal.SIGUSR2]
    assert handled == [signal.SIGUSR2, signal.SIGUSR1, signal.SIGUSR2]


def test_a_handler_that_a_callback_sets_stays(handled: list[int]) -> None:
    """It is the program's word, and newer than ours."""
    mine: list[int] = []
    with PutOffSignals():
        signal.signal(signal.SIGUSR1, lambda got, _: mine.append(got))
    signal.raise_signal(signal.SIGUSR1)
    assert (mine, handled) == ([signal.SIGUSR1], [])
