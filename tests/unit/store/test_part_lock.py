"""The part's lock between real processes: one has it, children keep it, removal never lets two in."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from engine.errors import NoSpace, StoreError
from engine.store.part_lock import PartLock, holder_of

ACQUIRE = """
import sys
from pathlib import Path
from engine.store.part_lock import PartLock
lock = PartLock.try_acquire(Path(sys.argv[1]))
print("held" if lock else "busy", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Other processes that try to get the lock, say how it went, and wait for a line or the end of stdin."""
    with ExitStack() as stack:

        def start(path: Path) -> "subprocess.Popen[str]":
            command = [sys.executable, "-c", ACQUIRE, str(path)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_one_of_two_processes_gets_it(tmp_path, other):
    """Of two processes one holds the lock; the other is told at once, and whom it waits for."""
    path = tmp_path / "lock"
    first = other(path)
    assert said(first) == "held"
    second = other(path)
    assert said(second) == "busy"
    assert PartLock.try_acquire(path) is None
    assert holder_of(path).startswith(f"process {first.pid} on ")


def test_a_killed_holder_holds_nothing(tmp_path, other):
    """SIGKILL releases the lock; the file stays and does not matter."""
    first = other(tmp_path / "lock")
    assert said(first) == "held"
    first.kill()
    first.wait()
    lock = PartLock.try_acquire(tmp_path / "lock")
    assert lock is not None
    assert holder_of(tmp_path / "lock").startswith(f"process {os.getpid()} on ")
    lock.release()


def test_two_locks_of_one_process(tmp_path):
    """flock is by open file, so threads of one process exclude each other too."""
    first = PartLock.try_acquire(tmp_path / "lock")
    assert PartLock.try_acquire(tmp_path / "lock") is None
    first.release()
    first.release()
    second = PartLock.try_acquire(tmp_path / "lock")
    assert second is not None
    second.release(remove=True)
    assert list(tmp_path.iterdir()) == []


def test_child_that_inherited_the_descriptor_keeps_the_lock(tmp_path):
    """The lock lives until the last process that has the descriptor is gone: an orphaned worker is never overtaken."""
    lock = PartLock.try_acquire(tmp_path / "lock")
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=(lock.fd,)) as worker:
        lock.release()
        assert PartLock.try_acquire(tmp_path / "lock") is None
        worker.kill()
        worker.wait()
        after = PartLock.try_acquire(tmp_path / "lock")
    assert after is not None
    after.release()


def test_descriptor_is_not_inherited_by_chance(tmp_path):
    """Programs that the caller starts do not keep the lock."""
    lock = PartLock.try_acquire(tmp_path / "lock")
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False):
        lock.release()
        after = PartLock.try_acquire(tmp_path / "lock")
        assert after is not None
        after.release()


def test_lock_on_a_file_that_was_removed_is_no_lock(tmp_path, monkeypatch):
    """Who locks a file that its holder has just taken away starts again with the new one (inode compared)."""
    path = tmp_path / "lock"
    first = PartLock.try_acquire(path)
    real_open, opened = os.open, []

    def open_then_lose(*args, **kwargs):
        fd = real_open(*args, **kwargs)
        if not opened:
            first.release(remove=True)  # between the other's open and its flock
        opened.append(os.fstat(fd).st_ino)
        return fd

    monkeypatch.setattr(os, "open", open_then_lose)
    second = PartLock.try_acquire(path)
    assert len(opened) == 2
    assert os.fstat(second.fd).st_ino == path.stat().st_ino
    second.release()


def test_missing_folder(tmp_path):
    """Without its folder there is no lock; the cause tells Part.try_open to make it."""
    with pytest.raises(StoreError) as caught:
        PartLock.try_acquire(tmp_path / "gone" / "lock")
    assert isinstance(caught.value.__cause__, FileNotFoundError)


@pytest.mark.parametrize("kind", ["folder", "symlink", "fifo"])
def test_something_else_in_the_way(tmp_path, kind):
    """What is no file under the lock's name is an error in words, a link is not followed, a pipe not waited for."""
    path = tmp_path / "lock"
    if kind == "symlink":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.mkdir() if kind == "folder" else os.mkfifo(path)
    with pytest.raises(StoreError, match="in the way"):
        PartLock.try_acquire(path)
    assert holder_of(path) == "another process"
    assert not (tmp_path / "elsewhere").exists()


def test_full_disk_is_no_reason(tmp_path, monkeypatch):
    """The holder's name does not fit on a full disk; the lock is held all the same, and no descriptor is lost."""

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    try:
        lock = PartLock.try_acquire(tmp_path / "lock")
    except NoSpace:
        pytest.fail("a name for messages is not worth an error")
    assert PartLock.try_acquire(tmp_path / "lock") is None
    lock.release()


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"abc host\n", b"12x host"])
def test_holder_of_garbage(tmp_path, text):
    """A lock file that says nothing sound is held by another process, as far as anybody can tell."""
    (tmp_path / "lock").write_bytes(text)
    assert holder_of(tmp_path / "lock") == "another process"
    assert holder_of(tmp_path / "none") == "another process"
