"""What strangers may ask of the registry's view: the same as of the Hub's, nothing outside of the store."""

import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from engine.server.run import BackgroundServer
from tests.integration.oci_view.client import digest_of, write

SECRET = b"top secret outside"


def raw(server: BackgroundServer, target: str, host: str = "localhost") -> bytes:
    """Everything that comes back for this target, which goes out as it is written."""
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20) as plain:
        plain.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: plain.recv(65536), b""))


@pytest.mark.parametrize(
    "target",
    [
        "/v2/../../secret/manifests/latest",
        "/v2/%2e%2e/%2e%2e/manifests/secret",
        "/v2/%2e%2e%2f%2e%2e/manifests/secret",
        "/v2/%252e%252e%252fsecret/manifests/latest",
        "/v2/acme/whole/manifests/..%2f..%2f..%2fsecret",
        "/v2/acme/whole/manifests/%252e%252e%252fsecret",
        "/v2/acme/whole/blobs/sha256:..%2f..%2f..%2fsecret",
        "/v2/acme/whole/blobs/..%5c..%5csecret",
        "/v2/acme%00/manifests/latest",
        "/v2/acme/whole/manifests/latest%00",
        "/v2/out/manifests/latest",
        "/v2/out/secret/tags/list",
        "/v2//etc/passwd/manifests/latest",
    ],
)
def test_nothing_outside_of_the_store_is_ever_served(
    server: BackgroundServer, root: Path, tmp_path: Path, target: str
) -> None:
    """However a name, tag or digest is written, and whatever links lie in the store."""
    write(tmp_path / "outside/secret/latest", SECRET)
    write(tmp_path / "secret", SECRET)
    (root / "llm/out").symlink_to(tmp_path / "outside")
    (root / "registry/registry.ollama.ai/out").symlink_to(tmp_path / "outside")
    answer = raw(server, target)
    assert int(answer.split()[1]) in (400, 404), answer
    assert SECRET not in answer and b"root:" not in answer and b"Traceback" not in answer


def test_a_blob_of_no_model_is_nobodys(server: BackgroundServer) -> None:
    """It is in the store, but no manifest of this repository names it."""
    answer = raw(server, f"/v2/library/stored/blobs/{digest_of(b'of no model')}")
    assert int(answer.split()[1]) == 404


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "192.168.0.1"])
def test_the_host_must_be_loopbacks(server: BackgroundServer, host: str) -> None:
    """DNS rebinding leads nowhere here either."""
    assert int(raw(server, "/v2/", host).split()[1]) == 403
