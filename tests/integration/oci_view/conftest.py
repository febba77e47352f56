"""A store, and a server that shows it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from engine.server.run import BackgroundServer
from tests.integration.oci_view.client import CONFIG, FILES, STORED, TEMPLATE, Client, digest_of, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store: files below llm/, manifests of two registries, their blobs, and one blob that no manifest names."""
    for name, data in FILES.items():
        write(tmp_path / "home/llm" / name, data)
    for name, data in STORED.items():
        write(tmp_path / "home/registry" / name, data)
    for data in (TEMPLATE, CONFIG, b"of no model"):
        write(tmp_path / "home/blobs" / digest_of(data).replace(":", "-"), data)
    return tmp_path / "home"


@pytest.fixture
def server(root: Path) -> Iterator[BackgroundServer]:
    with BackgroundServer(root) as server:
        yield server


@pytest.fixture
def client(server: BackgroundServer) -> Client:
    return Client(server.url)
