"""The table of guards fits the engine: `python -m tests.guards` switches each of them off, which takes minutes."""

import pytest

from tests.guards.catalogue import GUARDS
from tests.guards.guard import Guard


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_an_entry_fits(guard: Guard) -> None:
    """Its line stands once in the engine, and its tests exist."""
    assert guard.faults() == []


def test_names_are_told_apart() -> None:
    """One guard, one name."""
    assert len({guard.name for guard in GUARDS}) == len(GUARDS)


def test_an_entry_that_has_rotted_is_named() -> None:
    """A line that is gone or stands twice, a test that is none, a change that changes nothing."""
    node = "tests/unit/test_guards.py::test_names_are_told_apart"
    assert Guard("sound", "pyproject.toml", "[build-system]", "", (node,)).faults() == []
    assert Guard("gone", "pyproject.toml", "no such line", "", (node,)).faults()
    assert Guard("twice", "pyproject.toml", "[", "", (node,)).faults()
    assert Guard("same", "pyproject.toml", "[build-system]", "[build-system]", (node,)).faults()
    assert Guard("no test", "pyproject.toml", "[build-system]", "", ()).faults()
    assert Guard("gone test", "pyproject.toml", "[build-system]", "", (f"{node}_not",)).faults()
