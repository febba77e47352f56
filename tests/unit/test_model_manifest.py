"""Manifests: kept whole, found by any key, and never hidden by a broken neighbour."""

import json
import logging
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine
from engine.errors import PathError, StoreError, UsageError
from engine.model_manifest import Broken, Layer, ManifestManager, ModelManifest
from engine.remote_file import RemoteName
from tests.properties import steady

A, B, C = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture
def manager(tmp_path):
    return ManifestManager(tmp_path / "manifests")


def create(manager: ManifestManager, key: str = "mistral", **more: object) -> ModelManifest:
    return manager.create_manifest(key, "huggingface.co", "ns", **{"repository": "repo", **more})


def put(manager: ManifestManager, key: str, **files: str) -> ModelManifest:
    """Keep a new manifest with these files and digests under key."""
    manifest = ModelManifest(model_key=key, registry="h", namespace="n", repository="r")
    for name, digest in files.items():
        manifest.add_layer(name, digest, 1)
    manager.update_manifest(key, manifest)
    return manifest


def history(manifest: ModelManifest) -> list[tuple[str, str, int]]:
    return [(layer.filename, layer.sha256, layer.version) for layer in manifest.earlier]


def test_life_of_a_manifest(manager):
    """Created, filled, marked, kept, found, counted, deleted: as a program uses it."""
    manifest = manager.create_manifest(
        model_key="mistral",
        registry="huggingface.co",
        namespace="second-state",
        repository="Mistral-Nemo-Instruct-2407-GGUF",
        display_name="Mistral 7B Nemo Instruct",
        parameters="7B",
        context_length=8192,
    )
    assert manager.get_manifest("mistral") == manifest, "kept at once"
    manifest.add_layer(filename="m.gguf", sha256=f"sha256:{A.upper()}", size_bytes=7_500_000_000)
    manifest.mark_downloaded()
    assert (manifest.downloaded, manifest.verified) == (True, False)
    manifest.mark_verified()
    manager.update_manifest("mistral", manifest)
    found = ManifestManager(str(manager.manifest_dir)).get_manifest("mistral")
    assert found == manifest
    assert (found.display_name, found.parameters, found.context_length) == (
        "Mistral 7B Nemo Instruct",
        "7B",
        8192,
    )
    assert found.layers == [Layer("m.gguf", A, 7_500_000_000)]
    assert found.created_at <= found.updated_at <= datetime.now(UTC)
    assert manager.get_model_stats() == {
        "total_models": 1,
        "downloaded": 1,
        "verified": 1,
        "total_files": 1,
        "total_size_bytes": 7_500_000_000,
        "total_size_gb": 7.5,
        "broken": 0,
    }
    assert manager.delete_manifest("mistral") is True
    assert manager.delete_manifest("mistral") is False
    assert manager.get_manifest("mistral") is None
    assert manager.list_manifests() == []
    assert [path.name for path in manager.manifest_dir.iterdir()] == [".lock"], "no temporary file stays"


def test_folder_that_is_not_there(manager):
    """Reading makes nothing and finds nothing."""
    assert manager.list_manifests() == []
    assert manager.get_manifest("x") is None
    assert manager.delete_manifest("x") is False
    assert manager.get_model_stats()["total_models"] == 0
    assert not manager.manifest_dir.exists()


def test_sizes_are_in_thousands(manager):
    """total_size_gb: 10^9 bytes, two decimals, over all layers of all models."""
    for key in ("one", "two"):
        manifest = create(manager, key)
        manifest.add_layer("a", A, 1_234_567_890)
        manifest.add_layer("b", B, 1)
        manager.update_manifest(key, manifest)
    stats = manager.get_model_stats()
    assert (stats["total_size_gb"], stats["total_size_bytes"], stats["total_files"]) == (2.47, 2469135782, 4)


def test_new_content_takes_the_marks_back(manager):
    """What is said to be verified is what is in the list; the same content again changes nothing."""
    manifest = create(manager)
    manifest.add_layer("m", A, 5)
    manifest.mark_verified()
    manifest.add_layer("m", A, 5)
    assert (len(manifest.layers), manifest.verified) == (1, True)
    manifest.add_layer("m", B, 6)
    assert (len(manifest.layers), manifest.downloaded, manifest.verified) == (1, False, False)
    manifest.mark_verified()
    manifest.add_layer("n", B, 6)
    assert not manifest.verified


# Versions


def test_earlier_digests_are_kept(manager):
    """A changed file begins a version, and the digest that it had stays known, with when it went."""
    first = put(manager, "m", config=A, model=A)
    second = put(manager, "m", config=A, model=B)
    assert (first.version, second.version) == (1, 2)
    assert history(second) == [("model", A, 1)]
    assert second.earlier[0].replaced_at == second.updated_at
    third = put(manager, "m", model=A)
    assert (third.version, history(third)) == (3, [("model", A, 1), ("config", A, 2), ("model", B, 2)])
    assert third.created_at == first.created_at
    assert manager.get_manifest("m") == third


def test_created_again(manager):
    """The same key replaces; layers that come again are no new version, others are."""
    put(manager, "m", config=A, model=A)
    again = create(manager, "m")
    assert (again.layers, again.version, len(again.earlier)) == ([], 2, 2)
    again.add_layer("config", A, 1)
    again.add_layer("model", A, 1)
    manager.update_manifest("m", again)
    assert (again.version, again.earlier) == (1, [])
    other = create(manager, "m")
    other.add_layer("model", B, 1)
    manager.update_manifest("m", other)
    assert (other.version, history(other)) == (2, [("config", A, 1), ("model", A, 1)])


def test_an_update_without_change(manager):
    """Keeping the same again, also from an old object, changes neither version nor history."""
    old = put(manager, "m", model=A)
    put(manager, "m", model=B)
    put(manager, "m", model=B)
    assert (manager.get_manifest("m").version, history(manager.get_manifest("m"))) == (2, [("model", A, 1)])
    manager.update_manifest("m", old)
    assert (old.version, history(old)) == (3, [("model", A, 1), ("model", B, 2)]), (
        "the last writer wins whole"
    )


def test_history_is_bounded(manager):
    """The last ten digests of each file; the number of the version goes on."""
    for number in range(30):
        last = put(manager, "m", model=f"{number:064x}", config=A)
    assert last.version == 30
    assert [int(layer.sha256, 16) for layer in last.earlier] == [*range(19, 29)]


# Keys and files

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


# Foreign and broken files


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


# Several at once

WRITER = """
import sys
from engine.model_manifest import ManifestManager
manager, name = ManifestManager(sys.argv[1]), sys.argv[2]
for number in range(12):
    for key in ("shared", name):
        manifest = manager.create_manifest(key, "h", name, "r")
        for file in range(20):
            manifest.add_layer(f"{file}", f"{number:032x}{int(name):032x}", number)
        manifest.mark_verified()
        manager.update_manifest(key, manifest)
print("done")
"""


def test_processes_and_threads_at_once(manager):
    """Writers of one key and of their own, and readers beside them: every read is whole, no update of another key is
    lost, and each content of the shared key has its version."""
    root = Path(engine.__file__).parent.parent
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, manager.manifest_dir, str(name)],
            cwd=root,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in (1, 2, 3)
    ]
    faults: list[object] = []

    def read() -> None:
        while any(writer.poll() is None for writer in writers):
            manifests, broken = manager.scan()
            faults.extend(broken)
            for manifest in manifests:
                names = {int(layer.sha256[32:], 16) for layer in manifest.layers}
                if len(manifest.layers) not in (0, 20) or not names <= {int(manifest.namespace)}:
                    faults.append(manifest)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in readers:
        thread.start()
    said = [writer.communicate()[0] for writer in writers]
    for thread in readers:
        thread.join()
    assert said == ["done\n"] * 3
    assert faults == []
    assert [manifest.model_key for manifest in manager.list_manifests()] == ["1", "2", "3", "shared"]
    for name in ("1", "2", "3"):
        manifest = manager.get_manifest(name)
        assert (manifest.version, manifest.layers[0].size_bytes) == (12, 11)
    assert not [path for path in manager.manifest_dir.iterdir() if path.suffix == ".tmp"]


def test_threads_of_one_manager(manager):
    """Twenty threads, a key each and one for all: nothing is lost, every version of the one is counted."""

    def work(name: int) -> None:
        put(manager, f"{name}", model=A)
        put(manager, "all", model=f"{name:064x}")

    threads = [threading.Thread(target=work, args=(name,)) for name in range(1, 21)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(manager.list_manifests()) == 21
    last = manager.get_manifest("all")
    assert last.version == 20
    assert len({layer.sha256 for layer in [*last.layers, *last.earlier]}) == 11


def test_format_is_the_pages(manager):
    """The file's fields are those of docs/formats.md."""
    put(manager, "m", model=A)
    put(manager, "m", model=B)
    fields = json.loads(manager.path_of("m").read_text())
    page = (Path(engine.__file__).parent.parent / "docs" / "formats.md").read_text(encoding="utf-8")
    section = page.partition("\n## Manifest\n")[2].partition("\n## ")[0]
    for name in [*fields, *fields["layers"][0], *fields["earlier"][0]]:
        assert f"`{name}`" in section, name
    assert msgspec.convert(fields, ModelManifest) == manager.get_manifest("m")
