"""Receipts: found by path, believed only while the file's stat fits, and never in the way when they are broken."""

import json
import os
from pathlib import Path

import msgspec
import pytest

from engine.errors import StoreError
from engine.spans import Grid
from engine.store.receipts import Checks, Receipt, Receipts, hex_values


def receipt_for(path: Path, **changes: object) -> Receipt:
    stat = path.stat()
    fields = {
        "path": str(path),
        "url": "https://h/m?…",
        "url_hash": (1 << 64) - 1,
        "size": stat.st_size,
        "inode": stat.st_ino,
        "mtime_ns": stat.st_mtime_ns,
        "sha256": "ab" * 32,
        "checks": Checks(algorithm="xxh3_64", segment_size=4, values=hex_values({0: 1, 1: (1 << 64) - 1}, 2)),
    }
    return Receipt(**{**fields, **changes})


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"content")
    return path


@pytest.fixture
def receipts(tmp_path):
    return Receipts(tmp_path / "home" / "receipts")


def test_round_trip(model, receipts):
    """What was written is found again; one path has one receipt, the latest."""
    assert receipts.find(model) is None
    receipts.write(receipt_for(model, sha256="00" * 32))
    receipts.write(receipt_for(model))
    found = Receipts(receipts._folder).find(model)
    assert found == receipt_for(model)
    assert found.fits(model.stat())
    assert found.grid == Grid(7, 4)
    assert [found.checks.value(index) for index in range(2)] == [1, (1 << 64) - 1]
    assert [path.suffix for path in receipts._folder.iterdir()] == [".json"], "no temporary file stays"


def test_paths_are_told_apart(model, receipts, monkeypatch):
    """A receipt is found by the absolute path, however it is spelt here; another path has none."""
    receipts.write(receipt_for(model))
    monkeypatch.chdir(model.parent)
    assert receipts.find(Path("model.gguf")) == receipt_for(model)
    assert receipts.find(model.with_name("other.gguf")) is None


CHANGES = {
    "grown": lambda path: path.write_bytes(b"content!"),
    "written again": lambda path: os.utime(path, ns=(0, 5)),
    "replaced": lambda path: (
        path.with_name("new").write_bytes(b"CONTENT"),
        path.with_name("new").replace(path),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_file_does_not_fit(model, receipts, change):
    """Another size, time or inode: the receipt is still found, and does not speak for the file any more."""
    receipt = receipt_for(model)
    receipts.write(receipt)
    keep = model.open("rb")  # so that its inode is not given to the replacement
    CHANGES[change](model)
    if change == "replaced":
        os.utime(model, ns=(0, receipt.mtime_ns))
    assert receipts.find(model) == receipt
    assert not receipt.fits(model.stat())
    keep.close()


BROKEN = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"\xff\xfe",
    b"{}",
    b'{"format": "jarvis-receipt", "version": 1}',
    b"[" * 100_000,
    b'{"path": "\xff"}',
]


@pytest.mark.parametrize("raw", BROKEN, ids=lambda raw: raw[:20])
def test_broken_receipt_is_none(model, receipts, raw):
    """A receipt that cannot be read is none: the file is hashed again, that is all."""
    receipts.write(receipt_for(model))
    (place,) = receipts._folder.iterdir()
    place.write_bytes(raw)
    assert receipts.find(model) is None
    receipts.write(receipt_for(model))
    assert receipts.find(model) is not None


ODD_FIELDS = [
    {"format": "other"},
    {"version": 2},
    {"size": "7"},
    {"size": -7},
    {"sha256": 5},
    {"sha256": "zz"},
    {"digest": "sha256:short"},
    {"checks": {"algorithm": "xxh3_64", "segment_size": 0, "values": ""}},
    {"checks": {"algorithm": "xxh3_64", "segment_size": 4, "values": "0" * 31}},
    {"checks": {"algorithm": "xxh3_64", "segment_size": 4, "values": "0" * 48}},
    {"checks": {"algorithm": "xxh3_64", "segment_size": 4, "values": "x" * 32}},
    {"checks": {"algorithm": "xxh3_64", "segment_size": 4, "values": "-" + "0" * 31}},
    {"checks": {"algorithm": "crc32", "segment_size": 4, "values": "0" * 32}},
]


@pytest.mark.parametrize("odd", ODD_FIELDS, ids=str)
def test_receipt_that_makes_no_sense_is_none(model, receipts, odd):
    """Another format or version, and figures that contradict each other, are not believed."""
    receipts.write(receipt_for(model))
    (place,) = receipts._folder.iterdir()
    place.write_bytes(json.dumps(json.loads(place.read_bytes()) | odd).encode())
    assert receipts.find(model) is None


def test_unknown_field_is_read_over(model, receipts):
    """What a later program of the same version has added does not make the receipt worthless."""
    receipts.write(receipt_for(model))
    (place,) = receipts._folder.iterdir()
    place.write_bytes(json.dumps(json.loads(place.read_bytes()) | {"later": 1}).encode())
    assert receipts.find(model) == receipt_for(model)


@pytest.mark.parametrize("name", [b"m\xff\xfe.gguf", "模型 \u202e.gguf".encode(), b"a\nb", b"a'\"\\b"])
def test_path_with_odd_bytes(tmp_path, receipts, name):
    """A file name is bytes: also one that is no UTF-8 has its receipt, and the receipt is valid JSON."""
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(b"content")
    receipts.write(receipt_for(path))
    found = receipts.find(path)
    assert found is not None
    assert found.fits(path.stat())
    (place,) = receipts._folder.iterdir()
    json.loads(place.read_bytes())
    receipts.forget(path)
    assert receipts.find(path) is None


def test_forget(model, receipts):
    """Forgetting what is not there is no error."""
    receipts.forget(model)
    receipts.write(receipt_for(model))
    receipts.forget(model)
    receipts.forget(model)
    assert receipts.find(model) is None


def test_without_checks_or_digest(model, receipts):
    """A file that was there before us has a receipt without segment checks."""
    receipt = receipt_for(model, checks=None, sha256=None, digest="git-sha1:" + "0" * 40)
    receipts.write(receipt)
    assert receipts.find(model) == receipt
    assert receipt.grid is None


def test_empty_file(tmp_path, receipts):
    """An empty file has no segments and a receipt all the same."""
    path = tmp_path / "empty"
    path.touch()
    receipts.write(receipt_for(path, checks=Checks(algorithm="xxh3_64", segment_size=4, values="")))
    assert receipts.find(path) is not None


def test_place_that_cannot_be_written(model, tmp_path):
    """A file where the folder should be is an error in words; nothing is found there, and that is no error."""
    (tmp_path / "home").write_text("mine")
    receipts = Receipts(tmp_path / "home" / "receipts")
    assert receipts.find(model) is None
    with pytest.raises(StoreError, match="Cannot write the receipt"):
        receipts.write(receipt_for(model))


def test_hex_values_are_in_order():
    """Sixteen digits a segment, by index, whatever the order of arrival."""
    assert hex_values({1: 0xAB, 0: 1}, 2) == "0000000000000001" + "00000000000000ab"
    with pytest.raises(KeyError):
        hex_values({0: 1}, 2)


def test_receipt_is_plain_json(model, receipts):
    """A stranger's reader needs a JSON parser and the field names."""
    receipts.write(receipt_for(model))
    (place,) = receipts._folder.iterdir()
    fields = json.loads(place.read_bytes())
    assert fields == msgspec.to_builtins(receipt_for(model))
    assert (fields["format"], fields["version"], fields["path"]) == ("jarvis-receipt", 1, str(model))
