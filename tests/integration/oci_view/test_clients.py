"""What Ollama's client asks of a registry (server/images.go, server/download.go), and real clients: skopeo, which
checks every digest; oras; and llama.cpp, at the Hub's endpoints."""

import hashlib
import json
import os
import subprocess
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from engine.server.run import BackgroundServer
from tests.clients.environments import hub_environment, python_with
from tests.integration.oci_view.client import DOCKER, FILES, OCI, TEMPLATE, WEIGHTS, Client, digest_of
from tests.skopeo import skopeo, skopeo_copy


@pytest.mark.parametrize("name", ["acme/tiny-gguf", "library/stored"])
def test_as_ollama_pulls(client: Client, name: str) -> None:
    """One Accept; sizes from HEAD; a GET whose Location, also beside a 200, takes the ranges; and the digests."""
    manifest = client.manifest(name, "8b" if "stored" in name else "latest", DOCKER)
    document = json.loads(manifest.body)
    assert document["mediaType"] == DOCKER
    for layer in [*document["layers"], document["config"]]:
        target = f"/v2/{name}/blobs/{layer['digest']}"
        size = int(client.ask("HEAD", target).headers["Content-Length"])
        first = client.get(target)
        assert (size, first.status) == (layer["size"], 200)
        direct = urlsplit(urljoin(f"http://{client.host}{target}", first.headers["Location"]))
        assert direct.netloc == client.host
        parts = [
            client.get(direct.path, ("Range", f"bytes={start}-{min(start + 5_000_000, size) - 1}"))
            for start in range(0, size, 5_000_000)
        ]
        assert {part.status for part in parts} == {206}
        assert digest_of(b"".join(part.body for part in parts)) == layer["digest"]


SCRIPTS = Path(__file__).parents[2] / "clients"


@pytest.fixture(scope="session")
def cache(shared_folder: Path) -> Path:
    """Where environments of foreign clients are kept: JARVIS_TEST_CACHE, else for this run."""
    return Path(os.environ.get("JARVIS_TEST_CACHE") or shared_folder)


@pytest.mark.parametrize(
    "reference",
    ["acme/tiny-gguf:latest", "acme/tiny-gguf:Q8_0", "acme/whole", "library/stored:8b", "deep/er/stored:v1"],
)
def test_skopeo_copies(client: Client, reference: str, tmp_path: Path) -> None:
    """Every blob that the manifest names, config included, each with its digest, which skopeo checks and we again."""
    done = skopeo_copy(f"{client.host}/{reference}", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "out/manifest.json").read_bytes())
    for layer in [*document["layers"], document["config"]]:
        data = (tmp_path / "out" / layer["digest"].removeprefix("sha256:")).read_bytes()
        assert (digest_of(data), len(data)) == (layer["digest"], layer["size"])


def test_skopeo_copies_by_digest(client: Client, tmp_path: Path) -> None:
    digest = digest_of(client.manifest("acme/whole", "latest", OCI).body)
    done = skopeo_copy(f"{client.host}/acme/whole@{digest}", tmp_path / "out")
    assert done.returncode == 0, done.stderr


def test_skopeo_lists_tags(client: Client) -> None:
    done = skopeo("list-tags", "--tls-verify=false", f"docker://{client.host}/acme/tiny-gguf")
    assert json.loads(done.stdout)["Tags"] == ["Q4_K_M", "Q8_0", "latest"], done.stderr


def test_skopeo_says_what_is_unknown(client: Client, tmp_path: Path) -> None:
    """In its own words for our error code."""
    assert "manifest unknown" in skopeo_copy(f"{client.host}/acme/nope:latest", tmp_path / "out").stderr


def test_skopeo_finds_a_spoilt_blob(client: Client, root: Path, tmp_path: Path) -> None:
    """The witness is one: content that is not its digest's does not pass."""
    (root / "blobs" / digest_of(TEMPLATE).replace(":", "-")).write_bytes(b"X" * len(TEMPLATE))
    done = skopeo_copy(f"{client.host}/library/stored:8b", tmp_path / "out")
    assert done.returncode != 0
    assert "igest did not match" in done.stderr


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (
            "acme/tiny-gguf:latest",
            {"tiny-Q4_K_M.gguf": WEIGHTS, "template": FILES["acme/Tiny-GGUF/template"]},
        ),
        (
            "acme/tiny-gguf:Q8_0",
            {"tiny-Q8_0.gguf": FILES["acme/Tiny-GGUF/tiny-Q8_0.gguf"], "template": b"{{ .Prompt }}"},
        ),
        ("solo:latest", {"solo.gguf": FILES["solo/solo.gguf"]}),
        (
            "acme/whole:latest",
            {
                name: FILES[f"acme/whole/{name}"]
                for name in ("config.json", "model.safetensors", "sub/vocab.txt")
            },
        ),
    ],
)
def test_oras_pulls(
    client: Client, reference: str, expected: dict[str, bytes], cache: Path, tmp_path: Path
) -> None:
    """Files under their own names. (oras compares no digest; here we do.)"""
    out = tmp_path / "out"
    out.mkdir()
    done = subprocess.run(
        [python_with(cache, "oras==0.2.43"), SCRIPTS / "oras_client.py", f"{client.host}/{reference}", out],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()} == expected


def test_llama_cpp_pulls_from_the_hub_view(server: BackgroundServer, cache: Path, tmp_path: Path) -> None:
    """Its own downloader, in C++: the chosen quantization, named in its cache by our SHA-256."""
    environment = hub_environment(server.url, tmp_path / "hf")
    subprocess.run(
        [python_with(cache, "xllamacpp==2026.10.11549"), SCRIPTS / "llama_puller.py", "acme/Tiny-GGUF:Q4_K_M"],
        env=environment, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    kept = tmp_path / "hf/hub/models--acme--Tiny-GGUF"
    (snapshot,) = (kept / "snapshots").iterdir()
    assert (snapshot / "tiny-Q4_K_M.gguf").read_bytes() == WEIGHTS
    assert (kept / "blobs" / hashlib.sha256(WEIGHTS).hexdigest()).stat().st_size == len(WEIGHTS)
