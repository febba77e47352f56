"""Error classes and exit codes."""

import inspect

import pytest

from engine import errors
from engine.console.exit_codes import combined, exit_code

CODES = {
    errors.EngineError("x"): 1,
    errors.UsageError("x"): 2,
    errors.PathError("x"): 2,
    errors.FormatError("x"): 1,
    errors.NotFound("x"): 3,
    errors.AccessDenied("x"): 4,
    errors.NetworkError("x"): 5,
    errors.RedirectRefused("x"): 5,
    errors.ProtocolViolation("x"): 5,
    errors.DigestMismatch("x", expected="a", actual="b"): 6,
    errors.StoreError("x"): 7,
    errors.NoSpace("x"): 7,
    errors.Busy("x"): 8,
    errors.SeveralFailed("x", [errors.NotFound("a"), errors.NotFound("b")]): 3,
    errors.SeveralFailed("x", [errors.NotFound("a"), errors.Busy("b")]): 1,
}


@pytest.mark.parametrize(("error", "code"), CODES.items(), ids=lambda value: type(value).__name__)
def test_each_error_has_its_code(error: errors.EngineError, code: int) -> None:
    """As the contract's table says."""
    assert exit_code(error) == code


def test_no_error_class_is_forgotten() -> None:
    """A new class of error is given a code on purpose."""
    classes = {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.EngineError)
    }
    assert classes == {type(error) for error in CODES}


def test_what_is_no_engine_error() -> None:
    """Anything else is 1; an interruption is 130."""
    assert exit_code(ValueError()) == 1
    assert exit_code(KeyboardInterrupt()) == 130


@pytest.mark.parametrize(("codes", "code"), [([], 0), ([5], 5), ([3, 3], 3), ([3, 5], 1)])
def test_several_failures(codes: list[int], code: int) -> None:
    """Those that agree keep their code; different ones are 1."""
    assert combined(codes) == code
