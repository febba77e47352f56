"""Our server as a registry: the cases of the OCI distribution specification's pull part, what Ollama's client asks
beyond it, and real clients: skopeo, which checks every digest; oras; and llama.cpp, at the Hub's endpoints."""

import hashlib
import http.client
import json
import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

pytest.importorskip("aiohttp")

from engine.server.run import BackgroundServer
from tests.clients.environments import hub_environment, python_with
from tests.skopeo import skopeo, skopeo_copy

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
SCRIPTS = Path(__file__).parents[1] / "clients"
WEIGHTS = random.Random(3).randbytes(12_000_001)
FILES = {
    "acme/Tiny-GGUF/tiny-Q4_K_M.gguf": WEIGHTS,
    "acme/Tiny-GGUF/tiny-Q8_0.gguf": b"GGUF of eight bits" * 300,
    "acme/Tiny-GGUF/template": b"{{ .Prompt }}",
    "acme/Tiny-GGUF/README.md": b"# tiny",
    "acme/whole/config.json": b"{}",
    "acme/whole/model.safetensors": b"S" * 5000,
    "acme/whole/sub/vocab.txt": b"a b c",
    "solo/solo.gguf": b"GGUF without a namespace",
}
TEMPLATE = b"a template that came from a registry"
CONFIG = b'{"model_format":"gguf"}'


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def manifest_bytes(media_type: str) -> bytes:
    """With spaces and a line end, as no encoder of ours would write it: exactness shows."""
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": descriptor("application/vnd.docker.container.image.v1+json", CONFIG),
        "layers": [descriptor("application/vnd.ollama.image.template", TEMPLATE)],
    }
    return json.dumps(document, indent=3).encode() + b"\n"


STORED = {
    "registry.ollama.ai/library/stored/8b": manifest_bytes(DOCKER),
    "ghcr.io/deep/er/stored/v1": manifest_bytes(OCI),
    "registry.ollama.ai/library/broken/latest": b"not JSON",
}


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


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.fixture
def server(root: Path) -> Iterator[BackgroundServer]:
    with BackgroundServer(root) as server:
        yield server


class Answer:
    """An answer that has been read to its end."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def code(self) -> str:
        """Of an error in the specification's form, which has one."""
        assert self.headers["Content-Type"] == "application/json"
        (error,) = json.loads(self.body)["errors"]
        assert set(error) == {"code", "message", "detail"}
        return str(error["code"])


class Client:
    def __init__(self, url: str) -> None:
        self.host = urlsplit(url).netloc

    def ask(self, method: str, target: str, *headers: tuple[str, str]) -> Answer:
        connection = http.client.HTTPConnection(self.host, timeout=20)
        try:
            connection.putrequest(method, target)
            for name, value in headers:
                connection.putheader(name, value)
            connection.endheaders()
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, target: str, *headers: tuple[str, str]) -> Answer:
        return self.ask("GET", target, *headers)

    def manifest(self, name: str, reference: str = "latest", *accept: str) -> Answer:
        answer = self.get(f"/v2/{name}/manifests/{reference}", *(("Accept", kind) for kind in accept))
        assert answer.status == 200, answer.body
        assert answer.headers["Docker-Content-Digest"] == digest_of(answer.body)
        assert answer.headers["Content-Type"] == json.loads(answer.body)["mediaType"]
        return answer


@pytest.fixture
def client(server: BackgroundServer) -> Client:
    return Client(server.url)


# Manifests


@pytest.mark.parametrize("target", ["/v2/", "/v2"])
def test_here_it_is(client: Client, target: str) -> None:
    answer = client.get(target)
    assert (answer.status, answer.headers["Docker-Distribution-API-Version"]) == (200, "registry/2.0")


def test_manifest_of_plain_files(client: Client) -> None:
    """By tag, with Docker's type for who names it alone or none; the model layer is the file."""
    answer = client.manifest("acme/Tiny-GGUF", "latest", DOCKER)
    document = json.loads(answer.body)
    assert document["mediaType"] == DOCKER
    assert [(d["mediaType"].rpartition(".")[2], d["digest"], d["size"]) for d in document["layers"]] == [
        ("model", digest_of(WEIGHTS), len(WEIGHTS)),
        ("template", digest_of(b"{{ .Prompt }}"), 13),
    ]
    assert client.manifest("acme/Tiny-GGUF").body == answer.body
    assert client.manifest("acme/Tiny-GGUF", "Q4_K_M").body == answer.body
    assert client.manifest("acme/Tiny-GGUF", "q8_0").body != answer.body


@pytest.mark.parametrize("name", ["acme/tiny-gguf", "ACME/Tiny-gguf"])
def test_case_of_letters_is_passed_over(client: Client, name: str) -> None:
    """References of OCI clients are lower case, the Hub's names are not."""
    assert client.manifest(name).body == client.manifest("acme/Tiny-GGUF").body


def test_name_without_namespace_is_in_the_library(client: Client) -> None:
    """What Ollama's client makes of `host/library/solo`, and others of `host/solo`."""
    assert client.manifest("library/solo").body == client.manifest("solo").body


def test_head_is_get_without_the_body(client: Client) -> None:
    """Of manifests and blobs: the same headers, the length among them."""
    layer = json.loads(client.manifest("acme/Tiny-GGUF").body)["layers"][0]
    for target in ("/v2/acme/Tiny-GGUF/manifests/latest", f"/v2/acme/Tiny-GGUF/blobs/{layer['digest']}"):
        got, head = client.get(target), client.ask("HEAD", target)
        assert (head.status, head.body) == (200, b"")
        for name in ("Content-Length", "Content-Type", "Docker-Content-Digest", "ETag"):
            assert head.headers[name] == got.headers[name]
        assert int(head.headers["Content-Length"]) == len(got.body)


def test_manifest_by_digest(client: Client) -> None:
    """Either form, whatever Accept says; and not in another repository."""
    for accept in (DOCKER, OCI):
        found = client.manifest("acme/Tiny-GGUF", "latest", accept)
        again = client.manifest("acme/Tiny-GGUF", digest_of(found.body), "text/plain")
        assert again.body == found.body
        elsewhere = client.get(f"/v2/acme/whole/manifests/{digest_of(found.body)}")
        assert (elsewhere.status, elsewhere.code) == (404, "MANIFEST_UNKNOWN")


def test_unchanged_manifest(client: Client) -> None:
    etag = client.manifest("acme/whole").headers["ETag"]
    answer = client.get("/v2/acme/whole/manifests/latest", ("If-None-Match", etag))
    assert (answer.status, answer.body) == (304, b"")


def test_stored_manifest_is_exact(client: Client) -> None:
    """The bytes that the registry sent, by tag and digest, under the name with and without its host."""
    sent = STORED["registry.ollama.ai/library/stored/8b"]
    for name in ("library/stored", "Library/Stored", "registry.ollama.ai/library/stored"):
        for reference in ("8b", "8B", digest_of(sent)):
            assert client.manifest(name, reference, DOCKER).body == sent
    assert client.manifest("deep/er/stored", "v1", DOCKER).body == STORED["ghcr.io/deep/er/stored/v1"]


def test_stored_manifest_for_clients_of_the_oci_type(client: Client) -> None:
    """Its twin, which is found by its own digest too: skopeo takes Ollama's layers in no other."""
    found = client.manifest("library/stored", "8b", DOCKER, OCI)
    sent = json.loads(STORED["registry.ollama.ai/library/stored/8b"])
    assert json.loads(found.body) == sent | {"mediaType": OCI}
    assert client.manifest("library/stored", digest_of(found.body)).body == found.body


def test_broken_manifest_file_harms_no_other(client: Client) -> None:
    assert client.get("/v2/library/broken/manifests/latest").code == "MANIFEST_UNKNOWN"
    assert client.manifest("library/stored", "8b", DOCKER).status == 200


def test_changed_file_has_another_digest(client: Client, root: Path) -> None:
    """The old manifest and blob are unknown from then on, never mixed with the new."""
    old = client.manifest("solo")
    (layer,) = json.loads(old.body)["layers"]
    write(root / "llm/solo/solo.gguf", b"GGUF, another one")
    # A listing may be a second old; then the answer is to try again.
    assert client.get(f"/v2/solo/blobs/{layer['digest']}").status in (404, 503)
    until = time.monotonic() + 10
    while client.get("/v2/solo/manifests/latest").body == old.body and time.monotonic() < until:
        time.sleep(0.05)
    (layer,) = json.loads(client.manifest("solo").body)["layers"]
    assert client.get(f"/v2/solo/blobs/{layer['digest']}").body == b"GGUF, another one"
    assert client.get(f"/v2/solo/manifests/{digest_of(old.body)}").code == "MANIFEST_UNKNOWN"


# Blobs: ranges as the specification's conformance suite asks for them


@pytest.mark.parametrize(
    ("asked", "status", "span"),
    [
        ("bytes=500-1499", 206, (500, 1500)),
        ("bytes=500-", 206, (500, 5000)),
        ("bytes=-500", 206, (4500, 5000)),
        ("bytes=2000-9000", 206, (2000, 5000)),
        ("bytes=500-0", 416, None),
        ("bytes=5000-10000", 416, None),
    ],
)
def test_ranges(client: Client, asked: str, status: int, span: tuple[int, int] | None) -> None:
    blob = FILES["acme/whole/model.safetensors"]
    answer = client.get(f"/v2/acme/whole/blobs/{digest_of(blob)}", ("Range", asked))
    assert answer.status == status
    said = answer.headers["Content-Range"]
    assert said == (f"bytes {span[0]}-{span[1] - 1}/5000" if span else "bytes */5000")
    assert answer.body == (blob[slice(*span)] if span else b"")


def test_range_of_a_config(client: Client) -> None:
    """What was made here is served as files are."""
    config = json.loads(client.manifest("acme/whole").body)["config"]
    whole = client.get(f"/v2/acme/whole/blobs/{config['digest']}")
    assert (digest_of(whole.body), len(whole.body)) == (config["digest"], config["size"])
    answer = client.get(f"/v2/acme/whole/blobs/{config['digest']}", ("Range", "bytes=1-3"))
    assert (answer.status, answer.body) == (206, whole.body[1:4])


def test_blob_without_its_manifest_asked_for(client: Client) -> None:
    """A client that has the digest from elsewhere finds the blob at once, small files too."""
    for name, data in FILES.items():
        repository = name.rpartition("/")[0].removesuffix("/sub")
        answer = client.get(f"/v2/{repository}/blobs/{digest_of(data)}")
        assert (answer.status, answer.body) == (200, data), name


def test_stored_blob(client: Client) -> None:
    """Only under a name whose manifest has it."""
    assert client.get(f"/v2/library/stored/blobs/{digest_of(TEMPLATE)}").body == TEMPLATE
    assert client.get(f"/v2/deep/er/stored/blobs/{digest_of(CONFIG)}").body == CONFIG
    for name, data in (("acme/whole", TEMPLATE), ("library/stored", b"of no model")):
        assert client.get(f"/v2/{name}/blobs/{digest_of(data)}").code == "BLOB_UNKNOWN"


# Tags


def test_tags(client: Client) -> None:
    """Sorted; in pages that Link connects; n=0 is an empty page without one."""
    assert json.loads(client.get("/v2/acme/Tiny-GGUF/tags/list").body) == {
        "name": "acme/Tiny-GGUF", "tags": ["Q4_K_M", "Q8_0", "latest"]
    }  # fmt: skip
    assert json.loads(client.get("/v2/library/stored/tags/list").body)["tags"] == ["8b"]
    nothing = client.get("/v2/acme/Tiny-GGUF/tags/list?n=0")
    assert (json.loads(nothing.body)["tags"], nothing.headers["Link"]) == ([], None)
    target, found = "/v2/acme/Tiny-GGUF/tags/list?n=2", []
    while target:
        answer = client.get(target)
        found.append(json.loads(answer.body)["tags"])
        link = answer.headers["Link"]
        target = link[1 : link.index(">")] if link else ""
    assert found == [["Q4_K_M", "Q8_0"], ["latest"]]


# Errors, in the specification's form


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/v2/acme/nope/manifests/latest", 404, "MANIFEST_UNKNOWN"),
        ("/v2/acme/whole/manifests/v9", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/acme/whole/manifests/sha256:{'0' * 64}", 404, "MANIFEST_UNKNOWN"),
        ("/v2/acme/whole/manifests/sha256:baddigeststring", 400, "DIGEST_INVALID"),
        (f"/v2/acme/whole/blobs/sha256:{'0' * 64}", 404, "BLOB_UNKNOWN"),
        (f"/v2/acme/whole/blobs/sha512:{'0' * 128}", 404, "BLOB_UNKNOWN"),
        (f"/v2/acme/nope/blobs/sha256:{'0' * 64}", 404, "BLOB_UNKNOWN"),
        ("/v2/acme/whole/blobs/latest", 400, "DIGEST_INVALID"),
        ("/v2/acme/whole/blobs/sha256:..%2F..%2Fetc", 400, "DIGEST_INVALID"),
        ("/v2/acme/nope/tags/list", 404, "NAME_UNKNOWN"),
        ("/v2/acme/whole/tags/list?n=x", 400, "UNSUPPORTED"),
        ("/v2/acme/../whole/tags/list", 400, "NAME_INVALID"),
        ("/v2/acme%2Fwhole/tags/list", 400, "NAME_INVALID"),
        ("/v2//whole/manifests/latest", 400, "NAME_INVALID"),
        ("/v2/acme/whole", 404, "UNSUPPORTED"),
        (f"/v2/acme/whole/referrers/sha256:{'0' * 64}", 404, "UNSUPPORTED"),
    ],
)
def test_errors(client: Client, target: str, status: int, code: str) -> None:
    answer = client.get(target)
    assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_can_be_written(client: Client, method: str) -> None:
    answer = client.ask(method, "/v2/acme/whole/blobs/uploads/")
    assert (answer.status, answer.code, answer.headers["Allow"]) == (405, "UNSUPPORTED", "GET, HEAD")


def test_links_in_the_store_are_not_followed(client: Client, root: Path, tmp_path: Path) -> None:
    """Neither a manifest nor a blob is read from elsewhere."""
    write(tmp_path / "elsewhere", TEMPLATE)
    blob = root / "blobs" / digest_of(TEMPLATE).replace(":", "-")
    blob.unlink()
    blob.symlink_to(tmp_path / "elsewhere")
    assert client.get(f"/v2/library/stored/blobs/{digest_of(TEMPLATE)}").body != TEMPLATE
    write(tmp_path / "manifest", manifest_bytes(DOCKER))
    (root / "registry/registry.ollama.ai/library/stored/linked").symlink_to(tmp_path / "manifest")
    assert client.get("/v2/library/stored/manifests/linked").code == "MANIFEST_UNKNOWN"


# Ollama's client: what its source asks of a registry (server/images.go, server/download.go)


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


# Real clients


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
