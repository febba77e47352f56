"""The pipe between coordinator and worker."""

import os
import threading
from pathlib import Path

import pytest

from engine.transfer.pipe import Pipe


@pytest.fixture
def ends():  # type: ignore[no-untyped-def]  # a fixture's tuple
    ours, theirs = Pipe.pair()
    other = Pipe(theirs)
    yield ours, other
    ours.close()
    other.close()


def test_messages_keep_their_order_and_borders(ends: tuple[Pipe, Pipe]) -> None:
    """Whatever their length, also above what a socket takes at once."""
    one, other = ends
    sent = [b"a", b"", b"x" * 1_000_000, b"z"]
    sender = threading.Thread(target=lambda: [one.send(payload) for payload in sent])
    sender.start()
    assert [other.receive()[0] for _ in sent] == sent
    sender.join()


def test_descriptors_come_with_their_own_message(ends: tuple[Pipe, Pipe], tmp_path: Path) -> None:
    """A message without any gets none, and the other side owns copies."""
    one, other = ends
    path = tmp_path / "file"
    path.write_bytes(b"content")
    fd = os.open(path, os.O_RDONLY)
    one.send(b"before")
    one.send(b"with", (fd, fd))
    one.send(b"after")
    os.close(fd)
    assert other.receive() == (b"before", ())
    payload, fds = other.receive()
    assert (payload, [os.pread(copy, 7, 0) for copy in fds]) == (b"with", [b"content", b"content"])
    assert other.receive() == (b"after", ())
    for copy in fds:
        os.close(copy)


def test_the_end_is_told(ends: tuple[Pipe, Pipe]) -> None:
    """When the other side is gone, a receiver does not wait for ever."""
    one, other = ends
    one.send(b"last")
    one.close()
    assert other.receive()[0] == b"last"
    with pytest.raises(EOFError):
        other.receive()


def test_silence_is_told_and_disturbs_no_sender(ends: tuple[Pipe, Pipe]) -> None:
    """TimeoutError when nothing begins to arrive; afterwards everything goes on as before."""
    one, other = ends
    with pytest.raises(TimeoutError):
        other.receive(0.01)
    one.send(b"late")
    assert other.receive(1.0)[0] == b"late"
