"""The recording itself: what strace writes is understood whole, or not at all."""

import math

import pytest

from tests.powercut.strace import calls, options, path_of, text_of
from tests.powercut.tape import Change, Extent, Sync, Tape


def hexed(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


FD = f"3<{hexed('/disk/a')}>"
OPEN = f'10 openat(AT_FDCWD<{hexed("/")}>, "{hexed("/disk/a")}", O_RDWR|O_CREAT, 0666) = {FD}'


def test_a_call_that_another_line_interrupts_has_a_begin_and_an_end() -> None:
    """What one call did before another began is certain only where it had ended."""
    lines = [
        f"10 fsync({FD} <unfinished ...>",
        f'11 pwrite64({FD}, "\\x41", 1, 7) = 1',
        "10 <... fsync resumed>) = 0",
    ]
    written, synced = calls(lines)
    assert (synced.begin, synced.end) == (0, 20)
    assert (written.begin, written.end) == (10, 10)
    assert path_of(synced.arguments[0]) == "/disk/a"


def test_a_killed_call_never_ends() -> None:
    """It may have done its work, or not."""
    (written,) = calls([f'10 pwrite64({FD}, "\\x41", 1, 0 <unfinished ...>', "10 +++ killed by SIGKILL +++"])
    assert (written.result, written.end) == (None, math.inf)
    assert text_of(written.arguments[1]) == b"A"


def test_a_call_that_was_never_begun_is_none() -> None:
    """SIGKILL at its door: not even strace knows which it would have been."""
    assert (
        list(calls(["10 ???( <unfinished ...>", "10 <... ??? resumed>) = ?", "10 +++ killed by SIGKILL +++"]))
        == []
    )


@pytest.mark.parametrize(
    "line",
    ["", "10 what is this", f"10 fsync({FD}", "10 <... fsync resumed>) = 0", "fsync(3) = 0"],
)
def test_a_line_that_is_not_understood_is_an_error(line: str) -> None:
    """What it says would be missing."""
    with pytest.raises((ValueError, KeyError)):
        list(calls([line]))


def test_a_string_that_was_cut_short_is_an_error(tmp_path) -> None:
    """Its end would be lost data that nobody lost."""
    with pytest.raises(ValueError, match="not understood"):
        text_of('"\\x41"...')
    assert str(1 << 24) in options(tmp_path), "so long they may be"


def test_a_tape_knows_inodes_not_paths(tmp_path) -> None:
    """A rename takes the bytes along; a new file of the same name has none of them."""
    tape = Tape(tmp_path.__class__("/disk"))
    new = f'10 rename("{hexed("/disk/a")}", "{hexed("/disk/b")}") = 0'
    tape.record(
        calls([OPEN, f'10 pwrite64({FD}, "\\x41\\x42", 2, 1) = 2', f"10 fdatasync({FD}) = 0", new, OPEN])
    )
    kinds = [type(op) for op in tape.operations]
    assert kinds == [Change, Extent, Sync, Change, Change]
    assert tape.whole(tape.find("/disk/b")) == b"\0AB"
    assert tape.whole(tape.find("/disk/a")) == b""


@pytest.mark.parametrize(
    "line",
    [
        f'10 truncate("{hexed("/disk/a")}", 5) = 0',
        f"10 fallocate({FD}, FALLOC_FL_PUNCH_HOLE, 0, 5) = 0",
        f'10 writev({FD}, [{{iov_base="\\x41", iov_len=1}}], 1) = 1',
    ],
)
def test_what_no_pull_is_known_to_do_is_an_error(tmp_path, line: str) -> None:
    """The model has no place for it, so it may not pass unseen."""
    with pytest.raises(ValueError, match="not known to do this"):
        Tape(tmp_path.__class__("/disk")).record(calls([OPEN, line]))


def test_what_happens_elsewhere_does_not_matter(tmp_path) -> None:
    """Pipes, sockets, and calls that failed."""
    elsewhere = [
        f'10 write(1<{hexed("pipe:[5]")}>, "\\x41", 1) = 1',
        '10 unlink("\\x2f") = -1 EISDIR (Is a directory)',
    ]
    tape = Tape(tmp_path.__class__("/disk"))
    tape.record(calls(elsewhere))
    assert tape.operations == []
