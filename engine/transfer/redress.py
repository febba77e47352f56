"""A wrong digest: the steps of mending.py, carried out for one file."""

from collections.abc import Callable
from typing import Any, Protocol

from engine.digest import Digest
from engine.errors import DigestMismatch, EngineError
from engine.store.part import Part
from engine.telemetry import Log
from engine.transfer.content import Content
from engine.transfer.job import Job
from engine.transfer.mending import Step
from engine.transfer.proof import Proof

_log = Log(__name__)

Again = Callable[[], None]


class Mendable(Protocol):
    """What this needs of a file on its way."""

    job: Job

    @property
    def open_part(self) -> Part: ...
    def start_task(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None: ...
    def refetch(self, indices: list[int]) -> None: ...
    def restart(self, reason: str) -> None: ...
    def fail(self, error: EngineError) -> None: ...
    def notice(self, message: str) -> None: ...


class Redress:
    """Finds out who is to blame for a wrong digest, and mends it if that works; one for a file's whole life."""

    def __init__(self, transfer: Mendable) -> None:
        self._transfer = transfer
        self._has_streamed_again = False

    def take(
        self, proof: Proof, digest: Digest, content: Content, *, is_stream: bool, is_measured: bool
    ) -> None:
        """The next step for this content, which is complete and not what digest says. is_measured: its size is only
        known from where a stream ended."""
        step = proof.mending(is_stream=is_stream).next_step()
        name = self._transfer.job.remote.name
        _log.warning("digest.wrong", file=name, expected=digest.hex, step=step)

        def again() -> None:
            self.take(proof, digest, content, is_stream=is_stream, is_measured=is_measured)

        if step == "reread":
            self._transfer.start_task(proof.bad_on_disk, lambda bad: self._reread(bad, again))
        elif step == "ask":
            self._transfer.start_task(
                self._ask, lambda published: self._asked(published, digest, content, again)
            )
        elif step == "give up" or (is_measured and self._has_streamed_again):
            self._reject(digest, content)
        else:
            self._fetch_again(proof, step, is_stream=is_stream, is_measured=is_measured)

    def _fetch_again(self, proof: Proof, step: Step, *, is_stream: bool, is_measured: bool) -> None:
        if is_measured:
            self._has_streamed_again = True
            self._transfer.restart(
                "the digest is wrong, and one stream must be fetched again to find out why"
            )
        elif is_stream:
            self._transfer.notice(
                "The digest is wrong; one stream must be fetched again as a whole to find out why."
            )
            self._transfer.refetch(list(proof.checks))
        else:
            self._transfer.notice("The digest is wrong. Segments are fetched once more and compared.")
            self._transfer.refetch(proof.mending(is_stream=False).refetch(step, proof.checks))

    def _reread(self, bad: list[int], again: Again) -> None:
        if not bad:
            again()
            return
        self._transfer.notice(
            f"The disk changed {len(bad)} segments after they were written; they are fetched again."
        )
        self._transfer.refetch(bad)

    def _ask(self) -> Digest | None:
        """What the source publishes now; None where it cannot be asked."""
        job = self._transfer.job
        try:
            return job.refresh().digest if job.refresh else None
        except EngineError as exc:
            _log.warning("digest.unasked", file=job.remote.name, error=str(exc))
            return None

    def _asked(self, published: Digest | None, digest: Digest, content: Content, again: Again) -> None:
        if published is None or published == digest:
            again()
            return
        self._reject(
            digest, content, f" The source publishes {published.hex} now, so it has changed: pull again."
        )

    def _reject(self, digest: Digest, content: Content, reason: str = "") -> None:
        job, actual = self._transfer.job, content.digests[digest.algorithm]
        judged = "was fetched twice" if content.size else "has no bytes"
        try:
            kept = self._transfer.open_part.set_aside(actual)
        except EngineError as exc:
            self._transfer.fail(exc)
            return
        self._transfer.fail(
            DigestMismatch(
                f"{job.remote.name} does not have the SHA256 digest that was promised: expected {digest.hex}, "
                f"got {actual}.{reason} It {judged}, so either the expectation or the server's copy is "
                f"wrong. What came is set aside as {str(kept)!r}; nothing was written to {str(job.target)!r}. "
                "Check the digest, or ask whoever runs the server.",
                expected=digest.hex,
                actual=actual,
            )
        )
