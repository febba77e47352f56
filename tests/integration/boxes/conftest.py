"""One file behind a foreign server, and pulls of it that are judged as any other."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import Command
from tests.integration.trial import MIB, Trial, wait_until
from tests.origin import Pattern

MODEL = Pattern(8 * MIB, seed=11)


def wait_come(trial: Trial, nbytes: int) -> None:
    """Until so much of the file is on disk."""
    data = trial.part / "data"
    wait_until(lambda: data.exists() and data.stat().st_blocks * 512 >= nbytes, f"{nbytes:,} bytes to come")


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """A folder with model.gguf in it."""
    folder = tmp_path / "served"
    folder.mkdir()
    MODEL.write_to(folder / "model.gguf")
    return folder


@pytest.fixture
def trial_at(command: Command, tmp_path: Path) -> Callable[..., Trial]:
    """Pull that file from an address: `trial_at(url, "-c", 8).pull()`. The server is not an origin of ours, so what
    looks at its requests is not to be had."""

    def make(url: str, *options: object) -> Trial:
        folder = tmp_path / "models"
        folder.mkdir(exist_ok=True)
        return Trial(command, None, MODEL, folder / "model.gguf", url, options)

    return make
