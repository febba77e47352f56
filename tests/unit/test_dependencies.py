"""What the engine depends on: few packages, none of them in a version with a hole that is known."""

import re
import tomllib

import pytest

from tests.command import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OPTIONAL = [line for extra in PROJECT["optional-dependencies"].values() for line in extra]
MENDED = {"urllib3": (2, 7, 0), "aiohttp": (3, 13, 3), "cryptography": (44, 0, 1), "psutil": (5, 6, 6)}
"""The first versions in which the holes that are known are closed: urllib3 CVE-2025-66418, -66471, CVE-2026-21441,
-44432; aiohttp CVE-2025-53643, -69223; cryptography CVE-2024-12797; psutil CVE-2019-18874."""


def bounds() -> dict[str, tuple[int, ...]]:
    """The lowest version of each package that may be installed; () where none is said."""
    found = {}
    for line in [*PROJECT["dependencies"], *OPTIONAL]:
        match = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:>=([0-9.]+))?", line)
        assert match is not None, line
        found[match[1]] = tuple(map(int, (match[2] or "").split("."))) if match[2] else ()
    return found


@pytest.mark.parametrize("name", MENDED)
def test_known_holes_are_below_the_bound(name: str) -> None:
    """pip cannot choose a version that has one."""
    bound = bounds()[name]
    assert (*bound, 0, 0)[:3] >= MENDED[name]


def test_every_dependency_has_a_bound() -> None:
    """An old environment is brought up to date, not taken as it is."""
    assert [name for name, bound in bounds().items() if not bound] == []
