"""Blobs, and ranges of them as the specification's conformance suite asks for them."""

import json

import pytest

from tests.integration.oci_view.client import CONFIG, FILES, TEMPLATE, Client, digest_of


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
