"""Manifests made for plain files: which tags, which layers, always the same bytes."""

import json

import pytest

from engine.server.oci_manifests import (
    Blob,
    Manifest,
    config_of,
    digest_of,
    fitting,
    is_well_formed,
    manifest_of,
    tags_of,
    twin_of,
)
from engine.sources.oci_manifest import DOCKER_MANIFEST, OCI_MANIFEST

SHA = "ab" * 32


@pytest.mark.parametrize(
    ("names", "tags"),
    [
        ([], {}),
        (["m.gguf"], {"latest": ["m.gguf"], "m": ["m.gguf"]}),
        (
            ["README.md", "m-Q8_0.gguf", "m-Q4_K_M.gguf", "mmproj-m-f16.gguf", "template", "LICENSE"],
            {
                "latest": ["m-Q4_K_M.gguf", "mmproj-m-f16.gguf", "template", "LICENSE"],
                "Q4_K_M": ["m-Q4_K_M.gguf", "mmproj-m-f16.gguf", "template", "LICENSE"],
                "Q8_0": ["m-Q8_0.gguf", "mmproj-m-f16.gguf", "template", "LICENSE"],
            },
        ),
        (
            ["m-Q4_0-00001-of-00002.gguf", "m-Q4_0-00002-of-00002.gguf"],
            {tag: ["m-Q4_0-00001-of-00002.gguf", "m-Q4_0-00002-of-00002.gguf"] for tag in ("latest", "Q4_0")},
        ),
        (["m-Q4_0-00001-of-00002.gguf"], {}),
        (
            ["config.json", "model.safetensors", "a/tokenizer.json"],
            {"latest": ["model.safetensors", "a/tokenizer.json", "config.json"]},
        ),
    ],
)
def test_tags(names: list[str], tags: dict[str, list[str]]) -> None:
    """A quantization is a tag; the default one is `latest`; without GGUF, `latest` is everything. What lacks a part
    is not offered."""
    assert tags_of("acme/tiny", dict.fromkeys(names, 1)) == tags


def test_files_from_a_registry_have_its_tags() -> None:
    """Where layers had no names, ours say the tag: `latest` is that one, and each model has its own companions."""
    names = [
        "tiny-8b.gguf",
        "tiny-8b.template",
        "tiny-latest.gguf",
        "tiny-latest.license",
        "tiny-latest.mmproj.gguf",
    ]
    tags = tags_of("library/Tiny", dict.fromkeys(names, 1))
    assert tags["8b"] == ["tiny-8b.gguf", "tiny-8b.template"]
    assert tags["latest"] == ["tiny-latest.gguf", "tiny-latest.mmproj.gguf", "tiny-latest.license"]


def test_two_files_of_one_quantization_go_by_their_names() -> None:
    tags = tags_of("acme/tiny", dict.fromkeys(["a-Q4_0.gguf", "b-Q4_0.gguf"], 1))
    assert tags["a-Q4_0"] == ["a-Q4_0.gguf"]
    assert tags["b-Q4_0"] == ["b-Q4_0.gguf"]
    assert "Q4_0" not in tags


def test_layers_and_config() -> None:
    """Ollama's media types, Docker's manifest, and a config whose digest is that of its bytes."""
    blobs = [Blob("m.gguf", SHA, 5), Blob("template", "cd" * 32, 6), Blob("x.bin", "ef" * 32, 7)]
    manifest = manifest_of(blobs)
    document = json.loads(manifest.body)
    assert manifest.media_type == document["mediaType"] == DOCKER_MANIFEST
    assert [layer["mediaType"] for layer in document["layers"]] == [
        "application/vnd.ollama.image.model", "application/vnd.ollama.image.template", "application/octet-stream"
    ]  # fmt: skip
    assert document["layers"][0] | {"annotations": None} == {
        "mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{SHA}", "size": 5, "annotations": None
    }  # fmt: skip
    config = config_of(blobs)
    assert document["config"]["digest"] == digest_of(config)
    assert document["config"]["size"] == len(config)
    assert json.loads(config)["model_format"] == "gguf"


def test_same_files_same_digest() -> None:
    """Known bytes: a manifest must not change with a version of ours without a reason that this test is told."""
    manifest = manifest_of([Blob("m.gguf", SHA, 5)])
    assert manifest.digest == "sha256:bca55bd5eba83bce5c1fd73986c77a5d76091b3e8ad4d5d73a11df71e1975aa0"


def test_twin_differs_in_its_type_alone() -> None:
    manifest = manifest_of([Blob("m.gguf", SHA, 5)])
    twin = twin_of(manifest)
    assert twin is not None
    assert json.loads(twin.body) == json.loads(manifest.body) | {"mediaType": OCI_MANIFEST}
    assert twin_of(twin) is None


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ([], DOCKER_MANIFEST),
        (["*/*"], DOCKER_MANIFEST),
        ([DOCKER_MANIFEST], DOCKER_MANIFEST),
        (["application/json"], DOCKER_MANIFEST),
        ([OCI_MANIFEST], OCI_MANIFEST),
        ([DOCKER_MANIFEST, f"text/html, {OCI_MANIFEST};q=0.5"], OCI_MANIFEST),
    ],
)
def test_what_is_accepted(accept: list[str], media_type: str) -> None:
    """All Accept lines count; nothing is ever refused for its type."""
    assert fitting(manifest_of([Blob("m.gguf", SHA, 5)]), accept).media_type == media_type


def test_manifest_of_the_oci_type_stays_what_it_is() -> None:
    manifest = Manifest(OCI_MANIFEST, b"{ }")
    assert fitting(manifest, [DOCKER_MANIFEST]) is manifest


@pytest.mark.parametrize(
    ("digest", "holds"),
    [
        (f"sha256:{SHA}", True),
        (f"sha512:{SHA}{SHA}", True),
        ("sha256:bad", False),
        (f"sha256:{SHA.upper()}", False),
        (f"sha256:{SHA}/../x", False),
        ("md5:", False),
        (f":{SHA}", False),
    ],
)
def test_digests(digest: str, holds: bool) -> None:
    assert is_well_formed(digest) is holds


def test_names_that_differ_in_the_case_of_their_ending() -> None:
    """m.gguf and m.GGUF are two models, and the default one has its files."""
    for names in (["m.gguf", "m.GGUF", "z-Q8_0.gguf"], ["m-Q4_K_M.gguf", "m-Q4_K_M.GGUF"]):
        assert tags_of("ns/repo", dict.fromkeys(names, 1))["latest"] in [[name] for name in names]
