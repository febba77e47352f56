"""The GGUF that the demo makes, read by the format's own reader."""

import hashlib
from pathlib import Path

import pytest

from engine.console.gguf_file import write_gguf
from engine.errors import StoreError
from engine.settings import MIB


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("gguf") / "m.gguf"
    return path, write_gguf(path, 48 * MIB, "a name")


def test_reader_accepts_it(made: tuple[Path, str]) -> None:
    """The `gguf` package finds the metadata, and every tensor where it should be."""
    gguf = pytest.importorskip("gguf")
    numpy = pytest.importorskip("numpy")
    reader = gguf.GGUFReader(made[0])
    assert reader.get_field("general.architecture").contents() == "llama"
    assert reader.get_field("general.name").contents() == "a name"
    assert reader.get_field("llama.block_count").contents() == len(reader.tensors) == 3
    assert [tensor.name for tensor in reader.tensors] == [f"blk.{i}.ffn_up.weight" for i in range(3)]
    for tensor in reader.tensors:
        assert tensor.data.shape == (2048, 4096) and tensor.data.dtype == numpy.float16
        assert numpy.isfinite(tensor.data).all() and numpy.abs(tensor.data).max() < 2


def test_size_is_as_asked(made: tuple[Path, str]) -> None:
    """The tensors have the size asked for; the head adds less than a MiB."""
    assert 48 * MIB < made[0].stat().st_size < 49 * MIB


def test_digest_is_the_files(made: tuple[Path, str]) -> None:
    """The digest computed while writing is that of what was written."""
    with made[0].open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == made[1]


def test_no_mib_repeats(made: tuple[Path, str]) -> None:
    """Misplaced data would be seen."""
    data = made[0].read_bytes()
    assert len({data[at : at + MIB] for at in range(0, len(data), MIB)}) == 49


def test_a_disk_that_refuses(tmp_path: Path) -> None:
    """An error of the disk is one of ours, with what to do."""
    with pytest.raises(StoreError):
        write_gguf(tmp_path / "no" / "m.gguf", MIB, "x")
