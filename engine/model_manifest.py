"""Manifests: what is known of each model on this machine. One JSON file a model, a few KiB (manifest_file.py).

A file is replaced by a rename, so a reader sees the old one or the new one, whole; a lock of the folder orders
writers, of all threads and processes. For one key the last writer wins whole; what it replaces goes into
the history. A file that cannot be read is named and passed over: it never hides the others.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.arguments import check_path, check_text
from engine.manifest_file import Broken, encoded, file_name, read, replace
from engine.manifest_record import Layer, ModelManifest, succeed
from engine.regular_file import open_regular
from engine.store.disk import disk_errors, sync_folder
from engine.store.waiting import lock

__all__ = ["Layer", "ManifestManager", "ModelManifest"]


class ManifestManager:
    """The manifests of one folder. Holds no state: several managers, threads and processes may share the folder."""

    def __init__(self, manifest_dir: Path | str) -> None:
        """The folder is made with the first manifest."""
        check_path(manifest_dir=manifest_dir)
        self.manifest_dir = Path(manifest_dir).expanduser().absolute()

    def create_manifest(
        self,
        model_key: str,
        registry: str,
        namespace: str,
        repository: str,
        display_name: str | None = None,
        parameters: str | None = None,
        context_length: int | None = None,
        **more: Any,
    ) -> ModelManifest:
        """A manifest without layers, kept at once; one of the same key is replaced, and what it had becomes history.

        `more` are further fields of ModelManifest by name. Raises as update_manifest does.
        """
        manifest = ModelManifest(
            model_key=model_key,
            registry=registry,
            namespace=namespace,
            repository=repository,
            display_name=display_name,
            parameters=parameters,
            context_length=context_length,
            **more,
        )
        self.update_manifest(model_key, manifest)
        return manifest

    def update_manifest(self, key: str, manifest: ModelManifest) -> None:
        """Keep manifest under key, whatever is there. Sets its model_key, updated_at, version and history.

        Durable when it returns. Raises UsageError for fields that cannot be, StoreError where the disk refuses.
        """
        self.change_manifest(key, lambda _: manifest)

    def change_manifest(
        self, key: str, change: Callable[[ModelManifest | None], ModelManifest]
    ) -> tuple[ModelManifest | None, ModelManifest]:
        """The same for what change makes of the manifest that is there; no other writer comes in between. Returns both.
        Where change hands back what it was given, nothing is written. It must not alter that one."""
        place = self.path_of(key)
        with disk_errors("keep the manifest", place), self._locked():
            stored = self._find(place)
            manifest = change(stored)
            if manifest is not stored:
                manifest.model_key, manifest.updated_at = key, datetime.now(UTC)
                encoded(manifest)  # raises for what cannot be, also what history would hide
                if stored is not None:
                    succeed(manifest, stored)
                replace(place, encoded(manifest))
            return stored, manifest

    def get_manifest(self, key: str) -> ModelManifest | None:
        """None where there is none; so too for one that cannot be read, which is logged."""
        return self._find(self.path_of(key))

    def list_manifests(self) -> list[ModelManifest]:
        """All that can be read, by key; the others are logged. Raises StoreError for a folder that cannot be."""
        return self.scan()[0]

    def scan(self) -> tuple[list[ModelManifest], list[Broken]]:
        """All manifests by key, and the files that are none of ours. Raises StoreError."""
        manifests: list[ModelManifest] = []
        broken: list[Broken] = []
        for place in self._places():
            match read(place):
                case ModelManifest() as manifest:
                    manifests.append(manifest)
                case Broken() as fault:
                    broken.append(fault)
        return sorted(manifests, key=lambda manifest: manifest.model_key), broken

    def delete_manifest(self, key: str) -> bool:
        """Whether there was one. No file of the model is touched. Raises StoreError."""
        place = self.path_of(key)
        if not self.manifest_dir.is_dir():
            return False
        with disk_errors("delete the manifest", place), self._locked():
            try:
                place.unlink()
            except FileNotFoundError:
                return False
            sync_folder(self.manifest_dir)
        return True

    def get_model_stats(self) -> dict[str, Any]:
        """total_models, downloaded, verified, total_files, total_size_bytes, total_size_gb (10^9, two decimals), and
        how many files are broken. Sizes are those of all layers; content that models share counts for each."""
        manifests, broken = self.scan()
        size = sum(manifest.size_bytes for manifest in manifests)
        return {
            "total_models": len(manifests),
            "downloaded": sum(manifest.downloaded for manifest in manifests),
            "verified": sum(manifest.verified for manifest in manifests),
            "total_files": sum(len(manifest.layers) for manifest in manifests),
            "total_size_bytes": size,
            "total_size_gb": round(size / 1e9, 2),
            "broken": len(broken),
        }

    def path_of(self, key: str) -> Path:
        """The manifest's file. Raises PathError for a key that cannot name one,
        UsageError for one that is no text."""
        check_text(key=key)
        return self.manifest_dir / file_name(key)

    def _places(self) -> list[Path]:
        with disk_errors("look for manifests in", self.manifest_dir):
            try:
                names = os.listdir(self.manifest_dir)  # noqa: PTH208 - a thousand Paths cost more than the names
            except FileNotFoundError:
                return []
        return [self.manifest_dir / name for name in sorted(names) if name.endswith(".json")]

    def _find(self, place: Path) -> ModelManifest | None:
        found = read(place)
        return found if isinstance(found, ModelManifest) else None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time. Where the file system has no locks, the rename alone must do: then two writers of
        one key at the same moment may lose an entry of the history."""
        self.manifest_dir.mkdir(parents=True, exist_ok=True)
        path = self.manifest_dir / ".lock"
        with disk_errors("lock the manifests with", path):
            fd = open_regular(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            lock(fd, fcntl.LOCK_EX, path)
            yield
        finally:
            os.close(fd)
