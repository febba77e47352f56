"""The line after a pull."""

from pathlib import Path

import pytest

from engine.console.summary import summary, where_time_went
from engine.digest import Digest
from engine.model_downloader import loose_job
from engine.remote_file import RemoteFile, RemoteName
from engine.transfer.job import Job
from tests.unit.console.made import file_done


def job(name: str = "m.gguf") -> Job:
    remote = RemoteFile(
        name=RemoteName.parse(name), url=f"https://hub.example/{name}", digest=Digest("sha256", "ab" * 32)
    )
    return loose_job(remote, Path(f"/models/{name}"))


def test_one_file() -> None:
    """Size, time, rate, what it was verified against, and where the time went."""
    file = file_done(link_s=1.83, wait_s=0.27, disk_s=0.6, hash_s=0.3)
    assert summary([file], [job()], seconds=3.2, cpu_s=1.5, typed=False) == (
        "2.1 GB in 3.2 s (656 MB/s) – verified against the digest that hub.example publishes. "
        "Where the time went: link 61 %, waiting for the server 9 %, disk 20 %, hash 10 %. CPU: 1.5 s."
    )


@pytest.mark.parametrize(
    ("verified", "sha256", "typed", "words"),
    [
        (True, "ab", True, "verified against the digest that you gave"),
        ("computed", "ab", False, "SHA-256 computed, nothing to compare it with: ab"),
        ("transport", None, False, "not hashed"),
    ],
)
def test_verification_is_told_as_it_was(
    verified: object, sha256: str | None, typed: bool, words: str
) -> None:
    """A file that nothing vouches for is not called verified."""
    line = summary(
        [file_done(verified=verified, sha256=sha256)], [job()], seconds=0.1, cpu_s=None, typed=typed
    )
    assert line.endswith(f"– {words}.")
    assert ("verified" in line) == (verified is True)


def test_a_digest_that_only_the_journal_knew_is_nobodys_publication() -> None:
    """It was typed for an earlier run; a plain server tells none."""
    remote = RemoteFile(name=RemoteName.parse("m.gguf"), url="https://files.example/m.gguf")
    plain = loose_job(remote, Path("/models/m.gguf"))
    line = summary([file_done()], [plain], seconds=0.1, cpu_s=None, typed=False)
    assert line.endswith("verified against the digest that an earlier run was given.")


def test_held_bytes_do_not_make_the_link_faster() -> None:
    """The rate counts what was fetched in this run; what was here already is said beside it."""
    line = summary(
        [file_done(fetched_bytes=100_000_000, held_bytes=2_000_000_000)],
        [job()],
        seconds=1.0,
        cpu_s=None,
        typed=False,
    )
    assert "100.0 MB in 1.0 s (100 MB/s), 2.0 GB more were here from an earlier run" in line


def test_several_files_of_different_worth() -> None:
    """Each kind of check is counted."""
    files = [
        file_done("a"),
        file_done("b"),
        file_done("c", verified="computed"),
        file_done("d", already_there=True),
    ]
    line = summary(files, [job(name) for name in "abcd"], seconds=2.0, cpu_s=None, typed=False)
    assert line.startswith("3 files, 6.3 GB in 2.0 s")
    assert "1 file already there" in line
    assert "2 verified against the digest that hub.example publishes; 1 SHA-256 computed" in line


def test_everything_already_there() -> None:
    """Nothing fetched: said so, without rates."""
    line = summary(
        [file_done(already_there=True, fetched_bytes=0)], [job()], seconds=0.1, cpu_s=None, typed=False
    )
    assert line == "1 file already there, 2.1 GB; nothing fetched."


def test_shares_sum_to_a_hundred() -> None:
    """Rounding neither loses nor invents a percent."""
    shares = where_time_went([file_done(link_s=1, wait_s=1, disk_s=1, hash_s=0)])
    assert shares == "link 34 %, waiting for the server 33 %, disk 33 %, hash 0 %"


def test_no_time_accounted_for() -> None:
    """Without figures nothing is claimed."""
    assert where_time_went([file_done()]) == ""
