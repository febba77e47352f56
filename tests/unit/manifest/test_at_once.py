"""Several that write manifests at once, and the form in which they do."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

import engine
from engine.manifest_record import ModelManifest
from tests.unit.manifest.made import A, B, put

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


@pytest.mark.row("together/same-manifests")
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
