"""Models where other tools look for them: `--into hf-cache` and `--into ollama`.

What was pulled and verified gets a second name there, of the same bytes wherever the disk can; our own stays. What
was put there before and still has its receipt is not put there again, which matters where a copy is all there is.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from engine.digest import Digest
from engine.errors import UsageError
from engine.library.description import facts_at
from engine.library.finding import Found
from engine.library.shelves import shelf_of
from engine.model_downloader import Outcome
from engine.model_path import HUB_REGISTRY, OLLAMA_REGISTRY, quantization_of
from engine.remote_file import RemoteName
from engine.settings import home
from engine.sources.selection import Choice, Wish
from engine.store import layout
from engine.store.blobs import Blobs
from engine.store.hf_cache import HubCache, hub_cache
from engine.store.linking import place
from engine.store.ollama_store import Facts, OllamaName, OllamaStore, ollama_target, synthesise
from engine.store.receipts import Receipts
from engine.transfer.events import FileDone, Shared

Tool = Literal["hf-cache", "ollama"]


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """One verified file of a model."""

    name: RemoteName
    path: Path
    size: int
    sha256: Digest
    published: Digest
    """The digest that its registry has for it; else its SHA-256."""
    role: str

    @property
    def is_gguf(self) -> bool:
        return self.name.lower().endswith(".gguf")


def share(into: Tool, found: Found, outcomes: Mapping[Path, Outcome], choice: Choice) -> Shared | None:
    """Put a complete model there; None where it is not complete, which somebody else has told by now.

    Raises UsageError and PathError for a model that the other tool cannot have, StoreError.
    """
    pieces = _pieces(found, outcomes)
    if not pieces or len(pieces) < len(found.files):
        return None
    return _into_hub_cache(found, pieces, choice) if into == "hf-cache" else _into_ollama(found, pieces)


def _pieces(found: Found, outcomes: Mapping[Path, Outcome]) -> list[Piece]:
    pieces = []
    for job in found.files:
        done = outcomes.get(job.target)
        if isinstance(done, FileDone) and done.sha256 is not None:
            sha256 = Digest("sha256", done.sha256)
            pieces.append(
                Piece(
                    name=job.remote.name,
                    path=job.target,
                    size=done.size,
                    sha256=sha256,
                    published=job.remote.digest or sha256,
                    role=job.remote.role,
                )
            )
    return pieces


def put(source: Path, target: Path) -> None:
    """linking.place for a file with a receipt, which it hands on; nothing is done where target has that already.
    Raises OSError, StoreError."""
    receipts = Receipts(layout.receipts(home()))
    ours, theirs = receipts.find(source), receipts.find(target)
    if ours is None or not ours.fits(source.lstat()):
        place(source, target)
        return
    try:
        if theirs is not None and theirs.sha256 == ours.sha256 and theirs.fits(target.lstat()):
            return
    except FileNotFoundError:
        pass
    Blobs(home()).view(ours, target)


def _into_hub_cache(found: Found, pieces: Sequence[Piece], choice: Choice) -> Shared:
    path, commit = found.target, found.files[0].remote.revision
    if path.url is not None or path.registry == OLLAMA_REGISTRY or commit is None:
        raise UsageError(
            f"The Hugging Face cache keeps models of the Hub, by their commit, and {path.canonical} is none. "
            "Leave out --into, or pull the model from the Hub."
        )
    cache = HubCache(hub_cache())
    revision = Wish.of(path, choice).revision
    files = [(piece.name, piece.path, piece.published) for piece in pieces]
    paths = cache.write(path.model_id, revision, commit, files, put)
    return Shared(
        into="hf-cache", model=path.model_id, root=str(cache.root), paths=[str(file) for file in paths]
    )


def _into_ollama(found: Found, pieces: Sequence[Piece]) -> Shared:
    store, name = OllamaStore(ollama_target()), ollama_name(found, pieces)
    blobs: dict[Digest, Path | bytes] = {piece.sha256: piece.path for piece in pieces}
    content = _registry_manifest(found)
    if content is None:
        content, config = synthesise(_layers(found, pieces), _facts(pieces))
        blobs[Digest("sha256", hashlib.sha256(config).hexdigest())] = config
    manifest = store.write(name, content, blobs, put)
    return Shared(into="ollama", model=str(name), root=str(store.root), paths=[str(manifest)])


def _registry_manifest(found: Found) -> bytes | None:
    """What the registry sent, byte for byte, where the model came from one that has manifests."""
    raw = found.source.manifest if found.source else None
    return raw.body if raw is not None and b"application/vnd.ollama.image." in raw.body else None


def ollama_name(found: Found, pieces: Sequence[Piece]) -> OllamaName:
    """The name under which Ollama itself would have pulled it; for a plain file its host's. Raises PathError."""
    path = found.target
    if path.url is not None:
        stem = pieces[0].name.rpartition("/")[2].removesuffix(".gguf")
        return OllamaName(shelf_of(path)[0], "files", stem, "latest")
    if path.registry != HUB_REGISTRY:
        return OllamaName(path.registry, path.namespace or "library", path.repository, path.tag or "latest")
    quantization = path.quantization or quantization_of(pieces[0].name)
    return OllamaName("hf.co", path.namespace or "library", path.repository, quantization or "latest")


def _layers(found: Found, pieces: Sequence[Piece]) -> list[tuple[str, Digest, int]]:
    """Model and projectors. Raises UsageError for what Ollama does not take as it is."""
    ggufs = [piece for piece in pieces if piece.is_gguf]
    models = [piece for piece in ggufs if not _is_projector(piece)]
    if len(models) != 1:
        what = (
            f"{len(models)} GGUF files (a split model, or several)" if models else "no GGUF file of a model"
        )
        raise UsageError(
            f"Ollama takes one GGUF file as a model, and of {found.target.canonical} there is {what}. Choose one with "
            "--quant or --file, or use `ollama create`."
        )
    ordered = models + [piece for piece in ggufs if _is_projector(piece)]
    return [("projector" if _is_projector(p) else "model", p.sha256, p.size) for p in ordered]


def _is_projector(piece: Piece) -> bool:
    return piece.role == "projector" or "mmproj" in piece.name.rpartition("/")[2].lower()


def _facts(pieces: Sequence[Piece]) -> Facts:
    model = next(piece for piece in pieces if piece.is_gguf and not _is_projector(piece))
    said = facts_at(model.path)
    return Facts(
        architecture=str(said.get("architecture") or ""),
        parameters=str(said.get("parameters") or ""),
        quantization=quantization_of(model.name) or str(said.get("quantization") or ""),
    )
