"""Where a part is to be."""

import pytest


@pytest.fixture
def folder(tmp_path):
    """Where a part is to be; its parents do not exist yet."""
    return tmp_path / "a" / "model.gguf.jarvis-part"
