"""The pipe between real processes and threads: whole messages, descriptors that belong to theirs, and an end."""

import os
import subprocess
import sys
import threading

import pytest

from engine.transfer.pipe import Pipe

ECHO = """
import os, sys
from engine.transfer.pipe import Pipe
pipe = Pipe.from_fd(int(sys.argv[1]))
while True:
    try:
        payload, fds = pipe.receive()
    except EOFError:
        break
    for fd in fds:
        os.write(fd, b"from the child")
        os.close(fd)
    pipe.send(payload[::-1] + b"%d" % len(fds))
"""


@pytest.fixture
def echo():
    """A child that turns messages round and writes into the descriptors that come with them."""
    ours, theirs = Pipe.pair()
    command = [sys.executable, "-c", ECHO, str(theirs.fileno())]
    with subprocess.Popen(command, pass_fds=(theirs.fileno(),)) as child:
        theirs.close()
        yield ours
        ours.close()
        ours.close()
        assert child.wait(20) == 0, "the end of the pipe is the end of the child"


@pytest.mark.parametrize("size", [0, 1, 100, 1 << 20])
def test_messages_are_whole(echo, size):
    """Whatever their length, messages come as they were sent, one by one."""
    payload = os.urandom(size)
    echo.send(payload)
    assert echo.receive() == (payload[::-1] + b"0", ())


def test_descriptors_travel_with_their_message(echo, tmp_path):
    """A descriptor belongs to the message that it was sent with, among others before and after it."""
    paths = [tmp_path / str(n) for n in range(4)]
    fds = [os.open(path, os.O_RDWR | os.O_CREAT) for path in paths]
    echo.send(b"before")
    echo.send(b"one", fds=(fds[0], fds[1]))
    echo.send(b"between")
    echo.send(b"two", b"together", fds=(fds[2], fds[3]))
    for fd in fds:
        os.close(fd)  # copies travel
    assert [echo.receive()[0] for _ in range(5)] == [b"erofeb0", b"eno2", b"neewteb0", b"owt2", b"rehtegot0"]
    assert [path.read_bytes() for path in paths] == [b"from the child"] * 4


def test_many_threads_send(echo):
    """Frames of several threads do not mix."""
    sent = {bytes([65 + thread]) * size for thread in range(8) for size in (1, 500, 70_000)}

    def work(thread: int) -> None:
        for size in (1, 500, 70_000):
            echo.send(bytes([65 + thread]) * size)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    got = {echo.receive()[0].removesuffix(b"0") for _ in range(24)}
    for thread in threads:
        thread.join()
    assert got == sent


def test_idle():
    """Nothing within the time is a TimeoutError, and the next message is whole."""
    ours, theirs = Pipe.pair()
    other = Pipe(theirs)
    with pytest.raises(TimeoutError):
        ours.receive(0.01)
    other.send(b"later")
    assert ours.receive(0.01) == (b"later", ())
    ours.close()
    other.close()


def test_waiting_with_a_time_does_not_hurry_senders():
    """While one thread waits at most a moment, another one that sends may take as long as the other side needs: a
    parent that stands still must not cost the worker its message."""
    ours, theirs = Pipe.pair()
    other = Pipe(theirs)
    payload, failures = os.urandom(4 << 20), []
    stop = threading.Event()

    def wait() -> None:
        while not stop.is_set():
            try:
                ours.receive(0.02)
            except TimeoutError:
                continue
            except (EOFError, OSError):
                return

    def send() -> None:
        try:
            ours.send(payload)
        except OSError as exc:
            failures.append(exc)

    waiter, sender = threading.Thread(target=wait), threading.Thread(target=send)
    waiter.start()
    sender.start()
    sender.join(0.3)
    assert failures == []
    assert sender.is_alive(), "nobody reads yet, so it must still be sending"
    assert other.receive() == (payload, ())
    sender.join()
    stop.set()
    other.close()
    waiter.join()
    ours.close()
    assert failures == []


def test_end():
    """When the other side has gone: EOFError for who receives, OSError for who sends, also in the midst of a frame."""
    ours, theirs = Pipe.pair()
    theirs.sendall(b"\x05\x00\x00\x00abc")
    theirs.close()
    with pytest.raises(EOFError):
        ours.receive()
    with pytest.raises(OSError, match="pipe"):
        ours.send(b"x")
    ours.close()


def test_descriptors_that_did_not_come():
    """A message whose descriptors the kernel has dropped, since this process may have no more, is an OSError."""
    ours, theirs = Pipe.pair()
    theirs.sendall(b"\x01\x00\x00\x00\x01x")
    with pytest.raises(OSError, match="missing"):
        ours.receive()
    theirs.close()
    ours.close()
