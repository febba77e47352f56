"""The way in for one file: what is there already, and the lock of its part, which somebody else may hold."""

from contextlib import suppress

from engine.errors import Busy, EngineError, StoreError
from engine.settings import Settings
from engine.store.disk import sync_folder
from engine.store.part import Part
from engine.store.receipts import Receipt
from engine.transfer.admission import (
    accepted,
    adopted,
    has_part,
    hash_target,
    is_another,
    must_be_hashed,
    target_stat,
    wanted,
)
from engine.transfer.job import Job
from engine.transfer.voice import Voice


class Entrance:
    """Steps: find, lock, find again, and where there is a target of unknown origin, hash it."""

    def __init__(self, job: Job, settings: Settings, voice: Voice) -> None:
        self._job = job
        self._settings = settings
        self._voice = voice
        self._has_target = self._has_waited = False

    def find(self) -> Receipt | None:
        """The receipt of a target that is what is asked for, so that nothing is left to be done. Raises StoreError."""
        self._has_target = target_stat(self._job.target) is not None
        return accepted(self._job, self._settings) if self._has_target else None

    def lock(self) -> Part | None:
        """The part, ours until it is closed; None while somebody else has it. Raises Busy where they fetch something
        else to this target, and StoreError."""
        part = Part.try_open(self._job.partial, wanted(self._job.remote))
        if part is None:
            self._wait()
        return part

    def _wait(self) -> None:
        holder = Part.holder(self._job.partial)
        if is_another(Part.held_for(self._job.partial), self._job.remote):
            raise Busy(
                f"{str(self._job.target)!r} is being written by {holder}, from another address. "
                "Choose another name, or wait until it has ended.",
                holder=holder,
            )
        if not self._has_waited:
            self._has_waited = True
            self._voice.waiting(holder)

    def clear(self, part: Part | None) -> None:
        """The target is what is asked for: let go of the part. What a pull that was killed after its last rename has
        left of it goes; of what else is there, nothing."""
        if part is None and not has_part(self._job):
            return
        with suppress(OSError, EngineError):  # what stays is in nobody's way
            part = part or Part.try_open(self._job.partial)
            is_fresh = part is not None and part.is_fresh
            if part is not None:
                part.remove() if part.is_spent else part.close()
            if not is_fresh:
                sync_folder(self._job.target.parent)  # that rename may not have become durable yet

    def check_free(self) -> None:
        """The target, where there is one, is not what is asked for. Raises StoreError where it may not be replaced."""
        job = self._job
        if not self._has_target or not job.spares_others or self._settings.force:
            return
        if job.receipts.find(job.target) or job.receipts.find(job.target.resolve()):
            return
        raise StoreError(
            f"{str(job.target)!r} is there, nothing is known of where it came from, and it is another file than the "
            "model's of that name. Move it, choose another folder with -d, or let --force replace it."
        )

    @property
    def must_hash(self) -> bool:
        """Whether reading a target that is there may tell that it is what is asked for."""
        return self._has_target and must_be_hashed(self._job, self._settings)

    def hash(self) -> dict[str, str]:
        """Digests of the target by algorithm; takes a while. Raises StoreError."""
        return hash_target(self._job, self._settings)

    def adopt(self, digests: dict[str, str]) -> Receipt | None:
        """The receipt, written just now, of a target with these digests; None where it is not what is asked for.
        Raises StoreError."""
        digest = self._job.remote.digest
        if digest is not None and digests[digest.algorithm] != digest.hex:
            return None
        return adopted(self._job, digests)
