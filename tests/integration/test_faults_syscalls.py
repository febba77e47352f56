"""A disk that fails in the middle: system calls that end with an error which no local disk can be asked for.

What is promised is the same each time: exit 7 (8 where there are no locks), one line that says what failed and what to
do, nothing under the final name, and the next run, once the disk works again, ends exact with what was held.
"""

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import ENTRY, Command, Result
from tests.faultfs import Fault, FaultFs, fired
from tests.hub import Hub
from tests.integration.trial import MIB, SEGMENT, Trial, one_error
from tests.origin import Pattern

SIZE = 4 * MIB
DATA, JOURNAL, LOCK = "jarvis-part/data$", "jarvis-part/journal$", "jarvis-part/lock$"


@pytest.fixture(scope="session")
def faultfs(tmp_path_factory: pytest.TempPathFactory) -> FaultFs:
    return FaultFs(tmp_path_factory.mktemp("faultfs"))


@pytest.fixture
def broken(faultfs: FaultFs, trial: Trial, tmp_path: Path) -> Callable[..., Result]:
    """Pull with these faults, each of which must strike: `broken(Fault("fsync", DATA, errno.EIO), code=7)`."""

    def pull(*faults: Fault, options: tuple[object, ...] = (), code: int = 7) -> Result:
        log = tmp_path / "faults.log"
        words = trial.arguments(*trial.in_threads, *options)
        result = trial.command.run(*words, env=faultfs.env(log, *faults), entry=ENTRY)
        assert [fault for fault in faults if not fired(log, fault.call)] == [], str(result)
        return result.check(code)

    return pull


def finish(trial: Trial, *options: object, again: int = 0) -> None:
    """The next run, on a disk that works: exact, and nothing that was on disk is fetched, but for `again` bytes."""
    missing = SIZE - trial.segments_on_disk() * SEGMENT
    trial.origin.wait_idle()
    before = trial.origin.bytes_sent()
    trial.pull(*trial.in_threads, *options)
    trial.assert_exact()
    assert trial.origin.bytes_sent() - before <= missing + again


# Writing


@pytest.mark.row("disk/full-midway", "disk/quota", "disk/io-error")
@pytest.mark.parametrize(
    ("number", "words", "processes"),
    [
        (errno.ENOSPC, "disk is full", 1),
        (errno.EDQUOT, "quota is used up", 0),
        (errno.EIO, "I/O error", 1),
        (errno.EIO, "I/O error", 0),
    ],
)
def test_a_write_that_fails_midway_keeps_what_came(
    trial: Trial, broken: Callable[..., Result], number: int, words: str, processes: int
) -> None:
    """In a worker or in the command itself; it is not tried again over another connection."""
    trial.options = ("-p", processes)
    result = broken(Fault("pwrite", DATA, number, nth=8))
    trial.assert_failed(result, words, "jarvis-part/data")
    assert 1 <= trial.segments_on_disk() < SIZE // SEGMENT
    finish(trial, again=2 * SEGMENT)


@pytest.mark.row("disk/slow")
@pytest.mark.parametrize("processes", [0, 1])
def test_a_slow_disk_is_not_mistaken_for_a_slow_connection(
    trial: Trial, broken: Callable[..., Result], processes: int
) -> None:
    """Some writes and the sync take twice as long as a lane may be silent."""
    trial.options = ("-p", processes, "--stall-timeout", 1)
    broken(Fault("pwrite", DATA, -2000, nth=5, times=4), Fault("fsync", DATA, -2000), code=0)
    trial.assert_exact()
    trial.origin.wait_idle()
    assert trial.origin.bytes_sent() == SIZE


@pytest.mark.row("disk/journal-full")
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_journal_that_takes_no_record_keeps_those_before(
    trial: Trial, broken: Callable[..., Result], number: int
) -> None:
    """A full disk may strike there first: what the journal has by then is used."""
    result = broken(Fault("pwrite", JOURNAL, number, nth=6))
    trial.assert_failed(result, "journal", os.strerror(number) if number == errno.EIO else "full")
    before = trial.origin.bytes_sent()
    trial.pull()
    trial.assert_exact()
    assert trial.origin.bytes_sent() - before <= SIZE - 3 * SEGMENT


# Syncing, closing, renaming


@pytest.mark.row("disk/sync-fails")
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_sync_that_fails_leaves_no_final_name(
    trial: Trial, broken: Callable[..., Result], number: int
) -> None:
    """Data that may not be on disk gets no name; the next run reads it back before it is believed."""
    trial.assert_failed(broken(Fault("fsync", DATA, number)), "model.gguf")
    assert trial.segments_on_disk() == SIZE // SEGMENT
    finish(trial)


@pytest.mark.row("disk/sync-fails")
def test_a_journal_that_cannot_be_synced_is_no_beginning(trial: Trial, broken: Callable[..., Result]) -> None:
    """It is found before a byte of the body is written."""
    trial.assert_failed(broken(Fault("fsync", JOURNAL, errno.EIO)), "journal", "I/O error")
    assert trial.segments_on_disk() == 0
    trial.pull()
    trial.assert_exact()


@pytest.mark.row("disk/sync-fails")
def test_a_folder_that_cannot_be_synced_is_told(trial: Trial, broken: Callable[..., Result]) -> None:
    """The file is whole and has its name; what is not sure is whether the name survives a power cut. So it is an error
    until a run has gone well."""
    result = broken(Fault("fsync", "/models$", errno.EIO))
    one_error(result, "I/O error", "model.gguf")
    assert trial.content.first_difference(trial.target) is None
    trial.pull()
    trial.assert_exact()


def test_a_folder_that_has_no_syncs_is_let_be(trial: Trial, broken: Callable[..., Result]) -> None:
    """Some file systems cannot sync a folder at all."""
    broken(Fault("fsync", "/models$", errno.EINVAL), code=0)
    trial.assert_exact()


@pytest.mark.row("disk/close-fails")
@pytest.mark.parametrize("processes", [0, 1])
def test_a_close_that_fails_is_a_write_that_failed(
    trial: Trial, broken: Callable[..., Result], processes: int
) -> None:
    """File systems of the network say there what a write could not, and say it once: a sync that comes later knows
    nothing of it."""
    trial.options = ("-p", processes)
    trial.assert_failed(broken(Fault("close", DATA, errno.EIO)), "finish writing", "I/O error", "model.gguf")
    finish(trial)


@pytest.mark.row("disk/close-fails")
def test_a_close_that_fails_after_the_sync_means_nothing(trial: Trial, broken: Callable[..., Result]) -> None:
    """All that is to be relied on is on disk by then."""
    broken(Fault("close", "/models/model.gguf$", errno.EIO), code=0)
    trial.assert_exact()


@pytest.mark.row("disk/rename-fails")
@pytest.mark.parametrize("number", [errno.EIO])
def test_a_rename_that_fails_costs_no_byte(trial: Trial, broken: Callable[..., Result], number: int) -> None:
    """The last step did not work: all is there for the next run, which takes it without a byte of the body."""
    trial.assert_failed(broken(Fault("rename", DATA, number)), "model.gguf")
    finish(trial)


@pytest.mark.row("disk/rename-fails")
def test_a_rename_across_file_systems_is_a_copy(trial: Trial, broken: Callable[..., Result]) -> None:
    """EXDEV, as where the folder is mounted twice: copied, synced, and renamed there."""
    broken(Fault("rename", DATA, errno.EXDEV), code=0)
    trial.assert_exact()


@pytest.mark.row("disk/receipt-full")
def test_a_receipt_that_cannot_be_written_costs_no_byte(trial: Trial, broken: Callable[..., Result]) -> None:
    """It comes before the name, so there is no file without one; all is there for the next run."""
    trial.assert_failed(broken(Fault("pwrite", "/receipts/", errno.ENOSPC)), "receipt", "full")
    finish(trial)


# Reading back


@pytest.mark.row("disk/unreadable")
def test_what_cannot_be_mapped_is_read(trial: Trial, broken: Callable[..., Result]) -> None:
    """Looking at such a mapping would be a SIGBUS, the end of the process without a word."""
    broken(Fault("mmap", DATA, errno.EIO), code=0)
    trial.assert_exact()


@pytest.mark.row("disk/unreadable")
def test_a_disk_that_gives_nothing_back_is_an_error(trial: Trial, broken: Callable[..., Result]) -> None:
    """Neither mapped nor read: the hash ends in words, and the next run reads it again."""
    result = broken(Fault("mmap", DATA, errno.EIO), Fault("pread", DATA, errno.EIO))
    trial.assert_failed(result, "read back", "I/O error", "model.gguf")
    finish(trial, again=2 * SEGMENT)


@pytest.mark.row("disk/unreadable")
def test_what_an_earlier_run_left_and_cannot_be_read_is_an_error(
    trial: Trial, broken: Callable[..., Result]
) -> None:
    """Held segments are read before they are believed; where that fails they are neither believed nor thrown away."""
    trial.leave_half()
    held = trial.segments_on_disk()
    result = broken(Fault("mmap", DATA, errno.EIO), Fault("pread", DATA, errno.EIO))
    trial.assert_failed(result, "read back", "I/O error", "model.gguf")
    assert trial.segments_on_disk() >= held
    finish(trial, again=2 * SEGMENT)


# What some file systems do not have


@pytest.mark.row("disk/not-sparse")
@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL])
def test_without_room_to_reserve_a_file_grows_as_it_comes(
    trial: Trial, broken: Callable[..., Result], number: int
) -> None:
    """--allocate full where the file system cannot: as without it, and the file is exact."""
    broken(Fault("posix_fallocate", DATA, number), options=("--allocate", "full"), code=0)
    trial.assert_exact()


def test_without_room_a_full_allocation_is_refused(trial: Trial, broken: Callable[..., Result]) -> None:
    """What --allocate full is for: no room is found out before the body."""
    result = broken(Fault("posix_fallocate", DATA, errno.ENOSPC), options=("--allocate", "full"))
    trial.assert_failed(result, "allocate", "full")
    assert trial.segments_on_disk() == 0
    trial.pull()
    trial.assert_exact()


@pytest.mark.row("disk/quota")
def test_a_file_larger_than_the_file_system_allows_is_named(
    trial: Trial, broken: Callable[..., Result]
) -> None:
    """FAT32 ends at 4 GiB: more room would not help, and nobody is told to make it."""
    error = trial.assert_failed(broken(Fault("ftruncate", DATA, errno.EFBIG)), "too large", "another folder")
    assert "[Mm]ake room" not in error
    trial.pull()
    trial.assert_exact()


@pytest.mark.row("disk/no-locks")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_locks_nothing_is_written(trial: Trial, broken: Callable[..., Result], number: int) -> None:
    """Nobody could tell whether another pull writes there: exit 8, what to do, and not a byte is fetched."""
    trial.assert_failed(broken(Fault("flock", LOCK, number), code=8), "has no locks", "local folder")
    assert trial.origin.bytes_sent() == 0
    assert not (trial.part / "data").exists()
    trial.pull()
    trial.assert_exact()


@pytest.mark.row("disk/no-hard-links")
def test_without_hard_links_a_blob_is_a_copy(
    faultfs: FaultFs,
    command: Command,
    home: Path,
    origin_factory: Callable[..., object],
    tmp_path: Path,
) -> None:
    """Nor clones: exFAT and some network file systems have neither. The model is whole, its content is in
    the store, and each is a file of its own."""
    data = Pattern(SIZE, seed=5).read()
    hub = Hub(origin_factory(), origin_factory())
    hub.add("ns/m", {"m-Q4_K_M.gguf": data})
    log = tmp_path / "faults.log"
    faults = (Fault("ioctl", ".incomplete$", errno.EOPNOTSUPP), Fault("link", "/", errno.EPERM))
    env = {"HF_ENDPOINT": hub.site.base, **faultfs.env(log, *faults)}
    command.run("pull", "hf.co/ns/m", "--segment-size", SEGMENT, "-p", 0, env=env, entry=ENTRY).check()
    view = home / "llm/ns/m/m-Q4_K_M.gguf"
    blob = home / "blobs" / f"sha256-{hashlib.sha256(data).hexdigest()}"
    assert view.read_bytes() == blob.read_bytes() == data
    assert view.stat().st_nlink == blob.stat().st_nlink == 1
    assert fired(log, "link") >= 1
