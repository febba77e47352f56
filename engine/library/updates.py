"""Whether the models of this machine are still what their registries publish. Digests are compared, never JSON."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.errors import EngineError, NotFound, PathError, StoreError
from engine.library.choices import as_dict
from engine.library.finding import Found, Request, find_all
from engine.library.keys import key_of
from engine.library.views import views_of
from engine.manifest_record import ModelManifest, Selection
from engine.model_path import ModelPath
from engine.model_registry import ModelRegistry
from engine.settings import MIB, Settings, home
from engine.sources import Choice
from engine.store import layout
from engine.store.receipts import Receipts
from engine.transfer.admission import hash_file
from engine.transfer.job import Job
from engine.transport.auth import hub_credentials


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a model stands to what is published."""

    model: str
    changed: list[str] = []
    """Files that are new or have another content."""
    gone: list[str] = []
    """Files that are no longer published."""
    unknown: bool = False
    """Its server publishes no digests: only pulling it again would tell."""
    revision: str | None = None
    """What its branch or tag names now, where that is another commit or manifest than it was; its files may be the
    same."""
    error: EngineError | None = None

    @property
    def is_outdated(self) -> bool:
        return bool(self.changed or self.gone)


def look_for_updates(manifests: Sequence[ModelManifest], settings: Settings) -> list[Standing]:
    """Ask the sources; one that fails does not stop the others."""
    found = find_again(manifests, settings)
    return [_compare(manifest, one) for manifest, one in zip(manifests, found, strict=True)]


def find_again(manifests: Sequence[ModelManifest], settings: Settings) -> list[Found]:
    """What the models' paths mean now, with all that was chosen then."""
    asked = [_requests(manifest, settings) for manifest in manifests]
    requests = [request for one in asked if not isinstance(one, EngineError) for request in one]
    found = iter(find_all(requests, hub_credentials(None)))
    return [
        Found(ModelPath("", "", ""), [], error=one)
        if isinstance(one, EngineError)
        else _together([next(found) for _ in one])
        for one in asked
    ]


def _requests(manifest: ModelManifest, settings: Settings) -> list[Request] | EngineError:
    """The questions, or why there are none: not every manifest is of a model that somebody publishes."""
    try:
        path = ModelRegistry.parse(manifest.model_key)
        if key_of(path) != manifest.model_key or path.registry != manifest.registry:
            raise PathError("it was not pulled from a registry under that name.")
        choices = [_choice(selection) for selection in manifest.selected]
    except (PathError, msgspec.ValidationError) as exc:
        return NotFound(f"It cannot be asked about: {exc.args[0]}")
    return [Request(targets=(path,), settings=settings, choice=choice) for choice in choices]


def _choice(selection: Selection) -> Choice:
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in selection.choice.items()}
    return msgspec.convert(fields, Choice)


def _together(found: list[Found]) -> Found:
    """Answers about one model as one: it has them all, or is not complete."""
    first = next((one for one in found if one.error is not None), found[0])
    if first.error is not None or len(found) == 1:
        return first
    files = {job.target: job for one in found for job in one.files}
    if len({job.remote.revision for job in files.values()}) > 1:
        moved = EngineError(f"{first.target.canonical} has changed while it was asked about. Try again.")
        return Found(first.target, [], error=moved)
    return msgspec.structs.replace(
        first,
        jobs=[job for one in found for job in one.jobs],
        files=list(files.values()),
        selections=[
            Selection(as_dict(one.choice), [str(job.remote.name) for job in one.files]) for one in found
        ],
    )


def _compare(manifest: ModelManifest, found: Found) -> Standing:
    if found.error is not None:
        return Standing(model=manifest.model_key, error=found.error)
    have = {layer.filename: view for layer, view in zip(manifest.layers, views_of(manifest), strict=True)}
    sums = {layer.filename: layer.sha256 for layer in manifest.layers}
    revision = found.files[0].remote.revision
    published = {str(job.remote.name): job for job in found.files}
    return Standing(
        model=manifest.model_key,
        changed=sorted(
            name
            for name, job in published.items()
            if name not in have or _has_changed(job, sums[name], have[name])
        ),
        gone=sorted(have.keys() - published.keys()),
        unknown=all(job.remote.digest is None for job in found.files),
        revision=revision if manifest.revision not in (None, revision) else None,
    )


def _has_changed(job: Job, sha256: str, view: Path) -> bool:
    """Whether what is published is another content than the one with this SHA-256, which lies at view. Git's digest of
    that is in its receipt; where that is lost, the file tells, as far as it is still what it was."""
    digest = job.remote.digest
    if digest is None or str(digest) == f"sha256:{sha256}":
        return False
    receipt = Receipts(layout.receipts(home())).find(view)
    if receipt is not None and receipt.sha256 == sha256 and receipt.digest is not None:
        return str(digest) != receipt.digest
    if digest.algorithm == "sha256":
        return True

    try:
        found = hash_file(view, ("sha256", digest.algorithm), MIB)
    except StoreError:
        return True
    return (found["sha256"], found[digest.algorithm]) != (sha256, digest.hex)
