"""Manifests are never hidden by a broken neighbour."""

import json
import logging
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import StoreError
from engine.manifest_file import Broken
from engine.manifest_record import Layer
from engine.model_manifest import ManifestManager
from tests.properties import steady
from tests.unit.manifest.made import A, create, put


def good(manager: ManifestManager, **changes: object) -> bytes:
    fields = json.loads(manager.path_of("good").read_bytes())
    return json.dumps({**fields, "model_key": "bad", **changes}).encode()


LAYER = {"filename": "m", "sha256": A, "size_bytes": 1}
BROKEN = {
    "empty": lambda m: b"",
    "torn": lambda m: good(m)[:100],
    "no JSON": lambda m: b"\x00\xff\xfe",
    "no UTF-8": lambda m: good(m).replace(b"bad", b"b\xffd"),
    "a list": lambda m: b"[]",
    "deep": lambda m: b"[" * 100_000,
    "another format": lambda m: good(m, format="ollama"),
    "a newer version": lambda m: good(m, format_version=2),
    "another key": lambda m: good(m, model_key="good"),
    "a field missing": lambda m: b'{"model_key": "bad"}',
    "a wrong type": lambda m: good(m, verified="yes"),
    "a huge number": lambda m: good(m, context_length=10**30),
    "a name outside": lambda m: good(m, layers=[{**LAYER, "filename": "../../x"}]),
    "a digest that is none": lambda m: good(m, layers=[{**LAYER, "sha256": "../x"}]),
    "a negative size": lambda m: good(m, layers=[{**LAYER, "size_bytes": -1}]),
    "huge": lambda m: good(m) + b" " * (17 << 20),
    "terminal commands": lambda m: good(m, format="\x1b[2J"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_file_is_passed_over(manager, caplog, kind):
    """It is named, with the reason, in the log and in the list; all others are read; it may be written anew."""
    put(manager, "good", model=A)
    bad = manager.path_of("bad")
    bad.write_bytes(BROKEN[kind](manager))
    with caplog.at_level(logging.WARNING, "engine"):
        manifests, (broken,) = manager.scan()
    assert [manifest.model_key for manifest in manifests] == ["good"]
    assert broken.path == bad
    assert broken.why
    assert broken.why.isprintable()
    assert str(bad) in caplog.text
    assert manager.get_manifest("bad") is None
    assert manager.get_model_stats()["broken"] == 1
    create(manager, "bad")
    assert manager.scan()[1] == []


def test_what_is_no_file_is_passed_over(manager, tmp_path):
    """A folder, a pipe (nobody waits for its other end) and a link; files of other kinds are nobody's business."""
    put(manager, "good", model=A)
    (manager.manifest_dir / "folder.json").mkdir()
    os.mkfifo(manager.manifest_dir / "pipe.json")
    (manager.manifest_dir / "link.json").symlink_to(manager.path_of("good"))
    (manager.manifest_dir / "notes.txt").write_text("mine")
    manifests, broken = manager.scan()
    assert len(manifests) == 1
    assert [fault.path.name for fault in broken] == ["folder.json", "link.json", "pipe.json"]


def test_unknown_fields_are_ignored(manager):
    """A newer program's additions are no fault; what must not be lost comes with a new format_version."""
    put(manager, "good", model=A)
    manager.path_of("bad").write_bytes(good(manager, colour="red", layers=[{**LAYER, "weight": 3}]))
    assert manager.get_manifest("bad").layers == [Layer("m", A, 1)]


@steady(200)
@given(
    content=st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(lambda value: json.dumps(value).encode())
)
def test_strangers_bytes(tmp_path_factory, content):
    """Whatever a file holds, it is a manifest or named as broken; nothing else comes out."""
    manager = ManifestManager(tmp_path_factory.getbasetemp() / "strange")
    manager.manifest_dir.mkdir(exist_ok=True)
    manager.path_of("x").write_bytes(content)
    manifests, broken = manager.scan()
    assert not manifests
    assert [type(fault) for fault in broken] == [Broken]


def test_folder_that_cannot_be(tmp_path):
    """A file in the way is a StoreError that names it."""
    (tmp_path / "file").write_text("")
    manager = ManifestManager(tmp_path / "file")
    with pytest.raises(StoreError, match="file"):
        create(manager)
    with pytest.raises(StoreError, match="file"):
        manager.list_manifests()
