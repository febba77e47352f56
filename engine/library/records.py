"""What is remembered of a model that was pulled into the store: its manifest, and the registry's own."""

from collections.abc import Mapping
from pathlib import Path

from engine.library.choices import as_dict
from engine.library.description import describe
from engine.library.finding import Found, shelf_of
from engine.library.keys import key_of
from engine.library.views import original_of
from engine.model_downloader import Outcome
from engine.model_manifest import ManifestManager, ModelManifest
from engine.settings import home
from engine.store import layout
from engine.store.linking import write_whole
from engine.telemetry import Log, redact
from engine.transfer.events import FileDone
from engine.transfer.job import Job

_log = Log(__name__)


def record(
    found: Found, outcomes: Mapping[Path, Outcome], manager: ManifestManager | None = None
) -> ModelManifest | None:
    """Write the manifest of a model that is complete; one that is not keeps the manifest it had. Nothing is written
    where nothing has changed. manager: the store's unless told. Returns the manifest of the version before where
    this is another one of the same choice, which has come in place of it. Raises StoreError."""
    pairs = [(job, outcomes.get(job.target)) for job in found.files]
    done = [(job, outcome) for job, outcome in pairs if isinstance(outcome, FileDone)]
    if len(done) < len(found.files):
        return None
    manager = manager or ManifestManager(layout.manifests(home()))
    key = key_of(found.target)
    known = manager.get_manifest(key)
    fresh = _manifest(found, done, known)
    has_changed = known is None or _content(known) != _content(fresh)
    if has_changed:
        describe(fresh, done[0][0].target)
        manager.update_manifest(key, fresh)
    _keep_original(found, fresh)
    is_successor = has_changed and known is not None and known.choice == fresh.choice
    return known if is_successor else None


def _keep_original(found: Found, manifest: ModelManifest) -> None:
    """The registry's own manifest, where all that it names is here: whoever asks our server gets these bytes."""
    choice, raw = found.choice, found.source.manifest if found.source else None
    if raw is None or choice.file or choice.include or choice.exclude:
        return
    place = original_of(manifest)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, raw.body)
    except OSError as exc:
        # A tag may be called as another repository's folder. The model itself is complete.
        _log.warning("original.refused", path=str(place), error=exc.strerror or "")


def _manifest(found: Found, done: list[tuple[Job, FileDone]], known: ModelManifest | None) -> ModelManifest:
    path = found.target
    namespace, repository = shelf_of(path)
    manifest = ModelManifest(
        model_key=key_of(path),
        registry=path.registry,
        namespace=namespace,
        repository=repository,
        tag=path.tag,
        revision=done[0][0].remote.revision,
        quantization=path.quantization or (found.choice.quant and found.choice.quant.upper()),
        choice=as_dict(found.choice),
    )
    for job, outcome in done:
        remote = job.remote
        if outcome.sha256 is not None:
            manifest.add_layer(
                str(remote.name), outcome.sha256, outcome.size, role=remote.role, url=redact(remote.url)
            )
    manifest.mark_downloaded()
    if all(outcome.verified is True for _, outcome in done):
        manifest.mark_verified()
    if known is not None:
        for field in ("display_name", "parameters", "context_length", "architecture"):
            setattr(manifest, field, getattr(known, field))
        if [layer.content for layer in known.layers] == [layer.content for layer in manifest.layers]:
            manifest.quantization = manifest.quantization or known.quantization
    return manifest


def _content(manifest: ModelManifest) -> tuple[object, ...]:
    """What makes a manifest worth writing again."""
    layers = [(layer.content, layer.role) for layer in manifest.layers]
    return (
        layers,
        manifest.choice,
        manifest.revision,
        manifest.downloaded,
        manifest.verified,
        manifest.quantization,
    )
