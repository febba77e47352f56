"""Another tool's store: Ollama's manifests and blobs."""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hypothesis import strategies as st

from engine.digest import Digest
from engine.errors import EngineError, PathError
from engine.store.ollama_store import Facts, Manifest, OllamaName, OllamaStore, synthesise
from tests.fuzz.documents import HEX, Bytes, anything, as_json, digests, record, sizes
from tests.fuzz.target import Run, housed


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
TARGETS = (ollama,)
