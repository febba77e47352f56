"""Manifests: kept whole, counted, and with what they held before."""

from datetime import UTC, datetime

from engine.manifest_record import Layer
from engine.model_manifest import ManifestManager
from tests.unit.manifest.made import A, B, create, history, put


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
