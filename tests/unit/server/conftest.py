"""A folder of models to look at."""

from pathlib import Path

import pytest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """`acme/tiny` with a few files, and `solo` without a namespace."""
    root = tmp_path / "root"
    write(root / "acme/tiny/config.json", b"{}")
    write(root / "acme/tiny/sub/deep/a.txt", b"a")
    write(root / "acme/tiny/weights.gguf", b"GGUF")
    write(root / "solo/README.md", b"# solo")
    return root


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
