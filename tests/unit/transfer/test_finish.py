"""The last steps of a file: the receipt is there before anybody else may look."""

import os
from pathlib import Path
from typing import Any

import pytest

from engine.errors import StoreError
from engine.remote_file import Identity, RemoteFile, RemoteName
from engine.store.part import Part
from engine.store.receipts import Receipts
from engine.transfer.content import Content
from engine.transfer.finish import Ending, finish, finish_all
from engine.transfer.job import Job


class LookingReceipts(Receipts):
    """Tries, at the moment of writing, what a waiting pull would do."""

    def __init__(self, folder: Path, part_folder: Path) -> None:
        super().__init__(folder)
        self._part_folder = part_folder
        self.was_locked: list[bool] = []

    def write(self, receipt: object) -> None:
        other = Part.try_open(self._part_folder)
        self.was_locked.append(other is None)
        super().write(receipt)  # type: ignore[arg-type]  # a Receipt


def test_the_receipt_is_written_under_the_lock(tmp_path: Path) -> None:
    """Otherwise whoever waits for the lock finds a file that nothing vouches for, and fetches it again."""
    folder, target = tmp_path / "part", tmp_path / "model"
    part = Part.try_open(folder)
    assert part is not None
    part.start(None, 3, "sparse")
    receipts = LookingReceipts(tmp_path / "receipts", folder)
    remote = RemoteFile(name=RemoteName.parse("model"), url="http://127.0.0.1/model")
    job = Job(remote=remote, target=target, partial=folder, receipts=receipts)
    content = Content(size=3, segment_size=10, checks={0: 1}, digests={})
    finish(Ending(job, part, Identity(size=3), None, content))
    assert receipts.was_locked == [True]
    found = receipts.find(target)
    assert found is not None and found.fits(target.stat())
    assert not folder.exists()


def ending(tmp_path: Path, name: str) -> Ending:
    """Three bytes on their way to tmp_path/out/name."""
    folder, target = tmp_path / f"part-{name}", tmp_path / "out" / name
    part = Part.try_open(folder)
    assert part is not None
    part.start(None, 3, "sparse")
    remote = RemoteFile(name=RemoteName.parse(name), url=f"http://127.0.0.1/{name}")
    job = Job(remote=remote, target=target, partial=folder, receipts=Receipts(tmp_path / "receipts"))
    content = Content(size=3, segment_size=10, checks={0: 1}, digests={})
    return Ending(job, part, Identity(size=3), None, content)


def test_one_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    """Its part stays; the others have their names and receipts."""
    endings = [ending(tmp_path, name) for name in ("a", "b", "c")]
    (tmp_path / "out" / "b").mkdir(parents=True)
    outcomes = finish_all(endings)
    assert [isinstance(outcome, StoreError) for outcome in outcomes] == [False, True, False]
    assert (tmp_path / "part-b" / "data").exists()
    endings[1].part.remove()
    for one in (endings[0], endings[2]):
        found = one.job.receipts.find(one.job.target)
        assert found is not None and found.fits(one.job.target.stat())
        assert not one.job.partial.exists()


def test_data_is_synced_before_any_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Receipts between them, in a folder that is new and therefore synced, so that a kill after a rename leaves a file
    that is known; and the files' folder once, after the last one."""
    steps: list[str] = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)

        def noted(*args: object, real: Any = real, name: str = name, **more: object) -> object:
            steps.append("receipt" if str(args[0]).endswith(".tmp") else name)
            return real(*args, **more)

        monkeypatch.setattr(os, name, noted)
    finish_all([ending(tmp_path, name) for name in ("a", "b", "c")])
    assert steps == ["fsync"] * (3 + 1) + ["receipt"] * 3 + ["replace"] * 3 + ["fsync"]
