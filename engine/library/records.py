"""What is remembered of a model that was pulled into the store: its manifest, and the registry's own."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from engine.library.choices import as_dict
from engine.library.description import describe
from engine.library.finding import Found
from engine.library.keys import key_of
from engine.library.shelves import shelf_of
from engine.library.uniting import unite
from engine.library.views import original_of
from engine.manifest_record import Layer, ModelManifest
from engine.model_downloader import Outcome
from engine.model_manifest import ManifestManager
from engine.remote_file import RemoteName
from engine.settings import home
from engine.store import layout
from engine.store.linking import write_whole
from engine.telemetry import Log, redact
from engine.transfer.events import FileDone
from engine.transfer.job import Job

_log = Log(__name__)


class Renewed(msgspec.Struct, frozen=True):
    """A manifest that has come in place of another one."""

    before: ModelManifest
    after: ModelManifest

    @property
    def is_update(self) -> bool:
        """Whether the same was chosen, so that what is gone has no place in the model any more."""
        return self._choices(self.before) == self._choices(self.after)

    @property
    def left(self) -> list[Layer]:
        """What was named before and is not any more."""
        names = {layer.filename for layer in self.after.layers}
        return [layer for layer in self.before.layers if layer.filename not in names]

    @staticmethod
    def _choices(manifest: ModelManifest) -> list[dict[str, str | list[str]]]:
        return [selection.choice for selection in manifest.selected]


def record(
    found: Found, outcomes: Mapping[Path, Outcome], manager: ManifestManager | None = None
) -> Renewed | None:
    """Write the manifest of a model that is complete; one that is not keeps the manifest it had. Nothing is written
    where nothing has changed. manager: the store's unless told. Returns what was there before, where that was
    changed. Raises StoreError."""
    pairs = [(job, outcomes.get(job.target)) for job in found.files]
    done = [(job, outcome) for job, outcome in pairs if isinstance(outcome, FileDone)]
    if len(done) < len(found.files):
        return None
    manager = manager or ManifestManager(layout.manifests(home()))
    before, after = manager.change_manifest(key_of(found.target), lambda known: _renewed(found, done, known))
    _keep_original(found, after)
    return Renewed(before, after) if before is not None and after is not before else None


def _renewed(found: Found, done: list[tuple[Job, FileDone]], known: ModelManifest | None) -> ModelManifest:
    """What is to be kept of a model now; known itself, where that says the same."""
    fresh = _manifest(found, done)
    unite(fresh, known)
    if known is not None and _content(known) == _content(fresh):
        return known
    describe(fresh, _files(fresh, done[0][0]))
    return fresh


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


def _manifest(found: Found, done: list[tuple[Job, FileDone]]) -> ModelManifest:
    """Of what was pulled just now."""
    path = found.target
    namespace, repository = shelf_of(path)
    manifest = ModelManifest(
        model_key=key_of(path),
        registry=path.registry,
        namespace=namespace,
        repository=repository,
        tag=path.tag,
        folder=_unusual_folder(found),
        revision=done[0][0].remote.revision,
        quantization=path.quantization or (found.choice.quant and found.choice.quant.upper()),
        choice=found.selections[0].choice if found.selections else as_dict(found.choice),
        selections=found.selections if len(found.selections) > 1 else [],
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
    return manifest


def _files(manifest: ModelManifest, job: Job) -> dict[str, Path]:
    """Where the files of a model lie, in the store or elsewhere: beside the one of this job."""
    folder = job.target.parents[job.remote.name.count("/")]
    return {
        layer.filename: layout.inside(folder, RemoteName.parse(layer.filename)) for layer in manifest.layers
    }


def _unusual_folder(found: Found) -> str | None:
    return found.shelf.folder if found.shelf is not None and found.shelf.folder != found.shelf.usual else None


def _content(manifest: ModelManifest) -> tuple[object, ...]:
    """What makes a manifest worth writing again."""
    layers = [(layer.content, layer.role) for layer in manifest.layers]
    return (
        layers,
        manifest.folder,
        manifest.choice,
        manifest.selections,
        manifest.revision,
        manifest.downloaded,
        manifest.verified,
        manifest.quantization,
    )
