"""What lies on the disk, and may be damaged, older, newer, or somebody else's: journals,
receipts, manifests, memories."""

import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import msgspec
import xxhash
from hypothesis import strategies as st

from engine.console.sizes import format_rate, format_seconds, format_size, parse_rate, parse_size
from engine.digest import Digest
from engine.errors import EngineError, PathError, UsageError
from engine.library.remembered import remembered_files
from engine.model_manifest import ManifestManager, ModelManifest
from engine.model_registry import ModelRegistry
from engine.remote_file import Identity, RemoteFile
from engine.settings import Settings, home
from engine.sources import Choice
from engine.spans import Span
from engine.store import layout
from engine.store.aliases import Aliases
from engine.store.journal import Claim, Header, Journal, header_of
from engine.store.ollama_store import Facts, Manifest, OllamaName, OllamaStore, synthesise
from engine.store.receipts import Receipt, Receipts, hex_values
from engine.transfer.lane_memory import LaneMemory
from tests.fuzz.documents import HEX, Bytes, anything, as_json, digests, one_of, record, sizes
from tests.fuzz.target import Run, housed, simple


def _journal() -> Iterator[Run]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal")

        def run(data: bytes) -> None:
            path.write_bytes(data)
            claim, journal = Claim.read(path), Journal.load(path)
            if claim is None or journal is None:
                assert claim is journal
                return
            assert 0 <= claim.nbytes <= claim.header.size * (1 + len(claim.pieces))
            assert claim.header.identity.size == claim.header.size
            journal.append(0, 7)
            journal.append_piece(Span(0, 1), 8)
            journal.close()
            again = Claim.read(path)
            assert again is not None and again.checks == {**claim.checks, 0: 7}

        yield run
        assert Claim.read(Path(folder, "none")) is Journal.load(Path(folder, "none")) is None
        Journal.create(path, _header()).close()


def _header(**changes: Any) -> Header:
    remote = RemoteFile(name=cast(Any, "m"), url="https://h.example/m?sig=1")
    made = header_of(remote, Identity(size=100, etag='"a"'), Digest("sha256", HEX), 10)
    return msgspec.structs.replace(made, **changes)


def _sealed(payload: bytes) -> bytes:
    return struct.pack("<I", len(payload)) + payload + struct.pack("<Q", xxhash.xxh3_64_intdigest(payload))


_HEADERS = st.builds(
    _header,
    size=st.sampled_from([100, 100, 0, -1, 1 << 62]),
    segment_size=st.sampled_from([10, 10, 0, 1 << 62]),
    format=st.sampled_from(["jarvis-journal", "jarvis-journal", "x"]),
    digest=st.sampled_from([f"sha256:{HEX}", None, "x"]),
).map(msgspec.msgpack.encode)
_ENTRIES = st.lists(st.integers(-1, 101), min_size=1, max_size=4).map(msgspec.msgpack.encode)


def _pack(value: Any) -> bytes:
    try:
        return msgspec.msgpack.encode(value)
    except (OverflowError, UnicodeError):
        return b"\xc1"


_PACKED = anything.map(_pack) | st.binary(max_size=20)


@st.composite
def _journals(draw: st.DrawFn) -> bytes:
    """Records whose hashes are right, whatever is in them: a flipped bit behind a good hash
    is what must be tried."""
    head = draw(_HEADERS | _HEADERS | _PACKED)
    if draw(st.integers(0, 3)) == 0:
        at, what = (
            draw(st.integers(0, len(head))),
            draw(st.binary(max_size=3) | st.sampled_from([b"\x91" * 3000, b"\xff\xff"])),
        )
        head = head[:at] + what + head[at + len(what) * draw(st.integers(0, 1)) :]
    return b"".join(map(_sealed, [head, *draw(st.lists(_ENTRIES | _ENTRIES | _PACKED, max_size=6))]))


journal = housed(
    "journal",
    _journals(),
    (
        b"\0\0\0\0",
        b"\3\0\0\0",
        b"\x92\0\0",
        b"\xff\xff\xff\xff",
        b"jarvis-journal",
        b"\x91",
        b"\xcf" + b"\xff" * 8,
    ),
    "store/journal.py",
)(_journal)


def _receipt() -> Iterator[Run]:
    with tempfile.TemporaryDirectory() as folder:
        receipts, target = Receipts(Path(folder, "receipts")), Path(folder, "m")
        target.write_bytes(b"")
        receipts.prepare()
        place = Path(receipts._place(str(target)))

        def run(data: bytes) -> None:
            place.write_bytes(data)
            found = receipts.find(target)
            if found is None:
                return
            assert found.fits(target.stat()) in (True, False)
            if found.grid is not None and found.checks is not None and found.grid.count:
                checks = {index: found.checks.value(index) for index in range(found.grid.count)}
                assert hex_values(checks, found.grid.count) == found.checks.values
            with suppress(UnicodeEncodeError):
                found.path.encode()
                receipts.write(msgspec.structs.replace(found, path=str(target)))
                assert receipts.find(target) == msgspec.structs.replace(found, path=str(target))

        yield run
        receipts.forget(target)
        receipts.forget(target)
        assert receipts.find(target) is None
        place.parent.rmdir()
        strange = os.fsdecode(b"/x\xff")
        receipts.write(Receipt(path=strange, url="", url_hash=0, size=0, inode=0, mtime_ns=0, sha256=None))


_CHECKS = record(
    {
        "algorithm": st.sampled_from(["xxh3_64", "x"]),
        "segment_size": st.integers(0, 3),
        "values": st.sampled_from(["0" * 16, "0" * 32, "", "g" * 16]),
    }
)
receipt = housed(
    "receipt",
    as_json(
        record(
            {
                "path": "/m",
                "url": st.text(max_size=3),
                "url_hash": 1,
                "size": st.integers(-1, 4),
                "inode": 1,
                "mtime_ns": 1,
                "sha256": st.sampled_from([HEX, None, "x"]),
            },
            digest=st.sampled_from([f"git-sha1:{HEX[:40]}", "x", None]),
            checks=_CHECKS,
            format=st.sampled_from(["jarvis-receipt", "y"]),
            version=st.integers(1, 2),
        )
        | anything
    ),
    (
        b'"path": "size": "checks": "values": "segment_size": "sha256": -1 1e9 '
        b"99999999999999999999999 \xff \\ud800 { [ null"
    ).split(),
    "store/receipts.py",
)(_receipt)

_KEY = "huggingface.co/ns/repo"


def _manifest() -> Iterator[Run]:
    with tempfile.TemporaryDirectory() as folder:
        manager = ManifestManager(folder)
        place = manager.path_of(_KEY)

        def run(data: bytes) -> None:
            place.write_bytes(data)
            manifests, broken = manager.scan()
            assert len(manifests) + len(broken) == 1
            found = manager.get_manifest(_KEY)
            assert (found is not None) == bool(manifests)
            manager.get_model_stats()
            with suppress(PathError, UsageError):
                fresh = found or ModelManifest(model_key=_KEY, registry="r", namespace="n", repository="m")
                if fresh.layers:
                    fresh.add_layer(fresh.layers[0].filename, "f" * 64, 1)
                fresh.add_layer(f"{len(data)}", HEX, 3)
                fresh.mark_verified()
                manager.update_manifest(_KEY, fresh)
                assert manager.get_manifest(_KEY) == fresh and fresh.selected
            with suppress(PathError):
                manager.get_manifest(data.decode("utf-8", "surrogateescape"))

        yield run
        (place.parent / "other.json").mkdir()
        assert len(manager.scan()[1]) == 1
        manager.create_manifest(_KEY, "r", "n", "m").mark_downloaded()
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
manifest = housed("manifest", _MANIFESTS, tuple(_FIELDS), "model_manifest.py")(_manifest)


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


def _lanes() -> Iterator[Run]:
    with tempfile.TemporaryDirectory() as folder:
        memory, url = LaneMemory(Path(folder), "https://h.example/m"), "https://h.example/m"

        def run(data: bytes) -> None:
            memory._place.write_bytes(data)
            assert (found := memory.recall()) is None or 1 <= found <= 1024
            memory.note(len(data) % 1024 + 1)
            assert memory.recall() == len(data) % 1024 + 1

        yield run
        LaneMemory(Path("/proc/none"), url).note(1)
        assert LaneMemory(Path("/proc/none"), url).recall() is None


lanes = housed(
    "lane-memory", one_of("1 32 1024 1025 0 -1 1_0 x"), "0 1 -1 _ \n ² + 9 \xff", "transfer/lane_memory.py"
)(_lanes)


_WHOLE = ("connections", "processes", "segment_size", "limit_rate", "retries", "chunk_size")


def _settings(data: bytes) -> None:
    """As a worker gets them, and as a program makes them; and sizes and rates as they are typed."""
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        msgspec.json.decode(data, type=Settings)
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        fields = msgspec.json.decode(data, type=dict[str, int | None])
        with suppress(UsageError):
            Settings(**{name: cast(Any, fields[name]) for name in _WHOLE if name in fields})
    typed = data.decode("utf-8", "surrogateescape")
    for parse, shown in ((parse_size, format_size), (parse_rate, format_rate)):
        with suppress(UsageError):
            size = parse(typed)
            assert 1 <= size <= 1 << 62
            assert shown(size) and format_seconds(size)
    assert (
        format_seconds(0.001)
        and format_seconds(len(data))
        and format_size(len(data))
        and format_rate(len(data))
    )


settings = simple(
    "settings",
    as_json(
        record(
            {},
            connections=sizes,
            processes=sizes,
            hash=st.sampled_from(["sha256", None, "md5"]),
            proxy=st.sampled_from(["http://h", "x", None]),
            retry_delay_s=sizes,
            allocate=st.sampled_from(["full", "y"]),
        )
    )
    | one_of("8MiB 500k 10MB/s 10mbit 1.5gb 9999999T 0 4e9", "1.5 GB"),
    (
        b'"connections": "processes": "segment_size": "proxy": { } null -1 0 9 . k Mi B /s bit NaN '
        b"1e999 \xc2\xb2"
    ).split(),
    "settings.py",
    "console/sizes.py",
)(_settings)


def _ollama() -> Iterator[Run]:
    with tempfile.TemporaryDirectory() as folder:
        store = OllamaStore(Path(folder))
        name = OllamaName("registry.ollama.ai", "library", "m", "latest")
        place = Path(folder, "manifests", *name.parts)
        place.parent.mkdir(parents=True)
        Path(folder, "manifests-v2", "h", "n", "m").mkdir(parents=True)
        Path(folder, "manifests-v2", "h", "n", "m", ".bad tag").write_bytes(b"")

        def run(data: bytes) -> None:
            place.write_bytes(data)
            for model in store.models():
                assert str(model.name) == "m:latest"
            with suppress(EngineError):
                parts = Manifest.parse(data).parts
                store.write(name, data, {part.sha256: b"x" for part in parts[1:]})
            with suppress(EngineError):
                store.write(name, data, {part.sha256: b"x" for part in Manifest.parse(data).parts})
                assert [model.content for model in store.models()] == [data]
            with suppress(PathError):
                OllamaName("h", "n", "m", data[:90].decode("utf-8", "replace"))

        yield run
        made, config = synthesise([("model", Digest("sha256", HEX), 3)], Facts("llama"))
        blob = Path(folder, "blob")
        blob.write_bytes(b"x")
        digests = {part.sha256: blob if part.size == 3 else config for part in Manifest.parse(made).parts}
        store.write(OllamaName("REGISTRY.ollama.ai", "library", "M", "x"), made, digests)


_PART = record(
    {
        "mediaType": st.sampled_from(["application/vnd.ollama.image.model", "x"]),
        "digest": digests | st.sampled_from(["x", f"git-sha1:{HEX[:40]}"]),
        "size": st.integers(0, 3),
    }
)
_SOUND = record({"mediaType": "x", "digest": digests, "size": st.integers(0, 3)})
_OLLAMA: Bytes = as_json(
    record({"schemaVersion": 2, "mediaType": "x", "config": _SOUND, "layers": st.lists(_SOUND, max_size=3)})
    | record(
        {"schemaVersion": sizes, "mediaType": "x", "config": _PART, "layers": st.lists(_PART, max_size=3)}
    )
    | anything
)
ollama = housed(
    "ollama-store",
    _OLLAMA,
    tuple(b'"digest": "size": "config": "layers": "mediaType": sha256: { [ \xff null 1e99'.split()),
    "store/ollama_store.py",
)(_ollama)
TARGETS = (journal, receipt, manifest, remembered, aliases, lanes, settings, ollama)
