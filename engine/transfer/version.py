"""Which version of a remote file is being fetched: what is known of its size, its validators and its digest."""

import msgspec

from engine.digest import Digest
from engine.errors import DigestMismatch
from engine.remote_file import Identity, RemoteFile
from engine.store.journal import Header
from engine.telemetry import redact
from engine.transfer.admission import published_digest
from engine.transfer.messages import Opened


class Version:
    """Begins with what the source said; answers add what it did not."""

    def __init__(self, remote: RemoteFile, *, is_listed: bool = False) -> None:
        """is_listed: its digest is what its server lists, and not what somebody typed."""
        self._remote = remote
        self._is_listed = is_listed
        self.digest = remote.digest
        self.identity = Identity(size=remote.size)
        self.is_measured = False
        """The size is where a stream ended, which may have been too early."""
        self._showed_none = False
        """There were bytes of it, and with them nothing that tells its version."""

    def __repr__(self) -> str:
        return f"<Version {self.identity} {self.digest}>"

    @property
    def size(self) -> int | None:
        return self.identity.size

    @property
    def can_be_told(self) -> bool:
        """Whether a later run can tell it from another version."""
        return self.digest is not None or self.identity.has_validator

    def has_size(self, size: int) -> None:
        """The size has become known."""
        self.identity = msgspec.structs.replace(self.identity, size=size)

    def continues(self, header: Header) -> None:
        """It is the one that a journal speaks of."""
        self.identity = header.identity
        self.digest = self.digest or (Digest.parse(header.digest) if header.digest else None)

    def learn(self, opened: Opened) -> bool:
        """Take validators and a published digest from an answer. False where it publishes another digest than an
        answer before it, or shows a version where one before it showed none, and no digest is to judge. Raises
        DigestMismatch where it publishes another one than was asked for."""
        if not self.identity.has_validator:
            if self._showed_none and opened.identity.has_validator and self.digest is None:
                return False
            self.identity = msgspec.structs.replace(opened.identity, size=self.size)
            self._showed_none = opened.status in (200, 206) and not self.identity.has_validator
        published = published_digest(self._remote, opened.linked_etag)
        if published is None:
            return True
        if self.digest is None:
            self.digest = published
        if self.digest == published or self.digest.algorithm != published.algorithm:
            return True
        if self._remote.digest is None:
            return False
        raise self._contradiction(self.digest, published)

    def _contradiction(self, expected: Digest, published: Digest) -> DigestMismatch:
        name, url = self._remote.name, redact(self._remote.url)
        return DigestMismatch(
            f"{url} publishes SHA256 {published.hex} for {name}, and its server's own listing {expected.hex}. Nothing "
            "was written. Try again later, or ask whoever runs the server."
            if self._is_listed
            else f"{name} is published with SHA256 {published.hex}, but {expected.hex} was asked for. "
            "Check the digest or the revision; nothing was written.",
            expected=expected.hex,
            actual=published.hex,
        )
