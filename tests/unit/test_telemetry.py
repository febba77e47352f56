"""Logging: what a listener gets, what nobody gets, and that no secret is in it."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.telemetry import Log, log_to_file, redact
from tests.properties import steady

REDACTED = [
    ("https://h.example/a/b.gguf", "https://h.example/a/b.gguf"),
    ("https://h.example/a?X-Amz-Signature=secret", "https://h.example/a?…"),
    ("https://h.example/a#secret", "https://h.example/a"),
    ("https://user:secret@h.example/a", "https://h.example/a"),
    ("https://user:secret@h.example:8443/a?secret#secret", "https://h.example:8443/a?…"),
    ("http://[::1]:8080/a", "http://[::1]:8080/a"),
    ("https://h.example", "https://h.example"),
    ("secret@h.example/a?secret", "h.example/a?…"),
    ("https:user:secret@h.example/a", "https://h.example/a"),
    ("https:/user:secret@h.example/a", "https://h.example/a"),
    ("user:secret@h.example/a", "user://h.example/a"),
    ("http://[secret", "<unreadable URL>"),
    ("http://h:secret/", "<unreadable URL>"),
]


@pytest.mark.parametrize(("url", "shown"), REDACTED)
def test_redact(url, shown):
    """User, password, query and fragment never show; the rest does."""
    assert redact(url) == shown


@given(st.text())
@steady()
def test_redact_takes_anything(text):
    """Whatever stands where a URL should be, text comes back and no error."""
    assert isinstance(redact(text), str)


@contextmanager
def listening(name: str, level: int) -> Iterator[io.StringIO]:
    """A plain handler on a logger of its own, as a program of the user's would have one."""
    stream, logger = io.StringIO(), logging.getLogger(name)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    logger.addHandler(handler)
    before, logger.level, logger.propagate = logger.level, level, False
    try:
        yield stream
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        logger.propagate = True


def test_event_reaches_standard_logging():
    """An event is a line with its fields for whoever formats the standard way."""
    with listening("engine.unit.lines", logging.DEBUG) as stream:
        log = Log("engine.unit.lines")
        log.debug("lease.sent", lease=3, file="a.gguf")
        log.info("plain.event")
        log.warning("worker.died", host="h")
    assert stream.getvalue().splitlines() == [
        "DEBUG engine.unit.lines lease.sent lease=3 file=a.gguf",
        "INFO engine.unit.lines plain.event",
        "WARNING engine.unit.lines worker.died host=h",
    ]


def test_percent_signs_and_braces_are_text():
    """Fields are data, never a format."""
    with listening("engine.unit.percent", logging.DEBUG) as stream:
        Log("engine.unit.percent").info("file.notice", message="100 %s {x} %(y)d")
    assert "100 %s {x} %(y)d" in stream.getvalue()


def test_level_is_obeyed():
    """What is below the listener's level is not emitted."""
    with listening("engine.unit.level", logging.WARNING) as stream:
        log = Log("engine.unit.level")
        log.info("a.b")
        log.warning("c.d")
    assert stream.getvalue() == "WARNING engine.unit.level c.d\n"


def test_file_has_one_json_object_a_line(tmp_path):
    """--log-file: every event with its own fields, a logger, a level, a time and a process."""
    handler = log_to_file(tmp_path / "log.jsonl")
    try:
        Log("engine.unit.file").debug("segment.written", index=7, path=tmp_path, text='a"\n')
        logging.getLogger("engine.unit.file").info("from %s", "elsewhere")
    finally:
        root = logging.getLogger("engine")
        root.removeHandler(handler)
        root.setLevel(logging.NOTSET)
        handler.close()
    first, second = map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines())
    assert first["event"] == "segment.written"
    assert (first["index"], first["path"], first["text"]) == (7, str(tmp_path), 'a"\n')
    assert (first["logger"], first["level"]) == ("engine.unit.file", "debug")
    assert first["timestamp"].endswith("Z")
    assert isinstance(first["pid"], int)
    assert second["event"] == "from elsewhere"


PROGRAM = """
import logging, sys
from engine.telemetry import Log
log = Log("engine.unit")
log.warning("nobody.listens", secret="x")
assert "structlog" not in sys.modules, "loaded for nobody"
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="%(name)s %(message)s")
logging.getLogger("urllib3.connectionpool").debug("before %s", "any event")
log.debug("request.started", url="u")
logging.getLogger("urllib3.connectionpool").debug('"GET /x?X-Amz-Signature=secret HTTP/1.1" 200')
logging.getLogger("urllib3.connectionpool").warning("a warning of urllib3")
"""


def test_a_program_that_listens():
    """Without a handler nothing is printed and structlog is not loaded; with one, our events and not the
    URLs that urllib3 prints at DEBUG."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "nobody.listens" not in done.stdout
    assert "engine.unit request.started url=u" in done.stdout
    assert "urllib3.connectionpool a warning of urllib3" in done.stdout
    assert "secret" not in done.stdout
