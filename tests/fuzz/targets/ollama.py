"""Another tool's store: Ollama's manifests and blobs."""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hypothesis import strategies as st

from engine.digest import Digest
from engine.errors import EngineError, PathError
from engine.store.ollama_store import Facts, Manifest, OllamaModel, OllamaName, OllamaStore, synthesise
from tests.fuzz.documents import HEX, Bytes, anything, as_json, digests, record, sizes
from tests.fuzz.target import Run, housed


def _ollama() -> Iterator[Run]:
    """A manifest under a name that only the older folder has, and by a link under one that both have; and a link that
    leads out of the store, behind which it must not be seen."""
    with tempfile.TemporaryDirectory() as outside:
        store = OllamaStore(folder := Path(outside, "models"))
        name, both = (OllamaName("registry.ollama.ai", "library", "m", tag) for tag in ("latest", "both"))
        place = _made(folder / "manifests", name)
        _made(folder / "manifests", both).write_bytes(b"{}")
        _made(folder / "manifests-v2", both).symlink_to(place)
        out = Path(outside, "out")
        place.with_name("out").symlink_to(out)
        place.with_name(".bad tag").write_bytes(b"")

        def run(data: bytes) -> None:
            for path in (out, place):
                path.write_bytes(data)
            assert {str(model.name) for model in store.models() if isinstance(model, OllamaModel)} in (
                set(),
                {"m:latest", "m:both"},
            )
            with suppress(EngineError):
                parts = Manifest.parse(data).parts
                store.write(name, data, {part.sha256: b"x" for part in parts[1:]})
            with suppress(EngineError):
                store.write(name, data, {part.sha256: b"x" for part in Manifest.parse(data).parts})
                assert {model.content for model in store.models() if isinstance(model, OllamaModel)} == {data}
            text = data[:90].decode("utf-8", "replace")
            with suppress(PathError):
                OllamaName("h", "n", "m", text)
            with suppress(PathError):
                assert all(path.parent.name == "blobs" for path in store.find(Digest.parse(text)))

        yield run
        made, config = synthesise([("model", Digest("sha256", HEX), 3)], Facts("llama"))
        blob = Path(folder, "blob")
        blob.write_bytes(b"x")
        digests = {part.sha256: blob if part.size == 3 else config for part in Manifest.parse(made).parts}
        store.write(OllamaName("REGISTRY.ollama.ai", "library", "M", "x"), made, digests)


def _made(folder: Path, name: OllamaName) -> Path:
    """Where its manifest goes."""
    path = folder.joinpath(*name.parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


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
) | st.sampled_from([HEX, f"sha256:{HEX}", f"git-sha1:{HEX[:40]}"]).map(str.encode)
ollama = housed(
    "ollama-store",
    _OLLAMA,
    tuple(b'"digest": "size": "config": "layers": "mediaType": sha256: { [ \xff null 1e99'.split()),
    "store/ollama_store.py",
)(_ollama)
TARGETS = (ollama,)
