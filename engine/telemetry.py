"""Logging: structlog events over the standard library's loggers named `engine.*`.

Nothing is configured on import; a program that calls `logging.basicConfig(level=DEBUG)` sees
requests, retries and waits. Secrets do not get here: URLs lose their query and user part.
structlog costs a tenth of a second to import, so it is loaded with the first event that
somebody listens to.
"""

import logging
import os
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engine.plain_text import conceal
from engine.plain_url import match_plain


@lru_cache(maxsize=4096)
def redact(url: str) -> str:
    """The URL without user, password, query and fragment; safe for logs, errors and journals."""
    if match_plain(url):
        return url
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "<unreadable URL>"
    host = f"[{host}]" if ":" in host else host
    # With a slash too few, user and password stand in the path.
    path = parts.path if parts.netloc else parts.path.rpartition("@")[2]
    query = "?…" if parts.query else ""
    scheme = f"{parts.scheme}://" if parts.scheme else ""
    return f"{scheme}{host}{port}{path}{query}"


class _NoUrls(logging.Filter):
    """urllib3's own DEBUG lines print whole URLs, signatures included; ours say the same without."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.DEBUG


_no_urls = _NoUrls()


def hide_signed_urls() -> None:
    """Keep urllib3's request lines out of every log of this process. May be called many times."""
    for name in ("urllib3.connectionpool", "urllib3.poolmanager", "urllib3.util.retry"):
        logging.getLogger(name).addFilter(_no_urls)


class Log:
    """Events of one module: `log.info("segment.written", index=7)`."""

    def __init__(self, name: str) -> None:
        self._stdlib = logging.getLogger(name)
        self._bound: Any = None

    def debug(self, event: str, **fields: object) -> None:
        self._emit(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        self._emit(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._emit(logging.WARNING, event, fields)

    def _emit(self, level: int, event: str, fields: dict[str, object]) -> None:
        # Without a handler the standard library would print warnings to stderr by itself.
        if not self._stdlib.isEnabledFor(level) or not self._stdlib.hasHandlers():
            return
        if self._bound is None:
            hide_signed_urls()
            self._bound = _bind(self._stdlib)
        self._bound.log(level, event, **fields)


def _bind(logger: logging.Logger) -> Any:
    import structlog

    return structlog.wrap_logger(
        logger,
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.stdlib.add_log_level,
            _keep_fields,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _keep_fields(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> tuple[tuple[str], dict[str, Any]]:
    """As text for whoever formats the standard way, and as fields for the JSON file."""
    event = {key: conceal(value) if isinstance(value, str) else value for key, value in event.items()}
    shown = " ".join(
        f"{key}={value}" for key, value in event.items() if key not in ("event", "timestamp", "level")
    )
    return (f"{event['event']} {shown}".rstrip(),), {"extra": {"fields": event}}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: timestamp, level, logger, event and the event's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        import json

        fields: dict[str, Any] = getattr(record, "fields", None) or {"event": record.getMessage()}
        return json.dumps({**fields, "logger": record.name, "pid": record.process}, default=str)


class _LogFile(logging.FileHandler):
    """A log whose disk is full ends with one line about it; the pull goes on."""

    _is_broken = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self._is_broken:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        problem = sys.exception()
        if not isinstance(problem, OSError):
            super().handleError(record)
            return
        self._is_broken = True
        with suppress(OSError, ValueError):
            print(f"warning: The log {self.baseFilename!r} ends here: {problem.strerror}.", file=sys.stderr)

    def close(self) -> None:
        with suppress(OSError):  # the last flush, where the disk is full
            super().close()


def log_to_file(path: Path) -> logging.Handler:
    """Write all events of the engine, debug and up, to path as JSON lines; the caller closes the handler. Raises
    OSError, also for a pipe that nobody reads, which would be waited for."""
    writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK) if path.is_fifo() else None
    try:
        handler = _LogFile(path, encoding="utf-8")
    finally:
        if writer is not None:
            os.close(writer)  # not before the log has opened it, too: its reader would see an end
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger("engine")
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    return handler
