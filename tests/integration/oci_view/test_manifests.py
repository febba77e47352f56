"""Our server as a registry: manifests and tags, as the OCI distribution specification's pull part has them."""

import json
import time
from pathlib import Path

import pytest

from tests.integration.oci_view.client import DOCKER, OCI, STORED, WEIGHTS, Client, digest_of, write
from tests.mission.gguf import ARCHITECTURE, write_tiny_gguf


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


def test_config_says_what_the_model_is(client: Client, root: Path) -> None:
    """As Ollama shows it: architecture, size and quantization, out of the file's own header; what has none that can be
    read gets a config without."""
    write_tiny_gguf(root / "llm/acme/real-GGUF/real-Q8_0.gguf")

    def config(name: str) -> dict[str, object]:
        named = json.loads(client.manifest(name).body)["config"]
        body = client.get(f"/v2/{name}/blobs/{named['digest']}").body
        assert digest_of(body) == named["digest"]
        fields: dict[str, object] = json.loads(body)
        return fields

    found = config("acme/real-GGUF")
    assert (found["model_family"], found["model_families"]) == (ARCHITECTURE, [ARCHITECTURE])
    assert found["model_type"] and found["file_type"]
    assert "model_family" not in config("acme/Tiny-GGUF")


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
