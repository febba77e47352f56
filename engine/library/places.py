"""Two models may want one place below llm/, where files keep the names that they have in their repositories."""

from collections.abc import Sequence
from pathlib import Path

from engine.errors import PathError, UsageError
from engine.library.keys import key_of
from engine.library.lookup import manifests
from engine.library.views import views_of
from engine.manifest_record import Layer, ModelManifest
from engine.model_path import HUB_REGISTRY, ModelPath
from engine.model_registry import ModelRegistry
from engine.transfer.job import Job


def check_places(path: ModelPath, jobs: Sequence[Job]) -> None:
    """Raise UsageError before a file takes the place of another model's. Manifests are read only where something
    else than what is asked for lies in a place; a new version of the same model may replace the old one."""
    taken = [job for job in jobs if job.is_stored and _is_another(job)]
    if not taken:
        return
    owners = {
        place: (model, layer)
        for model in manifests().list_manifests()
        if _line_of_key(model.model_key) != _line(path) and model.model_key != key_of(path)
        for place, layer in _places(model)
    }
    for job in taken:
        model, layer = owners.get(job.target, (None, None))
        digest = job.remote.digest
        if model is not None and layer is not None and (digest is None or digest.hex != layer.sha256):
            raise UsageError(
                f"{str(job.target)!r} belongs to {model.model_key}. Remove that with `jarvis rm`, or give "
                f"{key_of(path)} a folder of its own with --dir."
            )


def _is_another(job: Job) -> bool:
    receipt = job.receipts.find(job.target)
    if receipt is None:
        return job.target.exists()
    digest = job.remote.digest
    return digest is None or str(digest) not in (f"sha256:{receipt.sha256}", receipt.digest)


def _places(model: ModelManifest) -> list[tuple[Path, Layer]]:
    try:
        return list(zip(views_of(model), model.layers, strict=True))
    except PathError:
        return []


def _line_of_key(key: str) -> tuple[str, str, str]:
    try:
        return _line(ModelRegistry.parse(key))
    except PathError:
        return key, "", ""


def _line(path: ModelPath) -> tuple[str, str, str]:
    """What stays the same from one version of a model to the next."""
    if path.url is not None:
        return key_of(path), "", ""
    version = path.revision if path.registry == HUB_REGISTRY else path.tag or "latest"
    return path.registry, path.model_id, path.pin or version
