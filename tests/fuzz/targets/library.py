"""What the library remembers of models, and anybody may have edited: manifests, aliases."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from hypothesis import strategies as st

from engine.errors import PathError, UsageError
from engine.library.remembered import remembered_files
from engine.manifest_record import ModelManifest
from engine.model_manifest import ManifestManager
from engine.model_registry import ModelRegistry
from engine.remote_file import RemoteName
from engine.settings import home
from engine.sources import Choice
from engine.store import layout
from engine.store.aliases import Aliases
from tests.fuzz.documents import HEX, anything, as_json, record, sizes
from tests.fuzz.target import Run, housed

_KEY = "huggingface.co/ns/repo"


def _manifest() -> Iterator[Run]:
    with tempfile.TemporaryDirectory() as folder:
        manager = ManifestManager(folder)
        place = manager.path_of(_KEY)

        def run(data: bytes) -> None:
            place.write_bytes(data)
            manifests, broken = manager.scan()
            assert len(manifests) + len(broken) == 1
            assert all(fault.why.rstrip(".") in str(fault) for fault in broken)
            found = manager.get_manifest(_KEY)
            assert (found is not None) == bool(manifests)
            manager.get_model_stats()
            with suppress(PathError, UsageError):
                fresh = found or ModelManifest(model_key=_KEY, registry="r", namespace="n", repository="m")
                if fresh.layers:
                    fresh.add_layer(fresh.layers[0].filename, "f" * 64, 1)
                name = RemoteName.parse(f"{len(data)}")
                fresh.add_layer(name, HEX, 3)
                fresh.mark_verified()
                fresh.add_layer(name, HEX, 3)
                assert fresh.verified  # it has been there before
                manager.update_manifest(_KEY, fresh)
                stored, kept = manager.change_manifest(_KEY, lambda known: known or fresh)
                assert stored is kept and kept == fresh and fresh.selected
            with suppress(PathError):
                manager.get_manifest(data.decode("utf-8", "surrogateescape"))

        yield run
        (place.parent / "other.json").mkdir()
        (place.parent / "link.json").symlink_to("nowhere")
        faults = manager.scan()[1]
        assert [fault.is_unread for fault in faults] == [True, False]
        assert ["cannot be read" in str(fault) for fault in faults] == [True, False]
        (place.parent / "link.json").unlink()
        place.write_bytes(b"")
        os.truncate(place, 1 << 25)
        assert "bytes" in next(fault.why for fault in manager.scan()[1] if fault.path == place)
        made = manager.create_manifest(_KEY, "r", "n", "m")
        made.mark_downloaded()
        made.add_layer("m", HEX, 3, url="u" * (1 << 24))
        with suppress(UsageError):
            manager.update_manifest(_KEY, made)
        found = manager.get_manifest(_KEY)
        assert found is not None and not found.layers
        assert manager.delete_manifest(_KEY) and not manager.delete_manifest(_KEY)
        missing = ManifestManager(Path(folder, "none"))
        assert not missing.delete_manifest(_KEY) and missing.list_manifests() == []


_LAYER = record(
    {
        "filename": st.sampled_from(["m.gguf", "a/b", "../x", "x"]),
        "sha256": st.sampled_from([HEX, f"sha256:{HEX.upper()}", f"git-sha1:{HEX[:40]}", "x"]),
        "size_bytes": sizes,
    },
    url=st.sampled_from(["https://h.example/m", "", "x y"]),
    role=st.just("model"),
    version=st.integers(0, 2),
    replaced_at=st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01", None, "9999-12-31T23:59:60+23:59"]),
)
_GOOD_LAYER = record(
    {"filename": st.sampled_from(["m.gguf", "a/b"]), "sha256": HEX, "size_bytes": 3},
    url=st.just("https://h.example/m"),
)
_TIMES = st.sampled_from(["2026-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "x"])
_CHOSEN = st.sampled_from([{}, {"quant": "Q8_0"}, {"include": ["*"]}, {"x": 1}])
_MANIFESTS = as_json(
    record(
        {"model_key": st.just(_KEY), "registry": "huggingface.co", "namespace": "ns", "repository": "repo"},
        layers=st.lists(_GOOD_LAYER, max_size=3) | st.lists(_LAYER, max_size=3),
        earlier=st.lists(_LAYER | _GOOD_LAYER, max_size=12),
        revision=st.sampled_from([HEX[:40], "x"]),
        choice=_CHOSEN,
        selections=st.lists(
            record({"choice": _CHOSEN, "files": st.just(["m.gguf"]) | st.just(["y"])}), max_size=2
        ),
        version=st.integers(0, 3),
        created_at=_TIMES,
        format=st.sampled_from(["jarvis-manifest", "jarvis-manifest", "z"]),
        folder=st.sampled_from(["../x", None]),
    )
    | anything
)
_FIELDS = (
    b'"model_key": "layers": "earlier": "sha256": "filename": "size_bytes": "version": ../ \xff \\ud800 { [ null 1e99 '
    b"99999999999999999999"
).split()
manifest = housed("manifest", _MANIFESTS, tuple(_FIELDS), "manifest_file.py", "manifest_record.py")(_manifest)


class _Source:
    """Says what a model's revision is now."""

    manifest = None

    def version(self, *_: object) -> str:
        return HEX[:40]


def _remembered() -> Iterator[Run]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JARVIS_HOME"], old = folder, os.environ.get("JARVIS_HOME")
        place = ManifestManager(layout.manifests(Path(folder))).path_of(_KEY)
        place.parent.mkdir()
        paths = [ModelRegistry.parse("hf.co/ns/repo"), ModelRegistry.parse("hf.co/ns/other")]

        def run(data: bytes) -> None:
            place.write_bytes(data)
            for path in paths:
                for choice in (Choice(), Choice(quant="Q8_0")):
                    files = remembered_files(cast(Any, _Source()), cast(Any, None), path, choice)
                    assert files is None or all(file.size is not None and file.digest for file in files)

        try:
            yield run
        finally:
            os.environ.pop("JARVIS_HOME")
            assert home() != Path(folder)
            os.environ.update({"JARVIS_HOME": old} if old is not None else {})


remembered = housed("remembered", _MANIFESTS, tuple(_FIELDS), "library/remembered.py")(_remembered)


def _aliases() -> Iterator[Run]:
    with tempfile.TemporaryDirectory() as folder:

        def run(data: bytes) -> None:
            (place := Path(folder, "aliases.json")).write_bytes(data)
            aliases = Aliases(Path(folder))
            for name in [*aliases.targets, "mine"][:4]:
                for end in ("", ":Q8_0", "@v1", ":", "@"):
                    with suppress(PathError):
                        aliases.parse(name + end)
            aliases.add("mine", "hf.co/ns/repo")
            assert Aliases(Path(folder)).targets["mine"] == _KEY
            aliases.remove("mine")
            with suppress(PathError):
                aliases.remove("mine")
            place.unlink()

        yield run
        assert Aliases(Path(folder, "none")).targets == {}


aliases = housed(
    "aliases",
    as_json(
        st.dictionaries(
            st.sampled_from(["mine", "a", "../x", "hf.co", ""]),
            st.sampled_from(
                [
                    "ns/repo:Q4_K_M@v1",
                    "llama3",
                    "https://h.example/m.gguf",
                    "..",
                    "mistral",
                    "hf.co/ns/r:a.gguf",
                ]
            )
            | anything,
            max_size=4,
        )
        | anything
    ),
    tuple(b'{ } " : , mine \xff \\ud800 ns/repo https://h.example/x [ null'.split()),
    "store/aliases.py",
)(_aliases)
TARGETS = (manifest, remembered, aliases)
