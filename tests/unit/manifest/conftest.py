"""A manager with a folder of its own."""

import pytest

from engine.model_manifest import ManifestManager


@pytest.fixture
def manager(tmp_path):
    return ManifestManager(tmp_path / "manifests")
