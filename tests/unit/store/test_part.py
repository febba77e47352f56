"""The part: what it keeps, what it gives up, and that only a rename makes a final name."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import xxhash

from engine.errors import NoSpace, StoreError
from engine.store import part as part_module
from engine.store.journal import Header, Journal, url_hash
from engine.store.part import Part

SEGMENT = 100
CONTENT = bytes(range(250)) + b"x" * 100
HEADER = Header(url="https://h/m", url_hash=url_hash("https://h/m"), size=len(CONTENT), segment_size=SEGMENT)
ELSEWHERE = Path("/dev/shm")


def opened(folder: Path) -> Part:
    part = Part.try_open(folder)
    assert part is not None
    return part


def begun(folder: Path, segments: int = 4) -> Part:
    """A part in which so many segments have been written and noted."""
    part = opened(folder)
    part.start(HEADER, len(CONTENT), "sparse")
    for index in range(segments):
        span = HEADER.grid.span_of(index)
        os.pwrite(part.fd, CONTENT[span.start : span.stop], span.start)
        part.journal.append(index, xxhash.xxh3_64_intdigest(CONTENT[span.start : span.stop]))
    return part


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path):
    """Where a part is to be; its parents do not exist yet."""
    return tmp_path / "a" / "model.gguf.jarvis-part"


def test_part_is_locked_and_resumed(folder):
    """A second opener gets None while the first lives; after close() what was written is there."""
    part = begun(folder, 2)
    assert Part.try_open(folder) is None
    assert Part.holder(folder).startswith(f"process {os.getpid()} on ")
    part.close()
    part.close()
    again = opened(folder)
    journal = again.resume()
    assert journal is not None
    assert journal is again.journal
    assert set(journal.checks) == {0, 1}
    assert os.pread(again.fd, 200, 0) == CONTENT[:200]
    assert os.fstat(again.fd).st_size == len(CONTENT)
    again.close()


def test_data_is_sparse_until_written(folder):
    """A part of 1 GiB takes no room before its bytes come."""
    part = opened(folder)
    part.start(HEADER, 1 << 30, "sparse")
    stat = os.fstat(part.fd)
    assert (stat.st_size, stat.st_blocks) == (1 << 30, 0)
    part.close()


def test_full_allocation_takes_its_room(folder):
    """--allocate full: the disk has set all of it aside."""
    part = opened(folder)
    part.start(HEADER, 1 << 20, "full")
    assert os.fstat(part.fd).st_blocks * 512 >= 1 << 20
    part.close()


def test_no_space_is_said_before_anything_is_written(folder):
    """A file larger than the disk: NoSpace with the figures, no journal and no data."""
    part = opened(folder)
    with pytest.raises(NoSpace) as caught:
        part.start(HEADER, 1 << 60, "sparse")
    assert caught.value.needed_bytes == 1 << 60
    assert 0 <= caught.value.free_bytes < 1 << 60
    assert names(folder) == ["lock"]
    part.close()
    assert not folder.exists()


def test_journal_stands_before_data(folder, monkeypatch):
    """Killed between the two, a run leaves a journal without data, which is nothing; never data without a journal."""
    part = opened(folder)
    monkeypatch.setattr(Part, "_open_data", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        part.start(HEADER, len(CONTENT), "sparse")
    assert names(folder) == ["journal", "lock"]
    monkeypatch.undo()
    part.close()
    again = opened(folder)
    assert again.resume() is None
    again.start(HEADER, len(CONTENT), "sparse")
    again.close()


def test_nothing_to_resume(folder):
    """A new folder, and data that no journal speaks for, are nothing to resume."""
    part = opened(folder)
    assert part.resume() is None
    part.data.write_bytes(CONTENT)
    assert part.resume() is None
    part.start(HEADER, len(CONTENT), "sparse")
    assert os.pread(part.fd, 10, 0) == bytes(10), "what nobody vouches for is gone"
    part.close()


@pytest.mark.parametrize(
    ("size", "held"), [(0, set()), (99, set()), (100, {0}), (349, {0, 1, 2}), (5000, {0, 1, 2, 3})]
)
def test_data_of_another_size_than_the_journal_says(folder, size, held):
    """Only segments that are wholly there can be held; the file gets its right size again."""
    part = begun(folder)
    os.truncate(part.data, size)
    part.close()
    again = opened(folder)
    assert set(again.resume().checks) == held
    assert os.fstat(again.fd).st_size == len(CONTENT)
    again.close()


@pytest.mark.parametrize("name", ["data", "journal", "lock"])
def test_symlinks_are_refused(folder, tmp_path, name):
    """Nothing of a part is followed through a link: it could be aimed at any file of the user's."""
    precious = tmp_path / "precious"
    precious.write_text("mine")
    begun(folder).close()
    (folder / name).unlink()
    (folder / name).symlink_to(precious)
    part = None
    with pytest.raises(StoreError, match="symbolic link"):
        part = opened(folder)
        part.resume()
    if part:
        part.close()
    assert precious.read_text() == "mine"


@pytest.mark.parametrize("leads_to", ["precious", "nowhere"])
def test_folder_that_is_a_link_is_refused(folder, tmp_path, leads_to):
    """A part's folder that leads elsewhere is not followed: what lies there is not ours to write over or take away."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data").write_text("mine")
    folder.parent.mkdir()
    folder.symlink_to(tmp_path / leads_to)
    with pytest.raises(StoreError, match="symbolic link"):
        Part.try_open(folder)
    assert names(precious) == ["data"]


def test_finish(folder, tmp_path):
    """One rename: the target has the content, its stat is returned, and the folder is gone with its lock."""
    target = tmp_path / "new" / "model.gguf"
    stat = begun(folder).finish(target)
    assert target.read_bytes() == CONTENT
    assert (stat.st_ino, stat.st_size, stat.st_mtime_ns) == (
        target.stat().st_ino,
        len(CONTENT),
        target.stat().st_mtime_ns,
    )
    assert not folder.exists()
    assert names(target.parent) == ["model.gguf"]


def test_finish_without_sync(folder, tmp_path):
    """Many small files leave the syncing to one batch."""
    begun(folder).finish(tmp_path / "small", sync=False)
    assert (tmp_path / "small").read_bytes() == CONTENT
    assert not folder.exists()


def test_finish_replaces_a_file_at_once(folder, tmp_path):
    """The old file stays, whole, in the hands of whoever has it open; there is no moment without one."""
    target = tmp_path / "model.gguf"
    target.write_bytes(b"old")
    with target.open("rb") as reader:
        begun(folder).finish(target)
        assert reader.read() == b"old"
    assert target.read_bytes() == CONTENT


def test_finish_replaces_a_link_not_what_it_leads_to(folder, tmp_path):
    """A final name that is a symbolic link to a file becomes the file; what it led to is untouched."""
    precious, target = tmp_path / "precious", tmp_path / "model.gguf"
    precious.write_text("mine")
    target.symlink_to(precious)
    begun(folder).finish(target)
    assert precious.read_text() == "mine"
    assert not target.is_symlink()
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("kind", ["folder", "link to a folder", "file as parent"])
def test_finish_refused(folder, tmp_path, kind):
    """A folder is never replaced, and the part is still whole when finishing is refused."""
    target = tmp_path / "model.gguf"
    if kind == "folder":
        target.mkdir()
        (target / "precious").write_text("mine")
    elif kind == "link to a folder":
        (tmp_path / "elsewhere").mkdir()
        target.symlink_to(tmp_path / "elsewhere")
    else:
        target.write_text("mine")
        target = target / "below"
    part = begun(folder)
    with pytest.raises(StoreError, match=r"the way|folder is needed"):
        part.finish(target)
    assert part.data.read_bytes() == CONTENT
    part.close()
    again = opened(folder)
    assert set(again.resume().checks) == {0, 1, 2, 3}
    again.close()
    if kind == "folder":
        assert (target / "precious").read_text() == "mine"


@pytest.mark.parametrize("kind", ["file", "link"])
def test_finish_takes_nothing_but_what_was_written(folder, tmp_path, kind):
    """Another file in the place of the data does not get the final name: it is not what was hashed."""
    part, target, other = begun(folder), tmp_path / "model.gguf", tmp_path / "other"
    other.write_bytes(b"evil")
    part.data.unlink()
    if kind == "file":
        other.replace(part.data)
    else:
        part.data.symlink_to(other)
    with pytest.raises(StoreError, match="replaced"):
        part.finish(target)
    assert not target.exists()
    part.close()


@pytest.fixture
def other_disk(tmp_path):
    """A folder on another file system than tmp_path."""
    import shutil
    import tempfile

    made = Path(tempfile.mkdtemp(prefix="jarvis-unit-", dir=ELSEWHERE))
    assert made.stat().st_dev != tmp_path.stat().st_dev, f"{ELSEWHERE} and {tmp_path} are one file system"
    yield made
    shutil.rmtree(made)


def test_finish_on_another_file_system(folder, other_disk):
    """Where the rename cannot reach, a copy is made, and renamed; the stat is the final file's own."""
    target = other_disk / ("é" * 120)
    stat = begun(folder).finish(target)
    assert target.read_bytes() == CONTENT
    assert (stat.st_dev, stat.st_ino) == (target.stat().st_dev, target.stat().st_ino)
    assert names(other_disk) == ["é" * 120]
    assert not folder.exists()


def test_failed_copy_leaves_nothing(folder, other_disk, monkeypatch):
    """A copy that fails midway leaves no file there, and the part whole here."""

    def fail(_source, copy):
        Path(copy).write_bytes(CONTENT[:50])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(part_module.shutil, "copyfile", fail)
    part = begun(folder)
    with pytest.raises(NoSpace):
        part.finish(other_disk / "model.gguf")
    assert names(other_disk) == []
    assert part.data.read_bytes() == CONTENT
    part.close()


def test_foreign_things_in_the_folder_do_not_hold_up_the_end(folder, tmp_path):
    """Somebody's own folder and file inside the part's stay; the file is finished and the lock is free."""
    part = begun(folder)
    (folder / "mine").mkdir()
    (folder / "thesis.txt").write_text("mine")
    (folder / "rejected-abc").write_bytes(b"old")
    part.finish(tmp_path / "model.gguf")
    assert (tmp_path / "model.gguf").read_bytes() == CONTENT
    assert names(folder) == ["mine", "thesis.txt"]


def test_folder_taken_away_under_us(folder):
    """A user who deletes the part's folder gets no traceback for it when the program lets go."""
    import shutil

    for end in (Part.close, Part.remove):
        part = begun(folder)
        shutil.rmtree(folder)
        end(part)
        end(part)
        assert part.lock.fd < 0


def test_discard_takes_data_before_the_journal(folder):
    """Cut short midway, discarding leaves a journal without data, never the reverse; here the journal cannot go."""
    part = begun(folder)
    (folder / "journal").unlink()
    (folder / "journal").mkdir()
    with pytest.raises(StoreError):
        part.discard()
    assert not part.data.exists()
    part.close()


def test_discard_keeps_the_journal_while_data_stays(folder):
    """Data that cannot be removed keeps its journal."""
    part = begun(folder)
    part.data.unlink()
    part.data.mkdir()
    with pytest.raises(StoreError):
        part.discard()
    assert (folder / "journal").exists()
    part.close()


def test_discard_leaves_an_empty_folder_that_goes(folder):
    """After discarding there is nothing to come back to."""
    part = begun(folder)
    part.discard()
    assert names(folder) == ["lock"]
    part.close()
    assert not folder.exists()


def test_set_aside_and_adopt(folder, tmp_path):
    """Complete but unwanted content is kept under its digest; whoever asks for that digest later gets it unfetched."""
    part = begun(folder)
    kept = part.set_aside("ab12")
    assert kept.read_bytes() == CONTENT
    part.close()
    assert names(folder) == ["lock", "rejected-ab12"]
    again = opened(folder)
    assert again.resume() is None, "content that was set aside is no progress"
    assert not again.adopt("cd34")
    again.start(HEADER, len(CONTENT), "sparse")
    assert again.adopt("ab12")
    assert os.pread(again.fd, 1000, 0) == CONTENT
    assert names(folder) == ["data", "lock"]
    again.finish(tmp_path / "model.gguf")
    assert (tmp_path / "model.gguf").read_bytes() == CONTENT


def test_adopt_follows_no_link(folder, tmp_path):
    """A link under such a name is not taken for content."""
    part = opened(folder)
    (tmp_path / "precious").write_bytes(CONTENT)
    (folder / "rejected-ab12").symlink_to(tmp_path / "precious")
    assert not part.adopt("ab12")
    part.remove()
    assert (tmp_path / "precious").exists()


def test_growing_file(folder, tmp_path):
    """Without a known size the file grows as it comes and gets its size at the end; there is nothing to resume."""
    part = opened(folder)
    part.start(None, None, "sparse")
    os.pwrite(part.fd, CONTENT + b"too much", 0)
    part.truncate(len(CONTENT))
    part.sync()
    assert names(folder) == ["data", "lock"]
    part.close()
    again = opened(folder)
    assert again.resume() is None
    again.remove()
    assert not folder.exists()


def test_file_where_the_folder_should_be(folder):
    """Something else under the folder's name is an error in words."""
    folder.parent.mkdir(parents=True)
    folder.write_text("mine")
    with pytest.raises(StoreError, match="A file stands where a folder is needed"):
        Part.try_open(folder)


def test_no_descriptor_is_left(folder):
    """Whatever a part went through, its descriptors are closed with it."""
    before = {path.name for path in Path("/proc/self/fd").iterdir()}
    begun(folder).close()
    part = opened(folder)
    part.resume()
    part.discard()
    part.start(HEADER, len(CONTENT), "sparse")
    part.set_aside("ab")
    part.adopt("ab")
    part.close()
    (folder / "data").unlink()
    (folder / "data").symlink_to("/nowhere")
    Journal.create(folder / "journal", HEADER).close()
    part = opened(folder)
    with pytest.raises(StoreError):
        part.resume()
    part.remove()
    assert {path.name for path in Path("/proc/self/fd").iterdir()} == before


# Many at once

WORK = """
import os, random, sys
from pathlib import Path
from engine.store.part import Part
folder, witness, chance, won = Path(sys.argv[1]), sys.argv[2], random.Random(int(sys.argv[3])), 0
while won < int(sys.argv[4]):
    part = Part.try_open(folder)
    if part is None:
        continue
    won += 1
    inside = os.open(witness, os.O_CREAT | os.O_EXCL)  # fails if two are here at once
    choice = chance.random()
    if choice < 0.4:
        part.start(None, 10, "sparse")
    os.close(inside)
    os.unlink(witness)
    part.remove() if choice < 0.7 else part.close()
print(won)
"""


def test_many_processes_open_close_and_remove(tmp_path):
    """Real processes that lock, fill, leave and take away one part's folder: never two inside, never an error."""
    rounds = 150
    command = [sys.executable, "-c", WORK, str(tmp_path / "part"), str(tmp_path / "witness")]
    started = [
        subprocess.Popen(
            [*command, str(seed), str(rounds)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for seed in range(3)
    ]
    ended = [process.communicate(timeout=60) for process in started]
    assert ended == [(f"{rounds}\n", "")] * len(started)
    assert not (tmp_path / "witness").exists()
    part = opened(tmp_path / "part")
    part.remove()
    assert list(tmp_path.iterdir()) == []


def test_many_threads_of_one_process(tmp_path):
    """The same among threads, as when one program pulls the same file twice."""
    inside, failures = threading.Lock(), []

    def work() -> None:
        won = 0
        try:
            while won < 100:
                if (part := Part.try_open(tmp_path / "part")) is not None:
                    won += 1
                    assert inside.acquire(blocking=False), "two are inside"
                    inside.release()
                    part.remove() if won % 2 else part.close()
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert not (tmp_path / "part").exists()
