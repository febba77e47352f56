"""What a part gives up, and what it sets aside."""

import os

import pytest

from engine.errors import StoreError
from engine.store.part import Part
from tests.unit.store.parts import CONTENT, HEADER, begun, names, opened


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
