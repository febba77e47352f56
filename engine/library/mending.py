"""What `verify` is about: files by name, or those of models; and how one that is damaged is mended."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.digest import Digest
from engine.errors import NotFound, PathError
from engine.library.lookup import find_model, manifests
from engine.library.pulling import pull_jobs
from engine.library.repair import bad_segments, job_for_layer, job_for_receipt, salvage
from engine.library.views import views_of
from engine.manifest_record import Layer, ModelManifest
from engine.model_downloader import Outcome
from engine.settings import MIB, Settings, home
from engine.store.blobs import Blobs
from engine.store.receipts import Receipt, Receipts
from engine.telemetry import Log
from engine.transfer.admission import hash_file
from engine.transfer.events import Observer
from engine.transfer.job import Job
from engine.transport.auth import hub_credentials

_log = Log(__name__)


class Subject(msgspec.Struct, frozen=True):
    """A file to verify, and the model that it belongs to."""

    path: Path
    manifest: ModelManifest | None = None
    layer: Layer | None = None

    @property
    def digest(self) -> Digest | None:
        """What the model's manifest says it is."""
        return Digest.parse(self.layer.sha256) if self.layer else None


def subjects_of(texts: Sequence[str]) -> list[Subject]:
    """Each text is a file that is there, a model, or else a file that is not; no text means all models."""
    if not texts:
        return [subject for manifest in manifests().list_manifests() for subject in _of_any(manifest)]
    return [subject for text in texts for subject in _of_text(text)]


def mend(subject: Subject, receipts: Receipts, observer: Observer) -> Outcome:
    """Fetch again what is damaged or missing of a file. Raises NotFound for a file that nothing is known of."""
    receipt = receipts.find(subject.path)
    if subject.manifest is not None and subject.layer is not None:
        job = job_for_layer(subject.manifest, subject.layer)
    elif receipt is not None:
        job = job_for_receipt(receipt)
    else:
        raise NotFound(f"Nothing is known about {str(subject.path)!r}: pull it from its address.")
    if job.is_stored and _has_sound_blob(job.remote.digest):
        receipts.forget(subject.path)
    elif subject.path.exists() and receipt is not None and _is_of(receipt, job):
        salvage(subject.path, receipt, bad_segments(subject.path, receipt), job)
    ((_, outcome),) = pull_jobs([job], Settings(), hub_credentials(None), observer)
    return outcome


def _is_of(receipt: Receipt, job: Job) -> bool:
    """Whether the receipt's checks are those of the content that the job is to fetch."""
    return job.remote.digest is not None and receipt.sha256 == job.remote.digest.hex


def _of_any(manifest: ModelManifest) -> list[Subject]:
    try:
        return _of_model(manifest)
    except PathError as exc:
        # It was written by hand; the others are none the worse for it.
        _log.warning("manifest.broken", path=str(manifests().path_of(manifest.model_key)), why=str(exc))
        return []


def _has_sound_blob(digest: Digest | None) -> bool:
    """Whether the store has that content, read again; a blob that is something else goes. It may be the damaged file
    itself, under another name."""
    blobs = Blobs(home())
    if digest is None or digest.algorithm != "sha256" or blobs.find(digest.hex) is None:
        return False
    if hash_file(blobs.path_of(digest.hex), ("sha256",), 4 * MIB)["sha256"] == digest.hex:
        return True
    blobs.remove(digest.hex)
    return False


def _of_text(text: str) -> list[Subject]:
    path = Path(text).expanduser().absolute()
    if path.exists():
        return [Subject(path)]
    try:
        return _of_model(find_model(text))
    except NotFound as exc:
        if text.startswith(("/", ".", "~")):
            return [Subject(path)]
        raise NotFound(f"{exc.args[0]} Nor is there a file of that name.") from None


def _of_model(manifest: ModelManifest) -> list[Subject]:
    pairs = zip(views_of(manifest), manifest.layers, strict=True)
    return [Subject(view, manifest, layer) for view, layer in pairs]
