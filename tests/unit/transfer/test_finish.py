"""The last steps of a file: the receipt is there before anybody else may look."""

from pathlib import Path

from engine.remote_file import Identity, RemoteFile, RemoteName
from engine.store.part import Part
from engine.store.receipts import Receipts
from engine.transfer.finish import Content, finish
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
    finish(job, part, Identity(size=3), None, content)
    assert receipts.was_locked == [True]
    found = receipts.find(target)
    assert found is not None and found.fits(target.stat())
    assert not folder.exists()
