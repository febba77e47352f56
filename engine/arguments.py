"""What programs without a type checker hand in, judged at the door: further in it would be somebody else's error."""

import os

from engine.errors import UsageError


def check_text(**given: object) -> None:
    """Raises UsageError for the first that is no str."""
    for name, value in given.items():
        if not isinstance(value, str):
            raise UsageError(f"{name} must be text, not {type(value).__name__}.")


def check_callable(**given: object) -> None:
    """Raises UsageError for the first that can neither be called nor is None."""
    for name, value in given.items():
        if value is not None and not callable(value):
            raise UsageError(f"{name} must be a function, not {type(value).__name__}.")


def check_path(**given: object) -> None:
    """Raises UsageError for the first that no file can be called."""
    for name, value in given.items():
        if not isinstance(value, str | os.PathLike):
            raise UsageError(f"{name} must be a path, not {type(value).__name__}.")
        if "\0" in os.fsdecode(value):
            raise UsageError(f"{name} must be a path, and has a zero byte in it.")
