"""Manifests that lead to manifests: a registry cannot keep a pull busy for ever."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.command import Result
from tests.origin import File, Origin

INDEX = "application/vnd.oci.image.index.v1+json"


def index_of(body: bytes, digest: str = "") -> bytes:
    """An index whose one entry is this document, or says that it is."""
    digest = digest or f"sha256:{hashlib.sha256(body).hexdigest()}"
    entry = {"mediaType": INDEX, "digest": digest, "size": len(body)}
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode()


def pull(jarvis: Callable[..., Any], origin: Origin, code: int) -> Result:
    """Of a name with more parts than a Hub's, so that it is asked for as an OCI registry's alone."""
    result: Result = jarvis("pull", f"127.0.0.1:{origin.port}/a/b/c/m:v1", "--retries", 0).check(code)
    return result


@pytest.mark.row("attack/37-nested-indexes")
def test_indexes_are_followed_to_a_depth(
    jarvis: Callable[..., Any], origin_factory: Callable[..., Origin]
) -> None:
    """An index of an index of an index …, each as it was promised: exit 5 after a handful of requests."""
    documents = [b"{}"]
    for _ in range(50):
        documents.append(index_of(documents[-1]))
    base = "v2/a/b/c/m/manifests"
    files = {f"{base}/sha256:{hashlib.sha256(d).hexdigest()}": File(d) for d in documents}
    origin = origin_factory({**files, f"{base}/v1": File(documents[-1])})
    assert "nested" in pull(jarvis, origin, 5).stderr
    assert 2 <= len(origin.requests) <= 5


@pytest.mark.row("attack/37-nested-indexes")
def test_an_index_that_names_itself_is_found_out(
    jarvis: Callable[..., Any], origin_factory: Callable[..., Origin]
) -> None:
    """No document holds its own SHA-256, so a circle is a lie, and the second request shows it: exit 6."""
    promised = f"sha256:{'a' * 64}"
    document = index_of(b"x" * 300, promised)
    base = "v2/a/b/c/m/manifests"
    origin = origin_factory({f"{base}/v1": File(document), f"{base}/{promised}": File(document)})
    assert "SHA256" in pull(jarvis, origin, 6).stderr
    assert len(origin.requests) == 2
