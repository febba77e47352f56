"""A pull of nothing but complete files, told from receipts alone."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from engine.digest import Digest
from engine.model_downloader import loose_job
from engine.remote_file import RemoteFile, RemoteName
from engine.settings import Settings
from engine.transfer.admission import adopted, hash_target
from engine.transfer.complete import all_there
from engine.transfer.events import Event, FileDone, Progress
from engine.transfer.job import Job


@pytest.fixture
def complete(tmp_path: Path, home: Path) -> Callable[[str], Job]:
    """Makes jobs whose files are there, with their receipts."""

    def make(name: str) -> Job:
        (tmp_path / name).write_bytes(name.encode() * 100)
        remote = RemoteFile(name=RemoteName.parse(name), url=f"http://host/{name}")
        job = loose_job(remote, tmp_path / name)
        adopted(job, hash_target(job, Settings()))
        return job

    return make


def test_all_are_told_in_order(complete: Callable[[str], Job]) -> None:
    """Of each file its last progress, then its end, as of any file that was there already."""
    events: list[Event] = []
    jobs = [complete("a"), complete("b")]
    done = all_there(jobs, Settings(), events.append)
    assert done is not None
    assert [type(event) for event in events] == [Progress, FileDone, Progress, FileDone]
    assert [event for event in events if isinstance(event, FileDone)] == done
    assert [(file.file, file.size, file.already_there, file.verified) for file in done] == [
        ("a", 100, True, "computed"),
        ("b", 100, True, "computed"),
    ]
    last = events[0]
    assert isinstance(last, Progress) and (last.phase, last.done_bytes, last.size) == ("done", 100, 100)


def no_file(job: Job) -> Job:
    job.target.unlink()
    return job


def changed(job: Job) -> Job:
    job.target.write_bytes(b"something else")
    return job


def a_folder(job: Job) -> Job:
    job.target.unlink()
    job.target.mkdir()
    return job


def another_digest(job: Job) -> Job:
    digest = Digest.parse("sha256:" + "0" * 64)
    return msgspec.structs.replace(job, remote=msgspec.structs.replace(job.remote, digest=digest))


@pytest.mark.parametrize("spoil", [no_file, changed, a_folder, another_digest])
def test_where_one_is_not_nothing_is_told(
    complete: Callable[[str], Job], spoil: Callable[[Job], Job]
) -> None:
    """Whatever one file lacks, the coordinator gets all of them, and hears of nothing twice."""
    events: list[Event] = []
    assert all_there([complete("a"), spoil(complete("b"))], Settings(), events.append) is None
    assert events == []


def test_force_takes_nothing_as_complete(complete: Callable[[str], Job]) -> None:
    assert all_there([complete("a")], Settings(force=True), lambda _: None) is None
