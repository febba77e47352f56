"""A disk that refuses: no room, no right, something in the way."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.command import ENTRY
from tests.integration.trial import LANES, MIB, SEGMENT, Trial

SIZE = 8 * MIB


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mount a small file system: `mounted(size="12m")`; only root may."""
    made: list[Path] = []

    def mount(*arguments: str) -> Path:
        folder = tmp_path / f"mount-{len(made)}"
        folder.mkdir()
        done = subprocess.run(["mount", *arguments, str(folder)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"cannot mount a file system here: {done.stderr.strip()}")
        made.append(folder)
        return folder

    yield mount
    for folder in reversed(made):
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, leave: int = 0) -> Path:
    """Take all the room but `leave` bytes; the file to remove for getting it back."""
    filler = folder / "filler"
    with filler.open("wb") as file:
        free = shutil.disk_usage(folder).free
        os.posix_fallocate(file.fileno(), 0, max(free - leave, 1))
    return filler


@pytest.mark.row("disk/full-before-start")
def test_no_room_is_found_before_the_first_byte(
    try_file: Callable[..., Trial], mounted: Callable[..., Path]
) -> None:
    """A file that cannot fit is refused with both sizes before its body is fetched."""
    trial = try_file(SIZE)
    trial.target = mounted("-t", "tmpfs", "-o", "size=12m", "tmpfs") / "model.gguf"
    filler = fill(trial.target.parent, leave=SIZE // 2)
    trial.assert_failed(trial.pull(code=7), f"{SIZE:,} bytes", "[Mm]ake room")
    assert not (trial.part / "data").exists()
    assert trial.origin.bytes_sent() <= 2 * SEGMENT
    filler.unlink()
    trial.pull()
    trial.assert_exact()


@pytest.mark.row("disk/full-midway", "attack/54-disk-full")
def test_a_disk_that_fills_up_midway_keeps_what_came(
    try_file: Callable[..., Trial], mounted: Callable[..., Path]
) -> None:
    """Somebody else takes the room: exit 7; once there is room, the same command fetches the rest."""
    trial = try_file(SIZE)
    trial.target = mounted("-t", "tmpfs", "-o", "size=12m", "tmpfs") / "model.gguf"
    trial.origin.fault(
        "stall", when=lambda r: r.range is not None and r.range[0] >= SIZE // 2, after_bytes=1, times=LANES
    )
    running = trial.spawn()
    trial.origin.wait_fired("stall", LANES)
    filler = fill(trial.target.parent)
    trial.origin.release()
    result = running.wait().check(7)
    trial.assert_failed(result, "full", "[Mm]ake room", "kept")
    filler.unlink()
    trial.finish(at_least_held=SIZE // SEGMENT // 4)


@pytest.mark.row("disk/full-for-the-rest-only")
def test_room_is_asked_for_what_is_missing_only(
    try_file: Callable[..., Trial], mounted: Callable[..., Path]
) -> None:
    """A resumed pull needs room for the rest, not for the whole file again."""
    trial = try_file(SIZE)
    trial.target = mounted("-t", "tmpfs", "-o", "size=12m", "tmpfs") / "model.gguf"
    trial.leave_half()
    missing = SIZE - trial.segments_on_disk() * SEGMENT
    fill(trial.target.parent, leave=missing + 2 * MIB)
    trial.finish()


@pytest.mark.row("disk/read-only")
def test_a_read_only_file_system_is_named(trial: Trial, mounted: Callable[..., Path]) -> None:
    """Nothing can be written at all: exit 7, and no body is fetched."""
    folder = mounted("-t", "tmpfs", "-o", "ro", "tmpfs")
    trial.target = folder / "model.gguf"
    trial.assert_failed(trial.pull(code=7), "read-only", str(folder))
    assert trial.origin.bytes_sent() == 0


def unprivileged() -> list[str]:
    """The command as somebody for whom permissions hold: root keeps its name and loses its power."""
    if os.geteuid() != 0:
        return ENTRY
    if not shutil.which("setpriv"):
        pytest.skip("root cannot give up its power here: no setpriv")
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *ENTRY]


@pytest.mark.row("disk/no-permission")
def test_a_folder_without_permission_is_named(trial: Trial) -> None:
    """No right to write there: exit 7 and the folder's name; with the right, the same command works."""
    folder = trial.target.parent
    folder.chmod(0o555)
    result = trial.command.run(*trial.arguments(), entry=unprivileged()).check(7)
    trial.assert_failed(result, "[Pp]ermission", str(folder))
    assert trial.origin.bytes_sent() == 0
    folder.chmod(0o755)
    trial.command.run(*trial.arguments(), entry=unprivileged()).check(0)
    trial.assert_exact()


@pytest.mark.row("disk/folder-in-the-way")
def test_a_folder_in_the_way_stays(trial: Trial) -> None:
    """A folder under the final name is neither replaced nor filled, and is found before a byte is fetched."""
    trial.target.mkdir()
    (trial.target / "mine").write_text("kept")
    result = trial.pull(code=7)
    assert "folder is in the way" in result.stderr
    assert (trial.target / "mine").read_text() == "kept"
    assert trial.origin.bytes_sent() == 0
    assert not trial.part.exists()


@pytest.mark.row("disk/device-in-the-way")
def test_a_pipe_or_a_device_in_the_way_stays(trial: Trial) -> None:
    """What is neither a file nor a folder is not replaced, whoever asks: `-o /dev/null` as root would take the
    device from the whole machine. It is found before a byte is fetched, also with --force."""
    os.mkfifo(trial.target)
    for options in ([], ["--force"], ["--sha256", "0" * 64]):
        assert "no file is in the way" in trial.pull(*options, code=7).stderr
        assert trial.target.is_fifo()
    trial.target.unlink()
    trial.target.symlink_to(os.devnull)
    assert "no file is in the way" in trial.pull(code=7).stderr
    assert trial.target.is_symlink()
    assert trial.origin.bytes_sent() == 0
    assert not trial.part.exists()


@pytest.mark.row("disk/file-in-the-way")
def test_a_file_where_a_folder_is_needed_stays(trial: Trial) -> None:
    """A file in the place of the target's folder is an error of the disk, and stays."""
    blocker = trial.target.parent / "blocker"
    blocker.write_text("kept")
    trial.target = blocker / "model.gguf"
    result = trial.pull(code=7)
    assert str(blocker) in result.stderr
    assert blocker.read_text() == "kept"
    assert trial.origin.bytes_sent() == 0


@pytest.mark.row("disk/file-in-the-way")
def test_a_file_in_place_of_the_part_folder_stays(trial: Trial) -> None:
    """Somebody's file named as the part's folder would be is not touched."""
    trial.part.write_text("kept")
    trial.assert_failed(trial.pull(code=7), trial.part.name)
    assert trial.part.read_text() == "kept"


@pytest.mark.parametrize("name", ["data", "journal", "lock"])
@pytest.mark.row("journal/links-in-the-part", "attack/12-link-at-the-target")
def test_a_symbolic_link_in_the_part_folder_is_not_followed(trial: Trial, tmp_path: Path, name: str) -> None:
    """In a folder that others may write to, a link must not lead our bytes over somebody's file."""
    precious = tmp_path / "precious"
    precious.write_text("kept")
    trial.leave_half()
    (trial.part / name).unlink()
    (trial.part / name).symlink_to(precious)
    result = trial.pull(code=7)
    trial.assert_failed(result, "symbolic link")
    assert precious.read_text() == "kept"


@pytest.mark.parametrize("name", ["data", "journal", "lock"])
@pytest.mark.row("journal/pipes-in-the-part")
def test_a_pipe_in_the_part_folder_holds_nobody_up(trial: Trial, name: str) -> None:
    """Opening a pipe would wait for somebody at its other end: it is an error at once, in words."""
    trial.leave_half()
    (trial.part / name).unlink()
    os.mkfifo(trial.part / name)
    trial.assert_failed(trial.pull(code=7, timeout_s=20), "in the way", name)


@pytest.mark.row("journal/links-in-the-part", "attack/12-link-at-the-target")
def test_a_symbolic_link_as_part_folder_is_not_followed(trial: Trial, tmp_path: Path) -> None:
    """It may lead to a folder of the user's, which the end of a pull must not empty."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("kept")
    trial.part.symlink_to(precious)
    trial.assert_failed(trial.pull(code=7), "symbolic link", trial.part.name)
    assert [path.name for path in precious.iterdir()] == ["thesis.txt"]
    assert trial.origin.bytes_sent() == 0


def test_missing_folders_are_made(trial: Trial) -> None:
    """The target's folders need not exist."""
    trial.target = trial.target.parent / "a/b/model.gguf"
    trial.pull()
    trial.assert_exact()


@pytest.mark.row("disk/not-sparse")
def test_a_full_allocation_is_exact(trial: Trial) -> None:
    """--allocate full reserves the room and changes nothing else."""
    trial.pull("--allocate", "full")
    trial.assert_exact()


@pytest.mark.row("disk/store-not-writable")
def test_a_store_without_room_for_receipts_is_found_first(trial: Trial, tmp_path: Path) -> None:
    """Where no receipt can be written nothing is fetched, and nothing gets the final name: not an error after the
    last byte of a file that is there."""
    home = tmp_path / "no-folder"
    home.write_text("kept")
    result = trial.command.run(*trial.arguments(), env={"JARVIS_HOME": str(home)}).check(7)
    assert "receipts" in result.stderr
    assert trial.origin.bytes_sent() == 0
    assert not trial.target.exists()


@pytest.mark.row("disk/full-log")
def test_a_log_on_a_full_disk_ends_with_one_line(trial: Trial) -> None:
    """The log is lost and that is said once; the pull is not."""
    result = trial.pull("--log-file", "/dev/full")
    assert result.stderr.count("ends here: No space left on device") == 1
    assert "Traceback" not in result.stderr
    trial.assert_exact()


@pytest.mark.parametrize("most", [6, 8, 9, 10, 12, 16])
@pytest.mark.row("disk/open-files")
def test_a_process_that_may_have_hardly_a_file_open(try_file: Callable[..., Trial], most: int) -> None:
    """Whichever step it is that gets no descriptor: it says so, and a run that may have more finds all as it was."""
    trial = try_file(SIZE)
    limited = ["prlimit", f"--nofile={most}", *ENTRY]
    result = trial.command.run(*trial.arguments("--processes", 1), entry=limited)
    if result.code:
        assert result.code == 7
        trial.assert_failed(result, "Too many open files", "ulimit -n")
    trial.pull()
    trial.assert_exact()
