"""Trials: see trial.py."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Certificates
from tests.command import Command
from tests.integration.trial import MIB, Trial
from tests.origin import Content, File, Pattern


@pytest.fixture
def try_file(command: Command, origin_factory: Callable[..., Any], tmp_path: Path) -> Callable[..., Trial]:
    """Make a trial: `try_file()` for 4 MiB of noise, `try_file(content, tls=tls, ranges=False)` for another file."""

    def make(
        content: Content | int = 4 * MIB,
        *,
        tls: Certificates | None = None,
        name: str = "model.gguf",
        **manners: Any,
    ) -> Trial:
        content = Pattern(content) if isinstance(content, int) else content
        origin = origin_factory({name: File(content, **manners)}, tls=tls)
        options = ("--cacert", tls.cacert) if tls else ()
        folder = tmp_path / "models"
        folder.mkdir(exist_ok=True)
        return Trial(command, origin, content, folder / name, origin.url(name), options)

    return make


@pytest.fixture
def trial(try_file: Callable[..., Trial]) -> Trial:
    """4 MiB of noise at a good origin over plain HTTP."""
    return try_file()
