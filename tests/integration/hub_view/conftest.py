"""A folder of models, and a server that shows it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from engine.server.run import BackgroundServer
from tests.integration.hub_view.client import WEIGHTS, Client


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "acme/tiny/config.json": b'{"a": 1}\n',
        "acme/tiny/weights.gguf": WEIGHTS,
        "acme/tiny/empty.txt": b"",
        "acme/tiny/subfolder/to?/ca%2Fche": b"awful",
        "acme/tiny/page.html": b"<script>alert(1)</script>",
        "solo/README.md": b"# solo\n",
    }
    for name, data in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "root"


@pytest.fixture
def client(root: Path) -> Iterator[Client]:
    with BackgroundServer(root) as server:
        yield Client(server.url)
