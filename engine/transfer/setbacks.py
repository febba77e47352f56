"""What a failed lease means for its file: try again, now or later, start again, or give up. Pure."""

import msgspec

from engine.errors import EngineError, NetworkError
from engine.settings import Settings
from engine.transfer.health import Attempts
from engine.transport.retry import Failure
from engine.transport.verdicts import error_of, wait_s


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """Go on, after a wait."""

    wait_s: float
    attempt: int
    """Which one it is without progress; 0 where the failure does not count."""
    restart: str | None
    """Why from zero; None: with what is missing."""


class Setbacks:
    """Of one file, for its whole life."""

    def __init__(self, settings: Settings) -> None:
        self._first_s = settings.retry_delay_s
        self._attempts = Attempts(settings.retries)

    @property
    def round(self) -> int:
        """Of leases; those of one round that fail together are one failure."""
        return self._attempts.round

    @property
    def allowed(self) -> int:
        """Attempts without progress."""
        return self._attempts.allowed

    def judge(
        self, failure: Failure, round_of_lease: int, done_bytes: int, *, keeps: bool, is_stream: bool
    ) -> Again | EngineError:
        """What to do about a failure; an error is the file's end. done_bytes: on disk by now. keeps: the next run
        goes on from there. is_stream: what is missing cannot be asked for by itself."""
        if failure.is_final:
            return error_of(failure, keeps=keeps)
        attempts = self._attempts
        has_progressed = done_bytes > attempts.furthest
        counts = failure.kind != "slow" and attempts.failed(round_of_lease, done_bytes)
        if counts and attempts.are_exhausted:
            return error_of(failure, attempts=attempts.allowed + 1, keeps=keeps)
        wait, is_renewal = 0.0, has_progressed or failure.kind == "expired"
        if counts and (failure.retry_after_s is not None or not is_renewal):
            try:
                wait = wait_s(failure, attempts.count, self._first_s, keeps=keeps)
            except NetworkError as exc:
                return exc
        return Again(
            wait_s=wait,
            attempt=attempts.count if counts else 0,
            restart=_restart(failure, is_stream=is_stream),
        )


def _restart(failure: Failure, *, is_stream: bool) -> str | None:
    if failure.kind == "changed":
        return "the file changed on the server"
    if failure.kind == "frames":
        return "what came may not be the file's content"
    return "the only stream broke" if is_stream else None
