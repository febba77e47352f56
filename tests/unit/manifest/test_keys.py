"""Manifests are found by any key; what could not be kept or read again is refused."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import PathError, UsageError
from engine.manifest_record import Layer
from engine.model_manifest import ManifestManager
from engine.remote_file import RemoteName
from tests.properties import steady
from tests.unit.manifest.made import A, create, put

KEYS = [
    "../x",
    "..",
    ".",
    "",
    "a/b:c",
    "/etc/passwd",
    "C:\\x",
    "schlüssel 模型 🦙",
    "k" * 300,
    "%2e%2e",
    "https://h/a?b=c#d",
    "line\nbreak\0nul",
    ".lock",
    "x.json",
]


@pytest.mark.parametrize("key", KEYS)
def test_any_text_is_a_key(manager, key):
    """A key never leaves the folder, whatever it is, and is found again."""
    manifest = create(manager, key)
    assert manager.get_manifest(key) == manifest
    assert manager.list_manifests() == [manifest]
    (file,) = [path for path in manager.manifest_dir.iterdir() if path.name != ".lock"]
    assert file == manager.path_of(key)
    assert list(manager.manifest_dir.parent.iterdir()) == [manager.manifest_dir]
    assert manager.delete_manifest(key)


def test_keys_by_name(manager):
    """Percent-encoded, as formats.md says; too long ones by their SHA-256."""
    assert manager.path_of("hf.co/a b").name == "hf.co%2Fa%20b.json"
    assert manager.path_of("k" * 250).name == "k" * 250 + ".json"
    assert manager.path_of("k" * 251).name.startswith("%sha256-")
    with pytest.raises(PathError, match="is no text"):
        create(manager, "\udcff")


@steady()
@given(keys=st.lists(st.text(max_size=400), max_size=20, unique=True))
def test_keys_are_told_apart(keys):
    """Two keys, two files: in one folder, with names that the file system takes."""
    manager = ManifestManager("/m")
    places = [manager.path_of(key) for key in keys]
    assert len(set(places)) == len(keys)
    assert all(place.parent == Path("/m") and len(os.fsencode(place.name)) <= 255 for place in places)


@pytest.mark.parametrize("name", ["../x", "/x", "a\\b", "", "x\n", "a/../b", "x.jarvis-part"])
def test_names_that_could_leave_are_refused(manager, name):
    """In a layer as anywhere else."""
    with pytest.raises(PathError, match="file name"):
        create(manager).add_layer(name, A, 1)


@pytest.mark.parametrize("digest", ["", "abc123...", "z" * 64, "git-sha1:" + "a" * 40, "a" * 63])
def test_digests_that_are_none_are_refused(manager, digest):
    """A layer without a SHA-256 could never be verified."""
    with pytest.raises(PathError):
        create(manager).add_layer("m", digest, 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("parameters", 7),
        ("context_length", -1),
        ("display_name", "\udcff"),
        ("version", 0),
        ("layers", ["x"]),
    ],
)
def test_fields_that_cannot_be_are_refused(manager, field, value):
    """Nothing is written that could not be read again, and what was there stays."""
    manifest = put(manager, "m", model=A)
    setattr(manifest, field, value)
    with pytest.raises(UsageError, match="'m' cannot be"):
        manager.update_manifest("m", manifest)
    assert manager.get_manifest("m").layers == [Layer("model", A, 1)]


def test_parsed_names_are_texts(manager):
    """Names that were judged at the door are a kind of text of their own, and are kept like any other."""
    name = RemoteName.parse("a/b.gguf")
    manifest = create(manager, name, repository=name)
    manifest.add_layer(name, A, 1)
    manager.update_manifest(name, manifest)
    found = manager.get_manifest("a/b.gguf")
    assert (found.repository, found.layers[0].filename) == ("a/b.gguf", "a/b.gguf")


def test_size_is_bounded(manager):
    """What a reader would refuse is not written."""
    manifest = create(manager)
    manifest.display_name = "x" * (17 << 20)
    with pytest.raises(UsageError, match="bytes"):
        manager.update_manifest("mistral", manifest)
