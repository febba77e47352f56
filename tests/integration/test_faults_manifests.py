"""Registries that lie about their manifests: what came is not used, and nothing is made of it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.command import Result
from tests.integration.trial import MIB, one_error
from tests.origin import File, Origin

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
WEIGHTS = b"weights" * 1000


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def described(kind: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}


BODY = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [described("application/vnd.ollama.image.model", WEIGHTS)],
    }
).encode()


@pytest.fixture
def registry(origin_factory: Callable[..., Any]) -> Origin:
    """An OCI registry, as far as a pull of ns/m goes: blobs, and this manifest under its digest."""
    return origin_factory(
        {
            f"v2/ns/m/blobs/{digest_of(WEIGHTS)}": WEIGHTS,
            f"v2/ns/m/blobs/{digest_of(b'{}')}": b"{}",
            f"v2/ns/m/manifests/{digest_of(BODY)}": File(BODY, content_type=MANIFEST),
        }
    )


@pytest.fixture
def pull(jarvis: Callable[..., Result], registry: Origin, tmp_path: Path) -> Callable[..., Result]:
    """Pull ns/m by this reference, into the folder out."""
    return lambda reference: jarvis(
        "pull", f"{registry.base}/ns/m{reference}", "-d", tmp_path / "out", "--retries", 0
    )


def assert_nothing(registry: Origin, folder: Path) -> None:
    assert not (folder / "out").exists()
    assert not [record for record in registry.requests if "/blobs/" in record.path]


@pytest.mark.parametrize("code", [401, 403, 404, 410, 451])
@pytest.mark.row("pushback/denied", "pushback/not-found")
def test_blobs_that_nobody_gets_leave_nothing(
    registry: Origin, pull: Callable[..., Result], tmp_path: Path, code: int
) -> None:
    """Their sizes were known, so room was made for them, with a journal where they have several segments."""
    blobs = [bytes([number]) * (number * MIB) for number in (1, 9)]
    manifest = json.loads(BODY)
    manifest["layers"] = [described("application/vnd.ollama.image.model", blob) for blob in blobs]
    registry.add("v2/ns/m/manifests/v1", File(json.dumps(manifest).encode(), content_type=MANIFEST))
    registry.fault("status", code=code, when=lambda request: "/blobs/" in request.path)
    pull(":v1").check(3 if code in (404, 410) else 4)
    assert registry.fired("status") >= 2
    assert list((tmp_path / "out").iterdir()) == []


def test_a_refusal_takes_nothing_away_that_came(
    registry: Origin, pull: Callable[..., Result], tmp_path: Path
) -> None:
    """Content with another digest is asked for again: where that is refused, what came first stays."""
    promised, other = bytes(MIB), b"\1" * MIB
    manifest = json.loads(BODY)
    manifest["layers"] = [described("application/vnd.ollama.image.model", promised)]
    registry.add("v2/ns/m/manifests/v1", File(json.dumps(manifest).encode(), content_type=MANIFEST))
    blob = f"v2/ns/m/blobs/{digest_of(promised)}"
    registry.add(blob, other)
    registry.fault("status", code=404, path=blob, nth=2)
    pull(":v1").check(3)
    assert registry.fired("status") == 1
    assert (tmp_path / "out/m-v1.gguf.jarvis-part/data").read_bytes() == other


@pytest.mark.row("attack/19-manifest-digest-header")
def test_a_manifest_that_is_not_what_its_header_says(
    registry: Origin, pull: Callable[..., Result], tmp_path: Path
) -> None:
    """Docker-Content-Digest is the registry's own word: exit 6 with both, and no blob is asked for."""
    said = {"Docker-Content-Digest": f"sha256:{'0' * 64}"}
    registry.add("v2/ns/m/manifests/v1", File(BODY, headers=said))
    one_error(pull(":v1").check(6), "SHA256", "0" * 64, digest_of(BODY))
    assert_nothing(registry, tmp_path)
    registry.add("v2/ns/m/manifests/v1", File(BODY, headers={"Docker-Content-Digest": digest_of(BODY)}))
    pull(":v1").check()
    assert (tmp_path / "out/m-v1.gguf").read_bytes() == WEIGHTS


@pytest.mark.row("attack/19-manifest-digest-header", "attack/20-pinned-manifest")
def test_who_promised_a_manifests_digest_is_told(
    registry: Origin, pull: Callable[..., Result], tmp_path: Path
) -> None:
    """The registry's header, its index, or who typed a pin: nobody is told to check a pin that is none."""
    other = f"sha256:{'1' * 64}"
    index = {"schemaVersion": 2, "manifests": [{"mediaType": MANIFEST, "digest": other, "size": len(BODY)}]}
    registry.add("v2/ns/m/manifests/v1", File(BODY, headers={"Docker-Content-Digest": other}))
    registry.add("v2/ns/m/manifests/v2", File(json.dumps(index).encode()))
    registry.add(f"v2/ns/m/manifests/{other}", File(BODY))
    assert "pin" not in one_error(pull(":v1").check(6), "its Docker-Content-Digest says", "Ask whoever runs")
    assert "pin" not in one_error(pull(":v2").check(6), "its index gives it", "Ask whoever runs")
    one_error(pull(f"@{other}").check(6), "was asked for", "Check the pin")
    assert_nothing(registry, tmp_path)


@pytest.mark.row("attack/9-names-that-collide")
def test_a_name_that_two_layers_have(registry: Origin, pull: Callable[..., Result], tmp_path: Path) -> None:
    """The registry contradicts itself: the name and its manifest are told."""
    manifest = json.loads(BODY)
    manifest["layers"] = [
        described("application/vnd.ollama.image.model", blob)
        | {"annotations": {"org.opencontainers.image.title": "m.gguf"}}
        for blob in (WEIGHTS, b"other")
    ]
    registry.add("v2/ns/m/manifests/v1", File(json.dumps(manifest).encode()))
    one_error(
        pull(":v1").check(5), f"{registry.base}/v2/ns/m/manifests/v1", "it names 'm.gguf' twice, differently"
    )
    assert_nothing(registry, tmp_path)


@pytest.mark.row("attack/20-pinned-manifest")
def test_a_pin_that_brings_another_manifest(
    registry: Origin, pull: Callable[..., Result], tmp_path: Path
) -> None:
    """Whoever names a digest gets that or nothing: exit 6 with both, and no blob is asked for."""
    other = f"sha256:{'1' * 64}"
    registry.add(f"v2/ns/m/manifests/{other}", File(BODY))
    one_error(pull(f"@{other}").check(6), "SHA256", other, digest_of(BODY))
    assert_nothing(registry, tmp_path)
    pull(f"@{digest_of(BODY)}").check()
    assert len(list((tmp_path / "out").glob("*.gguf"))) == 1


@pytest.mark.parametrize("said", ["sha256:zz", "sha256:" + "A" * 64, "zz", "sha256", "md5:short"])
@pytest.mark.row("attack/19-manifest-digest-header")
def test_a_manifests_digest_that_is_none_is_refused(
    registry: Origin, pull: Callable[..., Result], tmp_path: Path, said: str
) -> None:
    """Too short, spelt otherwise, no digest at all: what it was meant to promise is not known."""
    registry.add("v2/ns/m/manifests/v1", File(BODY, headers={"Docker-Content-Digest": said}))
    one_error(pull(":v1").check(5), "its Docker-Content-Digest is no digest")
    assert_nothing(registry, tmp_path)
