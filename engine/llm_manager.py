"""LLMManager, the mission's door for whoever just wants a model: path in, verified file out, remembered."""

from collections.abc import Iterable
from pathlib import Path

from engine.arguments import check_callable, check_path, check_text
from engine.errors import EngineError, SeveralFailed, UsageError
from engine.library.finding import Found, Request, credentials_for, find_jobs
from engine.library.keys import key_of
from engine.library.pulling import pull_models
from engine.library.records import record
from engine.library.removal import remove_model
from engine.library.shelves import shelf_of
from engine.manifest_record import ModelManifest
from engine.model_downloader import CallbackObserver, ProgressCallback
from engine.model_manifest import ManifestManager
from engine.model_path import HUB_REGISTRY
from engine.remote_file import RemoteName
from engine.settings import Settings, home
from engine.sources import Choice
from engine.store import layout
from engine.store.aliases import Aliases
from engine.store.disk import disk_errors
from engine.store.receipts import Receipts

__all__ = ["LLMManager"]


class LLMManager:
    """Models by their paths: pulled, found again, deleted. By default those of the store, which `jarvis list` shows."""

    def __init__(
        self,
        download_dir: Path | str | None = None,
        manifest_dir: Path | str | None = None,
        *,
        settings: Settings | None = None,
    ) -> None:
        """With download_dir, files keep their own paths below it, as with `jarvis pull -d`, and manifests go to
        manifest_dir, else to its folder `.manifests`. With manifest_dir alone, the store has the files, and the
        manifests are there, too. settings: how pulls are done; may be replaced any time, and
        a pull that is running obeys its limit_rate within a fifth of a second."""
        check_path(download_dir=download_dir or ".", manifest_dir=manifest_dir or ".")
        self.download_dir = None if download_dir is None else Path(download_dir).expanduser().absolute()
        self.manifest_dir = None if manifest_dir is None else Path(manifest_dir).expanduser().absolute()
        self.settings = settings or Settings()
        self._hf_token: str | None = None

    @property
    def manifests(self) -> ManifestManager:
        """Where this manager's models are remembered."""
        if self.manifest_dir is not None:
            return ManifestManager(self.manifest_dir)
        if self.download_dir is not None:
            return ManifestManager(self.download_dir / ".manifests")
        return ManifestManager(layout.manifests(home()))

    def set_hf_token(self, token: str) -> None:
        """Use this token for the Hub, before those of the environment and of the Hub's own file."""
        if token is not None:  # as it is where a variable is not set
            check_text(token=token)
        self._hf_token = token

    def download_model_from_path(
        self, path: str, quantization: str | None = None, progress_callback: ProgressCallback | None = None
    ) -> Path:
        """Fetch a model, all of its files, and return the path of the main one, once everything is verified.

        path: a shortcut, also one of `jarvis alias`, a model path or a URL (model_registry.py has the grammar). What is
        here already is not fetched again; what an earlier call left is continued. progress_callback gets a
        DownloadProgress, with the path as it was given as its model, on the caller's thread, one file after the
        other.

        Raises EngineError (a RuntimeError): see errors.py; SeveralFailed where more than one file failed.
        """
        check_text(path=path, quantization=quantization or "")
        if not isinstance(self.settings, Settings):
            raise UsageError(f"settings must be Settings, not {type(self.settings).__name__}.")
        check_callable(progress_callback=progress_callback)
        target = Aliases(home()).parse(path)
        request = Request(
            targets=(target,),
            settings=self.settings,
            choice=Choice(quant=quantization),
            directory=self.download_dir,
            token=self._hf_token if target.registry == HUB_REGISTRY and target.url is None else None,
        )
        credentials = credentials_for(request)
        (found,) = find_jobs(request, credentials)
        if found.error is not None:
            raise found.error
        self._check_places(found)
        done = pull_models(
            [found],
            self.settings,
            credentials,
            CallbackObserver(path, progress_callback),
            limit_rate=lambda: self.settings.limit_rate,
        )
        _raise_any(outcome for _, outcome in done if isinstance(outcome, EngineError))
        if self.download_dir is not None or self.manifest_dir is not None:
            record(found, {job.target: outcome for job, outcome in done}, self.manifests)
        return found.files[0].target

    def list_models(self) -> list[ModelManifest]:
        """All models, by their keys."""
        return self.manifests.list_manifests()

    def get_model(self, path: str) -> ModelManifest | None:
        """A model by its key or by any spelling of its path; None where it is not here."""
        for key in _keys(path):
            if (manifest := self.manifests.get_manifest(key)) is not None:
                return manifest
        return None

    def delete_model(self, path: str) -> bool:
        """Delete a model's manifest, and its files as far as no other model has them; whether it was here.
        Raises StoreError."""
        manifest = self.get_model(path)
        if manifest is None:
            return False
        if self.download_dir is None:
            remove_model(manifest)
        else:
            self._delete_files(manifest, self.download_dir)
        self.manifests.delete_manifest(manifest.model_key)
        return True

    def _delete_files(self, manifest: ModelManifest, folder: Path) -> None:
        others = [other for other in self.list_models() if other.model_key != manifest.model_key]
        needed = {layer.filename for other in others for layer in other.layers}
        receipts = Receipts(layout.receipts(home()))
        for layer in manifest.layers:
            if layer.filename not in needed:
                path = layout.inside(folder, RemoteName.parse(layer.filename))
                with disk_errors("delete", path):
                    path.unlink(missing_ok=True)
                receipts.forget(path)

    def _check_places(self, found: Found) -> None:
        """In one folder, two models may each have a file of the same name. Raises UsageError before one of them
        would silently become the other's."""
        if self.download_dir is None:
            return
        jobs = {str(job.remote.name): job for job in found.files}
        for other in self.list_models():
            if (other.registry, other.namespace, other.repository) == _repository(found):
                continue
            for layer in other.layers:
                job = jobs.get(layer.filename)
                if job is not None and (job.remote.digest is None or job.remote.digest.hex != layer.sha256):
                    raise UsageError(
                        f"{str(job.target)!r} belongs to {other.model_key} already. Give {found.target.canonical} "
                        "another download_dir."
                    )


def _repository(found: Found) -> tuple[str, str, str]:
    return (found.target.registry, *shelf_of(found.target))


def _keys(path: str) -> Iterable[str]:
    check_text(path=path)
    yield path
    try:
        yield key_of(Aliases(home()).parse(path))
    except EngineError:
        return


def _raise_any(errors: Iterable[EngineError]) -> None:
    found = list(errors)
    if len(found) == 1:
        raise found[0]
    if found:
        raise SeveralFailed(" ".join(str(error) for error in found), found)
