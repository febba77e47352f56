"""What a registry of either protocol answers, and what our own server hands on."""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import product
from pathlib import Path

import msgspec
from hypothesis import strategies as st

from engine.errors import AccessDenied, EngineError, NetworkError, NotFound, ProtocolViolation
from engine.library.model_config import read_config
from engine.model_registry import ModelRegistry
from engine.server import oci_manifests
from engine.sources import Choice
from engine.sources.custom import Custom
from engine.sources.oci_manifest import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from engine.sources.origins import KnownOrigins
from tests.fuzz.canned import client
from tests.fuzz.documents import HEX, as_json, joined, one_of, record, sizes
from tests.fuzz.target import Run, housed, simple
from tests.fuzz.targets import hub, oci

_REFUSALS = (
    NetworkError("x", status=405),
    NetworkError("x", status=503),
    NetworkError("x"),
    ProtocolViolation("x"),
    AccessDenied("x"),
    NotFound("x"),
)


def _refuse(answers: Iterator[EngineError], _source: object) -> None:
    raise next(answers)


def _custom() -> Iterator[Run]:
    """A server that may speak either protocol, and what is remembered of it, which is the first thing."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "origins.json")

        def run(data: bytes) -> None:
            memory, _, said = data.partition(b"\0")
            place.write_bytes(memory)
            for typed in ("r.example/ns/m", "r.example/m", f"r.example/ns/m@sha256:{HEX}"):
                path = ModelRegistry.parse(typed)
                for may_write in (False, True):
                    source = Custom("https://r.example", KnownOrigins(Path(folder), may_write=may_write))
                    assert source.version(client(said), path, Choice()) is None
                    with suppress(EngineError):
                        (first, *_) = source.list_files(client(said), path, Choice())
                        assert source.refresh(client(said), first).name == first.name
                        assert (source.manifest is None) == ("/resolve/" in first.url)
            path = ModelRegistry.parse("r.example/ns/m")
            for answers in product(_REFUSALS, repeat=2):
                with suppress(EngineError):
                    source.ask(path, partial(_refuse, iter(answers)))

        yield run
        place.write_bytes(b" " * (1 << 21))
        assert KnownOrigins(Path(folder)).protocol_of("x") is None
        KnownOrigins(Path("/proc/none")).remember("x", "hub")


custom = housed(
    "custom-registry",
    joined(
        one_of('{"https://r.example":"oci"} {"https://r.example":"hub"} {} ['),
        "\0",
        joined(oci.MANIFEST)
        | joined(hub.REVISION, "\0", hub.PAGE)
        | joined(oci.INDEX, "\0", oci.MANIFEST)
        | st.just(b"x"),
    ),
    (b"\0", b"\1", b"{", b"[", b'"oci"', b'"hub"', b'"https://r.example"', b"\xff", b'"layers":', b'"path":'),
    "sources/custom.py",
    "sources/origins.py",
)(_custom)


def _served(data: bytes) -> None:
    """A manifest as our own server hands it on; and names and Accept lines that it is asked
    with, a line each."""
    lines = data.decode("utf-8", "replace").split("\n")
    assert oci_manifests.is_well_formed(lines[0]) in (True, False)
    names = [line for line in lines if line]
    for tag, files in oci_manifests.tags_of(lines[0], dict.fromkeys(names, 1)).items():
        blobs = [oci_manifests.Blob(name, HEX, 1) for name in files]
        made = oci_manifests.manifest_of(blobs)
        assert oci_manifests.TAG.fullmatch(tag) and oci_manifests.is_digest(made.digest)
        assert oci_manifests.fitting(made, lines).media_type in (DOCKER_MANIFEST, OCI_MANIFEST)
        assert oci_manifests.fitting(made, [OCI_MANIFEST]) == oci_manifests.twin_of(made)
    assert oci_manifests.twin_of(oci_manifests.Manifest(OCI_INDEX, data)) is None
    assert isinstance(read_config(data), msgspec.Struct)


served = simple(
    "served-names",
    st.lists(
        one_of(
            "m-Q4_K_M.gguf m-Q8_0.gguf mmproj.gguf template params m-Q8_0.license LICENSE.md "
            "a/x.safetensors m.gguf M-x.gguf a.mmproj.gguf "
            "q-00001-of-00002.gguf config.json"
        ),
        max_size=8,
    ).map(b"\n".join)
    | st.just(OCI_MANIFEST.encode())
    | as_json(
        record(
            {},
            model_type=st.just("llama"),
            architectures=st.just(["L"]),
            text_config=record({"n_ctx": st.just(9)}),
            quantization_config=record({}, quant_method=st.sampled_from(["gptq", "fp8", 4]), bits=sizes),
        )
    ),
    (
        b"\n",
        b",",
        b";",
        *(
            b'sha256: .gguf -00001-of-00002.gguf mmproj .license Q4_K_M template LICENSE / { [ "model_type":'
        ).split(),
    ),
    "server/oci_manifests.py",
    "library/model_config.py",
)(_served)
TARGETS = (custom, served)
