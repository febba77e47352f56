"""`jarvis import`: models that are on this machine already become models of the store.

A GGUF file, a folder of them, a Hugging Face cache or an Ollama store, told by its layout. Every file is hashed; where
its own store names it by a digest, the two must agree. The store then has it as a blob that shares bytes with
the original wherever the disk can. What was there stays where it is, and as it is, its mode too.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from engine.digest import Digest
from engine.errors import DigestMismatch, EngineError, NotFound, PathError, StoreError, UsageError
from engine.library.description import describe, fault_at
from engine.library.shelves import Shelves, shelf_of
from engine.library.views import views_of
from engine.manifest_record import LOCAL_REGISTRY, ModelManifest
from engine.model_manifest import ManifestManager
from engine.model_path import quantization_of
from engine.model_registry import ModelRegistry
from engine.remote_file import RemoteName
from engine.settings import MIB, home
from engine.sources.listing import in_words
from engine.sources.oci_layers import layers_of
from engine.sources.oci_manifest import parse_manifest
from engine.sources.splits import missing_shards, set_of
from engine.store import layout
from engine.store.at_work import at_work
from engine.store.blobs import Blobs
from engine.store.disk import disk_errors
from engine.store.foreign import file_inside, files_in, folders_in
from engine.store.hf_cache import CachedModel, HubCache
from engine.store.ollama_store import OllamaModel, OllamaStore, Unusable
from engine.store.receipts import Receipt, Receipts
from engine.transfer.admission import hash_file

_MAX_DEPTH = 16


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a model that is to be imported."""

    name: RemoteName
    path: Path
    """Regular, without links on its way."""
    digest: Digest | None = None
    """What its own store says."""
    role: str = "file"


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is to be imported."""

    key: str
    registry: str
    namespace: str
    repository: str
    files: list[Found]
    tag: str | None = None
    revision: str | None = None
    quantization: str | None = None


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a candidate; error says why it did not become a model."""

    key: str
    paths: list[Path] = []
    """Of its files below llm/."""
    size: int = 0
    notes: list[str] = []
    """What the user should know of it."""
    error: EngineError | None = None


def import_from(path: Path) -> Iterator[Imported]:
    """Import every model at a path, one after the other; what fails does not stop the rest. Raises NotFound where there
    is nothing to import."""
    count, seen = 0, set[str]()
    for count, candidate in enumerate(candidates(path), 1):  # noqa: B007 - told below
        if isinstance(candidate, Imported):
            yield candidate
            continue
        if candidate.key in seen:
            yield Imported(key=candidate.key, error=_namesake(candidate))
            continue
        seen.add(candidate.key)
        try:
            with at_work(home()):
                imported = _import(candidate)
            yield imported
        except EngineError as exc:
            yield Imported(key=candidate.key, error=exc)
    if not count:
        raise NotFound(
            f"There is no model in {str(path)!r}: no .gguf file, no Hugging Face cache, no Ollama store. "
            "Check the path."
        )


def _namesake(candidate: Candidate) -> UsageError:
    return UsageError(
        f"{str(candidate.files[0].path)!r} is called like another model that was just imported, {candidate.key!r}. "
        "Give its file another name and import it again."
    )


def candidates(path: Path) -> Iterator[Candidate | Imported]:
    """What is at a path, by its layout. An Imported is what cannot be a model of ours, and why."""
    if (path / "manifests").is_dir() and (path / "blobs").is_dir():
        store = OllamaStore(path)
        for model in store.models():
            yield _from_ollama(model, store)
        return
    cached = HubCache(path.parent if path.name.startswith("models--") else path)
    models = [m for m in cached.models() if path == cached.root or m.folder == path.name]
    if models:
        yield from (_from_cache(model) for model in _current(models))
        return
    yield from map(_from_files, _split_together(_ggufs(path)))


def _current(models: list[CachedModel]) -> list[CachedModel]:
    """One revision of each repository: main, else the last one that has a name, else any."""
    ranked = sorted(models, key=lambda model: (bool(model.revisions), "main" in model.revisions))
    return list({model.repo_id: model for model in ranked}.values())


def _from_cache(model: CachedModel) -> Candidate | Imported:
    path = ModelRegistry.parse(f"hf.co/{model.repo_id}")
    if model.unusable:
        lacks = f"The cache lacks {in_words(model.unusable)} of it, or it may not be read. Pull the model instead."
        return Imported(key=path.canonical, error=NotFound(lacks))
    namespace, repository = shelf_of(path)
    return Candidate(
        key=path.canonical,
        registry=path.registry,
        namespace=namespace,
        repository=repository,
        revision=model.commit,
        files=[Found(name=name, path=file, digest=_told(file)) for name, file in model.files.items()],
    )


def _told(file: Path) -> Digest | None:
    """The digest by which a repository's blob is named: SHA-256, or git's of small files. Shared blobs have another."""
    kind = {64: "sha256", 40: "git-sha1"}.get(len(file.name))
    if file.parent.name != "blobs" or kind is None:
        return None
    try:
        return Digest.parse(f"{kind}:{file.name}")
    except PathError:
        return None


def _from_ollama(model: OllamaModel | Unusable, store: OllamaStore) -> Candidate | Imported:
    if isinstance(model, Unusable):
        return Imported(key=model.name, error=PathError(f"{model.why} Pull the model instead."))
    name = model.name
    try:
        path = ModelRegistry.parse("/".join(name.parts[:3]) + f":{name.tag}")
        namespace, repository = shelf_of(path)
        manifest = parse_manifest(model.content, str(name))
        layers = layers_of(manifest, repository, name.tag, str(name))  # type: ignore[arg-type]  # an index has no layers, and Ollama none
        lacking = [layer for layer in layers if str(layer.digest) not in model.files]
        if lacking:
            faults = "; ".join(store.fault_of(layer.digest, layer.size) for layer in lacking)
            raise NotFound(f"Not all of it is in Ollama's store: {faults}. Pull the model instead.")
    except (EngineError, AttributeError) as exc:
        error = exc if isinstance(exc, EngineError) else PathError("It has no manifest of a model.")
        return Imported(key=str(name), error=error)
    return Candidate(
        key=path.canonical,
        registry=path.registry,
        namespace=namespace,
        repository=repository,
        tag=path.tag,
        quantization=path.quantization,
        files=[
            Found(name=layer.name, path=model.files[str(layer.digest)], digest=layer.digest, role=layer.role)
            for layer in layers
        ],
    )


def _ggufs(path: Path) -> Iterator[Path]:
    """A file itself, with the other shards of its set; GGUF files in and below a folder, in order."""
    if path.is_file():
        path = path.resolve()
        whole = set_of(path.name)
        beside = files_in(path.parent) if whole else [path]
        yield from (
            file for file in beside if set_of(file.name) == whole and file_inside(file, path.parent) == file
        )
        return
    yield from _below(path, path, 0)


def _below(folder: Path, root: Path, depth: int) -> Iterator[Path]:
    for entry in files_in(folder):
        if entry.suffix.lower() == ".gguf" and (file := file_inside(entry, root)) is not None:
            yield file
    for inner in folders_in(folder):
        if depth < _MAX_DEPTH and not inner.name.startswith("."):
            yield from _below(inner, root, depth + 1)


def _split_together(files: Iterator[Path]) -> list[list[Path]]:
    """Shards of one model together, each other file alone; one that links lead to as well is one all the same."""
    groups = dict[object, list[Path]]()
    for file in dict.fromkeys(files):
        groups.setdefault((file.parent, set_of(file.name) or file.name), []).append(file)
    return list(groups.values())


def _from_files(files: list[Path]) -> Candidate | Imported:
    whole = set_of(files[0].name)
    stem = (whole[0] if whole else files[0].stem).lower()
    try:
        repository = RemoteName.parse(stem)
        found = [Found(name=RemoteName.parse(file.name), path=file, role="model") for file in files]
    except PathError as exc:
        return Imported(
            key=files[0].name, error=PathError(f"{exc} Give it another name and import it again.")
        )
    return Candidate(
        key=stem,
        registry=LOCAL_REGISTRY,
        namespace="local",
        repository=str(repository),
        quantization=quantization_of(files[0].name),
        files=found,
    )


def _import(candidate: Candidate) -> Imported:
    _check_whole(candidate)
    usual = f"{candidate.namespace}/{candidate.repository}"
    shelf = Shelves().choose(candidate.key, candidate.registry, usual)
    folder = layout.inside(layout.models(home()), RemoteName.parse(shelf.folder))
    receipts = [_take(file, layout.inside(folder, file.name)) for file in candidate.files]
    manager = ManifestManager(layout.manifests(home()))
    known = manager.get_manifest(candidate.key)
    manifest = (known if known and known.revision == candidate.revision else None) or ModelManifest(
        model_key=candidate.key,
        registry=candidate.registry,
        namespace=candidate.namespace,
        repository=candidate.repository,
        folder=shelf.folder if shelf.folder != usual else None,
        tag=candidate.tag,
        revision=candidate.revision,
        quantization=candidate.quantization,
    )
    for file, receipt in zip(candidate.files, receipts, strict=True):
        manifest.add_layer(str(file.name), receipt.sha256 or "", receipt.size, role=file.role)
    manifest.mark_downloaded()
    if all(file.digest is not None for file in candidate.files):
        manifest.mark_verified()
    describe(
        manifest,
        {layer.filename: place for layer, place in zip(manifest.layers, views_of(manifest), strict=True)},
    )
    manager.update_manifest(candidate.key, manifest)
    return Imported(
        key=candidate.key,
        paths=[layout.inside(folder, file.name) for file in candidate.files],
        size=sum(r.size for r in receipts),
        notes=[*([shelf.explanation] if shelf.explanation else []), *_doubts(candidate.files)],
    )


def _doubts(files: list[Found]) -> list[str]:
    """What speaks against files that no digest vouches for. They are kept all the same: only their owner knows."""
    doubtful = [file for file in files if file.digest is None and str(file.name).lower().endswith(".gguf")]
    with disk_errors("read", files[0].path):
        return [f"{file.name} may be no model: {why}" for file in doubtful if (why := fault_at(file.path))]


def _check_whole(candidate: Candidate) -> None:
    missing = missing_shards(str(file.name) for file in candidate.files)
    if missing:
        raise NotFound(
            f"{str(candidate.files[0].path)!r} is a part of a model that is not complete: {in_words(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing. Put what is missing beside it and import it again, or "
            "pull the model."
        )


def _take(file: Found, target: Path) -> Receipt:
    """Hash a file, keep it as a blob, make the view; the view's receipt. The original is only read and linked."""
    blobs, receipt = Blobs(home()), _hashed(file)
    if blobs.find(receipt.sha256 or "") is None:
        blobs.adopt(receipt, is_ours=False)
        with disk_errors("look at", file.path):
            if not receipt.fits(file.path.lstat()):
                blobs.remove(receipt.sha256 or "")
                raise StoreError(f"{str(file.path)!r} has changed while it was imported. Try again.")
    blob = blobs.find(receipt.sha256 or "")
    if blob is None:
        raise StoreError(f"{str(file.path)!r} could not be kept as a blob. Try again.")
    if target.exists() and target.samefile(file.path):
        return _vouched(receipt, target)
    return blobs.view(blob, target)


def _vouched(receipt: Receipt, target: Path) -> Receipt:
    """A receipt for another name of the file that was hashed; the one that it has is better, where that still fits."""
    receipts = Receipts(layout.receipts(home()))
    known = receipts.find(target)
    if known is not None and known.sha256 == receipt.sha256 and known.fits(target.lstat()):
        return known
    mine = msgspec.structs.replace(receipt, path=str(target))
    receipts.write(mine)
    return mine


def _hashed(file: Found) -> Receipt:
    with disk_errors("look at", file.path):
        before = file.path.lstat()
    told = file.digest or Digest("sha256", "")
    digests = hash_file(file.path, tuple({"sha256", told.algorithm}), 4 * MIB)
    if told.hex and told.hex != digests[told.algorithm]:
        raise DigestMismatch(
            f"{str(file.path)!r} does not have the SHA256 digest (or git's) that its store says: it is damaged, and "
            "not imported. Pull the model instead.",
            expected=told.hex,
            actual=digests[told.algorithm],
        )
    return Receipt(
        path=str(file.path),
        url="",
        url_hash=0,
        size=before.st_size,
        inode=before.st_ino,
        mtime_ns=before.st_mtime_ns,
        sha256=digests["sha256"],
        digest=None if file.digest is None else str(file.digest),
    )
