"""The errors that leave the engine: their marks, their facts, and that they survive a process boundary."""

import pickle

import pytest

from engine import errors
from engine.errors import (
    AccessDenied,
    Busy,
    DigestMismatch,
    EngineError,
    FormatError,
    NetworkError,
    NoSpace,
    NotFound,
    PathError,
    ProtocolViolation,
    RedirectRefused,
    SeveralFailed,
    StoreError,
    UsageError,
)

TEXT = "the file SHA256-404 of http://h/404/SHA256"
SAMPLES: list[EngineError] = [
    EngineError(TEXT),
    PathError(TEXT),
    FormatError(TEXT),
    UsageError(TEXT),
    NotFound(TEXT),
    AccessDenied(TEXT, visit="https://h/ns/repo"),
    NetworkError(TEXT, url="https://h/x", status=503),
    RedirectRefused(TEXT, url="https://h/x"),
    ProtocolViolation(TEXT, status=206),
    DigestMismatch(TEXT, expected="a", actual="b"),
    StoreError(TEXT),
    NoSpace(TEXT, needed_bytes=5, free_bytes=3),
    Busy(TEXT, holder="process 7 on h"),
    SeveralFailed(TEXT, [NotFound("x"), Busy("y")]),
]
ids = [type(sample).__name__ for sample in SAMPLES]


def test_every_class_has_a_sample():
    """The tables below speak for all error classes."""
    classes = {c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, EngineError)}
    assert classes == {type(sample) for sample in SAMPLES}


@pytest.mark.parametrize("error", SAMPLES, ids=ids)
def test_marks_are_where_they_are_meant(error):
    """Digest errors, and only they, contain SHA256; not-found errors, and only they, contain 404."""
    assert ("SHA256" in str(error)) == isinstance(error, DigestMismatch)
    assert ("404" in str(error)) == isinstance(error, NotFound)


def test_marks_are_added_where_missing():
    """A message that does not have its mark gets it."""
    assert str(NotFound("No such model.")) == "No such model. (404)"
    assert str(DigestMismatch("x is wrong", expected="a", actual="b")).startswith("SHA256: ")
    assert str(NotFound("gone (404)")) == "gone (404)"


def test_mark_is_broken_up_invisibly():
    """Text that looks like a mark by chance stays readable: one WORD JOINER, nothing else, is put in."""
    assert str(StoreError("page 404")).replace("\u2060", "") == "page 404"
    assert StoreError("page 404").args == ("page 404",)


@pytest.mark.parametrize("error", SAMPLES, ids=ids)
def test_errors_survive_pickling(error):
    """An error that a caller's own process pool sends home keeps its class, text and facts."""
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), copy.args) == (str(error), error.args)
    assert {k: str(v) for k, v in vars(copy).items()} == {k: str(v) for k, v in vars(error).items()}


def test_one_root():
    """Everything is an EngineError and a RuntimeError; wrong input is a ValueError too."""
    assert all(isinstance(sample, EngineError) and isinstance(sample, RuntimeError) for sample in SAMPLES)
    assert issubclass(PathError, ValueError)
    assert issubclass(UsageError, ValueError)


def test_an_error_is_one_line_that_cannot_command_a_terminal():
    """Servers choose ETags, names and reasons, and these stand in messages."""
    error = NetworkError("its ETag is \x1b[2J\nnow\u202e", url="")
    assert str(error) == "its ETag is ?[2J now?"
