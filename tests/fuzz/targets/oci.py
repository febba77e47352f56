"""What OCI registries answer, Ollama's among them: manifests, indexes, lists of tags, configurations."""

import re
from contextlib import suppress

from hypothesis import strategies as st

from engine.errors import EngineError
from engine.model_path import ModelPath
from engine.model_registry import ModelRegistry
from engine.sources.oci import Oci
from engine.sources.oci_manifest import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from engine.sources.oci_tags import list_tags
from tests.fuzz.canned import Canned, choices, client, pull
from tests.fuzz.documents import HEX, Bytes, anything, as_json, digests, joined, one_of, record, sizes
from tests.fuzz.target import simple


def _oci(data: bytes) -> None:
    for typed in (
        "llama3",
        "r.example/ns/m",
        "r.example/ns/m:v1",
        f"r.example/ns/m@{Canned(data).first_digest}",
    ):
        for choice in choices(data):
            pull(data, Oci(), typed, choice)
        with suppress(EngineError):
            assert len(Oci().tagged(client(data), ModelRegistry.parse(typed))) <= 100
    with suppress(EngineError):
        assert isinstance(list_tags(client(data), ModelRegistry.parse("r.example/ns/m")), list)
    tag = data[:9].decode("utf-8", "replace")
    with suppress(EngineError):
        Oci().read_manifest(client(data), ModelPath("r.example", "ns", "m", tag))


_MEDIA = st.sampled_from(
    [
        DOCKER_MANIFEST,
        OCI_MANIFEST,
        OCI_INDEX,
        "application/vnd.ollama.image.model",
        "application/vnd.ollama.image.params",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.cncf.model.weight.v1.tar",
        "application/vnd.docker.ai.gguf.v3",
        "x/y z",
        "",
        "🤖",
    ]
)
_NOTES = st.dictionaries(
    st.sampled_from(
        [
            "org.opencontainers.image.title",
            "org.cncf.model.filepath",
            "io.deis.oras.content.unpack",
            "vnd.docker.reference.type",
        ]
    ),
    st.sampled_from(["m.gguf", "../x", "true", "", "a/b.tar", "mmproj.gguf", "w.safetensors"]),
    max_size=2,
)
_DESCRIPTOR = record(
    {"mediaType": _MEDIA, "digest": digests, "size": sizes},
    annotations=_NOTES,
    name=st.sampled_from(["t", ""]),
    platform=record(
        {},
        os=st.sampled_from(["linux", "unknown"]),
        architecture=st.sampled_from(["amd64", "unknown", "arm64"]),
    ),
)
_GOOD = record({"mediaType": _MEDIA, "digest": digests, "size": st.just(7)}, annotations=_NOTES)
_EMPTY = st.just(
    {
        "mediaType": "a/b",
        "size": 2,
        "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    }
)
MANIFEST = as_json(
    record(
        {"schemaVersion": 2, "config": _GOOD | _EMPTY, "layers": st.lists(_GOOD, max_size=4)},
        mediaType=_MEDIA,
        artifactType=st.just("a"),
    )
    | record(
        {
            "schemaVersion": sizes | st.just(2),
            "config": _DESCRIPTOR,
            "layers": st.lists(_DESCRIPTOR, max_size=4),
        }
    )
)
_LINKED = record(
    {"mediaType": _MEDIA, "digest": st.sampled_from(["@1@", "@2@"]), "size": st.just(0)},
    annotations=_NOTES,
    platform=record(
        {"os": st.sampled_from(["linux", "windows"])}, architecture=st.sampled_from(["amd64", "arm64"])
    ),
)
INDEX = as_json(
    record(
        {
            "schemaVersion": 2,
            "manifests": st.lists(_LINKED, min_size=1, max_size=3) | st.lists(_DESCRIPTOR, max_size=3),
        }
    )
).map(
    lambda raw: re.sub(
        rb'"(@\d@)", "size": 0', lambda m: b'"%b", "size": %b' % (m[1], m[1].replace(b"@", b"#")), raw
    )
)
_TAGS: Bytes = joined(
    one_of('<?last=a>;rel="next"\1', ""),
    as_json(
        record(
            {"tags": st.lists(st.sampled_from(["8b-q4_K_M", "latest", "q8_0", "8b-q8_0", "x"]), max_size=4)}
        )
        | anything
    ),
)
_CONFIG = as_json(
    record({"file_type": st.sampled_from(["Q8_0", "7B"])}, config=record({"quantization": st.just("Q4_K_M")}))
    | anything
)
oci = simple(
    "oci",
    joined(MANIFEST)
    | joined(INDEX, "\0", MANIFEST)
    | joined(INDEX, "\0", INDEX, "\0", MANIFEST)
    | joined(_TAGS, "\0", MANIFEST, "\0", _CONFIG, "\0", MANIFEST, "\0", _CONFIG),
    (
        b'"schemaVersion":2',
        b'"layers":',
        b'"manifests":',
        b'"config":',
        b'"digest":',
        b'"size":',
        b"sha256:",
        HEX.encode(),
        b"@1@",
        b"#1#",
        b"\0",
        b"\1",
        b"{",
        b"[",
        b"NaN",
        b"1e999",
        b"\\ud800",
        b"\xff\xfe",
        b"\xff",
        b'"tags":',
    ),
    "sources/oci.py",
    "sources/oci_manifest.py",
    "sources/oci_layers.py",
    "sources/oci_tags.py",
)(_oci)
TARGETS = (oci,)
