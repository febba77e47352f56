"""Every error that leaves the engine, by what the user can do about it.

Each message says what happened, to what, and what to do; facts are attributes. Callers of the
mission's examples branch on the text: digest errors, and only they, contain "SHA256"; not-found
errors, and only they, contain "404". A URL or a digest may hold such text by chance, so the root
class breaks it up with an invisible WORD JOINER wherever it is not meant.
"""

from typing import Any, ClassVar

from engine.plain_text import JOINER, printable


def _revive(kind: "type[EngineError]", args: tuple[Any, ...]) -> "EngineError":
    error = kind.__new__(kind)
    error.args = args
    return error


class EngineError(RuntimeError):
    """Root of all errors of this package. `str(error)` is one line that is fit for a person and a terminal."""

    _marks: ClassVar[tuple[str, ...]] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """Facts that a constructor demands are attributes: without this, an error that a caller's process
        pool sends home would break the pool."""
        return _revive, (type(self), self.args), self.__dict__

    def __str__(self) -> str:
        text = printable(super().__str__())
        for mark in ("SHA256", "404"):
            if mark not in self._marks:
                text = text.replace(mark, mark[0] + JOINER + mark[1:])
        return text


class PathError(EngineError, ValueError):
    """A model path, URL, digest or remote name that cannot be one."""


class FormatError(EngineError, ValueError):
    """A file whose content is not what its format demands: damaged, cut off, or made to do harm."""


class UsageError(EngineError, ValueError):
    """Options that contradict each other or are out of range."""


class NotFound(EngineError):
    """The server knows no such model, revision, file or quantization. The message holds "404"."""

    _marks = ("404",)

    def __str__(self) -> str:
        text = super().__str__()
        return text if "404" in text else f"{text} (404)"


class AccessDenied(EngineError):
    """A token is missing, wrong, or its owner has not accepted the model's licence."""

    def __init__(self, message: str, *, visit: str | None = None) -> None:
        super().__init__(message)
        self.visit = visit
        """Address where access can be asked for, where one is known."""


class NetworkError(EngineError):
    """The network or the server failed, after all retries. What was received is kept."""

    def __init__(self, message: str, *, url: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.url = url
        self.status = status
        self.kind: str | None = None
        """As `retry` events name it (docs/errors.md), where a request ended so."""


class RedirectRefused(NetworkError):
    """A redirect that never ends, leaves https, or leads where it must not."""


class ProtocolViolation(NetworkError):
    """A server that does not keep to HTTP: a body that does not fit its range, a wrong length."""


class DigestMismatch(EngineError):
    """Content is complete but not what was promised. The message holds "SHA256" (or the other kind's name)."""

    _marks = ("SHA256",)

    def __init__(self, message: str, *, expected: str, actual: str) -> None:
        super().__init__(message)
        self.expected = expected
        self.actual = actual

    def __str__(self) -> str:
        text = super().__str__()
        return text if "SHA256" in text else f"SHA256: {text}"


class StoreError(EngineError):
    """The disk refused: no permission, read-only, a directory in the way, an I/O error."""


class NoSpace(StoreError):
    """Not enough room on the disk."""

    def __init__(
        self, message: str, *, needed_bytes: int | None = None, free_bytes: int | None = None
    ) -> None:
        super().__init__(message)
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes


class Busy(EngineError):
    """Another process holds the target, and waiting for it makes no sense."""

    def __init__(self, message: str, *, holder: str | None = None) -> None:
        super().__init__(message)
        self.holder = holder


class SeveralFailed(EngineError):
    """More than one file failed; `causes` holds an error each, in the order of the files."""

    def __init__(self, message: str, causes: list[EngineError]) -> None:
        super().__init__(message)
        self.causes = causes
