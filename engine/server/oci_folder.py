"""Repositories of plain files as a registry has them: what the catalogue lists, with manifests made for it.

Nothing is kept: manifests, configs and blobs are found again from the listing and the digests of its files, which
are computed once for each state of a file. What has changed has another digest, and the old one is unknown then.
"""

import asyncio
from collections.abc import Iterable

from engine.errors import EngineError
from engine.library.description import facts_in
from engine.model_path import quantization_of
from engine.server.catalogue import Catalogue, Entry, Listing, Missing
from engine.server.digests import Digests, awaited
from engine.server.oci_manifests import (
    Blob,
    Manifest,
    config_of,
    digest_of,
    is_digest,
    manifest_of,
    tags_of,
    twin_of,
)
from engine.sources import gguf
from engine.store.ollama_store import Facts
from engine.telemetry import Log

_log = Log(__name__)
_FRESH_S = 1.0
"""A listing may be so old: lanes ask hundreds of times a second."""
_LIBRARY = "library/"
"""What Ollama puts before a name that has no namespace."""


class FolderModels:
    """What a catalogue has. Holds the catalogue and its digests; owns neither."""

    def __init__(self, catalogue: Catalogue, digests: Digests) -> None:
        self._catalogue = catalogue
        self._digests = digests
        self._said: dict[str, Facts] = {}
        """What GGUF models say of themselves, by SHA-256: their headers are read once."""

    async def tags(self, name: str) -> list[str]:
        """Of a repository; none where it is unknown."""
        return list(_tags(await self._listing(name)))

    async def manifest(self, name: str, reference: str) -> Manifest | None:
        """By tag (in any case of letters), or by the digest of its bytes or of its twin's. Raises Unsettled."""
        listing = await self._listing(name)
        tags = _tags(listing)
        if is_digest(reference):
            return await self._by_digest(listing, tags.values(), reference)
        lower = {tag.lower(): names for tag, names in tags.items()}
        names = tags.get(reference) or lower.get(reference.lower())
        return manifest_of(await self._blobs(listing, names)) if listing and names else None

    async def blob(self, name: str, digest: str) -> Entry | bytes | None:
        """A file, or a config that was made here. Raises Unsettled."""
        listing = await self._listing(name)
        if listing is None:
            return None
        # What is hashed already first: it is what was named in a manifest.
        for entry in listing.entries.values():
            if self._digests.known_sha256(entry) == digest.removeprefix("sha256:"):
                return entry
        for patient in (False, True):
            known = await self._hashed(listing.entries.values(), patient=patient)
            by_digest = {f"sha256:{sha256}": entry for entry, sha256 in known}
            if digest in by_digest:
                return by_digest[digest]
            blobs = {blob.name: blob for blob in await asyncio.to_thread(self._described, known)}
            for names in _tags(listing).values():
                if blobs.keys() >= set(names):
                    config = config_of([blobs[name] for name in names])
                    if digest_of(config) == digest:
                        return config
        return None

    async def _by_digest(
        self, listing: Listing | None, tagged: Iterable[list[str]], digest: str
    ) -> Manifest | None:
        if listing is None:
            return None
        for names in tagged:
            manifest = manifest_of(await self._blobs(listing, names))
            for one in (manifest, twin_of(manifest)):
                if one is not None and one.digest == digest:
                    return one
        return None

    async def _blobs(self, listing: Listing, names: list[str]) -> list[Blob]:
        known = await self._hashed([listing.entries[name] for name in names], patient=True)
        return await asyncio.to_thread(self._described, known)

    def _described(self, known: list[tuple[Entry, str]]) -> list[Blob]:
        return [self._blob(entry, sha256) for entry, sha256 in known]

    def _blob(self, entry: Entry, sha256: str) -> Blob:
        name = str(entry.name)
        if not gguf.is_model(name):
            return Blob(name, sha256, entry.size)
        if sha256 not in self._said:
            self._said[sha256] = _facts(entry)
        return Blob(name, sha256, entry.size, self._said[sha256])

    async def _hashed(self, entries: Iterable[Entry], *, patient: bool) -> list[tuple[Entry, str]]:
        """Entries with their SHA-256, in their order; those alone whose digest is there already unless patient."""
        wanted = [entry for entry in entries if patient or self._digests.known_sha256(entry)]
        asked = [(entry, self._digests.sha256_of(entry)) for entry in wanted]
        found = await awaited(future for _, future in asked)
        return list(zip((entry for entry, _ in asked), found, strict=True))

    async def _listing(self, name: str) -> Listing | None:
        return await asyncio.to_thread(self._find, name)

    def _find(self, name: str) -> Listing | None:
        """The repository of this name; else the one that differs from it in case only, since references are lower
        case and the Hub's names are not; else, for library/NAME, the one that has no namespace."""
        try:
            return self._catalogue.listing(name, max_age_s=_FRESH_S)
        except Missing:
            pass
        wanted = {name.lower(), name.lower().removeprefix(_LIBRARY)}
        alike = [one for one in self._catalogue.repositories() if one.lower() in wanted]
        try:
            return self._catalogue.listing(alike[0], max_age_s=_FRESH_S) if len(alike) == 1 else None
        except Missing:
            return None  # gone since it was listed


def _facts(entry: Entry) -> Facts:
    """What is in the file's header; nothing where that cannot be read."""
    try:
        with entry.open() as file:
            said = {field: str(value or "") for field, value in facts_in(file).items()}
    except (OSError, EngineError) as exc:
        _log.info("header.unreadable", file=str(entry.name), why=str(exc))
        return Facts()
    quantization = said["quantization"] or quantization_of(str(entry.name)) or ""
    return Facts(said["architecture"], said["parameters"], quantization)


def _tags(listing: Listing | None) -> dict[str, list[str]]:
    return (
        tags_of(listing.repository, {str(entry.name): entry.size for entry in listing.entries.values()})
        if listing
        else {}
    )
