"""Errors, in the specification's form."""

from pathlib import Path

import pytest

from tests.integration.oci_view.client import DOCKER, TEMPLATE, Client, digest_of, manifest_bytes, write


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/v2/acme/nope/manifests/latest", 404, "MANIFEST_UNKNOWN"),
        ("/v2/acme/whole/manifests/v9", 404, "MANIFEST_UNKNOWN"),
        ("/v2/library/broken/manifests/latest", 404, "MANIFEST_UNKNOWN"),
        ("/v2/library/odd/manifests/latest", 404, "MANIFEST_UNKNOWN"),
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
@pytest.mark.row("attack/41-writes")
def test_nothing_can_be_written(client: Client, method: str) -> None:
    answer = client.ask(method, "/v2/acme/whole/blobs/uploads/")
    assert (answer.status, answer.code, answer.headers["Allow"]) == (405, "UNSUPPORTED", "GET, HEAD")


@pytest.mark.row("attack/45-traversal")
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
