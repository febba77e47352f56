"""A second name for one content: whole or not at all, never through a link, and shared where the disk can."""

import os
import stat
from pathlib import Path

import pytest

from engine.errors import NoSpace
from engine.store import disk, linking
from engine.store.linking import COPY, HARDLINK, REFLINK, link_relative, place, write_whole


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(b"content" * 1000)
    return path


@pytest.fixture
def elsewhere(tmp_path):
    """A folder on another file system: of what this machine has, shared memory is one everywhere."""
    folder = Path(f"/dev/shm/jarvis-{os.urandom(8).hex()}")
    folder.mkdir()
    if folder.stat().st_dev == tmp_path.stat().st_dev:
        pytest.fail(
            "This test needs two file systems, and /dev/shm is on the same one as the temporary folder."
        )
    yield folder
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def test_place_shares_bytes(tmp_path, source):
    """On one file system no byte is copied; which way, depends on the file system."""
    how = place(source, tmp_path / "target")
    assert how in (REFLINK, HARDLINK)
    assert (tmp_path / "target").samefile(source) == (how == HARDLINK)
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


@pytest.mark.row("disk/no-hard-links")
def test_place_copies_to_another_file_system(source, elsewhere):
    """Where nothing can be shared, the content is copied, whole."""
    assert place(source, elsewhere / "target") == COPY
    assert (elsewhere / "target").read_bytes() == source.read_bytes()
    assert names(elsewhere) == ["target"]


@pytest.mark.row("disk/no-hard-links")
def test_place_refuses_a_copy_that_does_not_fit(source, elsewhere, monkeypatch):
    """Room is looked at before the first byte, and nothing is left."""
    monkeypatch.setattr(disk, "_HEADROOM_BYTES", 1 << 60)
    with pytest.raises(NoSpace):
        place(source, elsewhere / "target")
    assert names(elsewhere) == []


def test_place_again_leaves_nothing(tmp_path, source):
    """rename(2) does nothing where both names are one file; the helper's own name goes all the same."""
    for _ in range(2):
        place(source, tmp_path / "target")
    assert names(tmp_path) == ["source", "target"]


def test_place_replaces_whole_files(tmp_path, source):
    """An old file stays what it is for whoever has it open."""
    target = tmp_path / "target"
    target.write_bytes(b"old")
    with target.open("rb") as reader:
        place(source, target)
        assert reader.read() == b"old"
    assert target.read_bytes() == source.read_bytes()


def test_place_follows_no_link_at_the_target(tmp_path, source):
    """A link under the name is replaced, and what it leads to stays."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (tmp_path / "target").symlink_to(victim)
    place(source, tmp_path / "target")
    assert victim.read_bytes() == b"mine"
    assert not (tmp_path / "target").is_symlink()


@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "nothing"])
def test_place_takes_regular_files_only(tmp_path, source, kind):
    """A pipe holds nobody up, a link is not followed; nothing is left of the attempt."""
    strange = tmp_path / "strange"
    match kind:
        case "pipe":
            os.mkfifo(strange)
        case "link":
            strange.symlink_to(source)
        case "folder":
            strange.mkdir()
    with pytest.raises(OSError):
        place(strange, tmp_path / "target")
    assert set(names(tmp_path)) <= {"source", "strange"}


def test_place_refuses_a_folder_in_the_way(tmp_path, source):
    """A folder is never replaced."""
    (tmp_path / "target").mkdir()
    with pytest.raises(OSError):
        place(source, tmp_path / "target")
    assert names(tmp_path) == ["source", "target"]


def test_place_links_the_file_that_it_opened(tmp_path, source, monkeypatch):
    """A file that takes the source's name in the meantime does not get the target's."""
    monkeypatch.setattr(linking, "_reflink", lambda *_: False)
    real_link = os.link

    def swapped(path, *args, **options):
        source.unlink()
        source.write_bytes(b"another")
        real_link(path, *args, **options)

    monkeypatch.setattr(os, "link", swapped)
    with pytest.raises(OSError):
        place(source, tmp_path / "target")
    assert names(tmp_path) == ["source"]


def test_write_whole_replaces_and_obeys_the_umask(tmp_path):
    """Small files appear whole, with the mode that any new file would get."""
    target, plain = tmp_path / "ref", tmp_path / "plain"
    target.write_bytes(b"old")
    write_whole(target, b"new")
    plain.touch()
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    assert names(tmp_path) == ["plain", "ref"]


def test_link_relative_survives_a_move(tmp_path):
    """The link's text holds no absolute path, and what was there before is replaced."""
    (tmp_path / "a/blobs").mkdir(parents=True)
    (tmp_path / "a/s/deep").mkdir(parents=True)
    (tmp_path / "a/blobs/b").write_bytes(b"x")
    (tmp_path / "a/s/deep/f").write_bytes(b"old")
    link_relative(tmp_path / "a/s/deep/f", tmp_path / "a/blobs/b", scratch=tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "moved")
    assert (tmp_path / "moved/s/deep/f").read_bytes() == b"x"
    assert names(tmp_path / "moved") == ["blobs", "s"]
