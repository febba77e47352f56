"""What registries answer: the Hub's JSON, manifests and indexes of OCI registries and
Ollama's, lists of tags."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import msgspec
from hypothesis import strategies as st

from engine.errors import EngineError, NotFound
from engine.library.model_config import read_config
from engine.model_path import ModelPath
from engine.model_registry import ModelRegistry
from engine.remote_file import RemoteFile
from engine.server import oci_manifests
from engine.sources import Choice
from engine.sources.custom import Custom
from engine.sources.huggingface import HuggingFace
from engine.sources.oci import Oci
from engine.sources.oci_manifest import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from engine.sources.oci_tags import list_tags
from engine.sources.origins import KnownOrigins
from engine.transport.client import Client, JsonAnswer
from tests.fuzz.documents import HEX, Bytes, anything, as_json, digests, joined, one_of, record, sizes
from tests.fuzz.target import Run, housed, simple

_CHOICES = [
    Choice(),
    Choice(quant="Q8_0"),
    Choice(file="config.json"),
    Choice(revision=HEX[:40]),
    Choice(include=("*.gguf",)),
    Choice(exclude=("*.bin",)),
    Choice(revision=f"sha256:{HEX}"),
    Choice(revision="latest"),
]


class Canned:
    """A client whose server says what it is told, one thing after the other, and then that there is nothing.

    A zero byte ends a thing; what stands before a byte of one in it is its Link. In a thing, @1@ is the digest of the
    next one, and #1# its size, so that indexes can name manifests.
    """

    def __init__(self, data: bytes) -> None:
        self._said: list[tuple[bytes, str]] = []
        for thing in reversed(data.split(b"\0")[:20]):
            link, _, body = thing.rpartition(b"\1")
            body = re.sub(rb"@([1-9])@|#([1-9])#", self._reference, body)
            self._said.insert(0, (body, link.decode("latin-1")))
        self._at = 0

    def _reference(self, match: re.Match[bytes]) -> bytes:
        number = int(match[1] or match[2])
        body = self._said[number - 1][0] if number <= len(self._said) else b""
        return b"sha256:" + sha256(body).hexdigest().encode() if match[1] else b"%d" % len(body)

    def get_json(self, url: str, *, limit_bytes: int = 64 << 20, accept: str = "") -> JsonAnswer:
        if self._at == len(self._said):
            raise NotFound("There is nothing more.")
        body, link = self._said[self._at]
        self._at += 1
        return JsonAnswer(body[:limit_bytes], {"link": link, "content-type": "a/b"} if link else {}, url)


def _client(data: bytes) -> Client:
    return cast(Client, Canned(data))


def _listed(data: bytes, source: HuggingFace | Oci, typed: str, choice: Choice) -> None:
    path = ModelRegistry.parse(typed)
    with suppress(EngineError):
        source.version(_client(data), path, choice)
    with suppress(EngineError):
        files = source.list_files(_client(data), path, choice)
        assert files and all(file.url.startswith("https://") for file in files)
        for file in files[:2]:
            with suppress(EngineError):
                assert source.refresh(_client(data), file).name == file.name


def _hub(data: bytes) -> None:
    choice = _CHOICES[len(data) % len(_CHOICES)]
    for typed in ("ns/repo", f"ns/repo@{HEX[:40]}"):
        _listed(data, HuggingFace("https://huggingface.co"), typed, choice)
    with suppress(EngineError):
        entry = HuggingFace("https://h.example/x").list_tree(_client(data), "ns/repo", HEX[:40], "a folder")
        assert isinstance(entry, list)
    file = RemoteFile(
        name=cast(Any, "a/b"), url=f"https://huggingface.co/ns/repo/resolve/{HEX[:40]}/a/b", revision=HEX[:40]
    )
    with suppress(EngineError):
        HuggingFace("https://huggingface.co").refresh(_client(data), file)
    with suppress(EngineError):
        HuggingFace(data.decode("utf-8", "replace"))


_PATHS = st.sampled_from(
    [
        "m-Q4_K_M.gguf",
        "m-Q8_0-00001-of-00002.gguf",
        "config.json",
        "model.safetensors.index.json",
        "a/b",
        "../x",
        "mmproj.gguf",
        "model-00001-of-00002.safetensors",
        "tokenizer.json",
        "a.bin",
        "con",
        "CONFIG.json",
    ]
)
_NODE = record(
    {"type": st.sampled_from(["file", "directory"]), "path": _PATHS, "size": st.integers(0, 3) | sizes},
    oid=st.sampled_from([HEX[:40], HEX[1:40], "", None]),
    lfs=record({"oid": st.sampled_from([HEX, f"sha256:{HEX}", "x"]), "size": st.integers(0, 3)}) | st.none(),
)
_REVISION = as_json(record({"sha": st.sampled_from([HEX[:40], HEX, "main", HEX[1:40]])}) | anything)
_LINK = one_of(
    '</api/models/ns/repo/tree/x?cursor=2>;rel="next"\1', '<https://evil.example/>;rel="next"\1', ""
)
_PAGE = joined(_LINK, as_json(st.lists(_NODE, max_size=5) | anything))
_MAP = as_json(record({"weight_map": st.dictionaries(st.text(max_size=2), _PATHS, max_size=3)}) | anything)
hub = simple(
    "hub-listing",
    joined(_REVISION, "\0", _PAGE, "\0", _PAGE, "\0", _MAP)
    | joined(_PAGE, "\0", _MAP)
    | one_of("https://h.example/ https://u@h"),
    (
        b'"path":',
        b'"size":',
        b'"oid":',
        b'"lfs":',
        b'"type":"file"',
        b"[",
        b"{",
        b"\0",
        b"\1",
        HEX[:40].encode(),
        b"..",
        b"\\ud800",
        b"1e999",
        b"\xff",
        b"null",
    ),
    "sources/huggingface.py",
)(_hub)


def _oci(data: bytes) -> None:
    choice = _CHOICES[len(data) % len(_CHOICES)]
    for typed in ("llama3", "r.example/ns/m", "r.example/ns/m:v1", f"r.example/ns/m@{_first(data)}"):
        _listed(data, Oci(), typed, choice)
        with suppress(EngineError):
            assert len(Oci().tagged(_client(data), ModelRegistry.parse(typed))) <= 100
    with suppress(EngineError):
        assert isinstance(list_tags(_client(data), ModelRegistry.parse("r.example/ns/m")), list)
    tag = data[:9].decode("utf-8", "replace")
    with suppress(EngineError):
        Oci().read_manifest(_client(data), ModelPath("r.example", "ns", "m", tag))


def _first(data: bytes) -> str:
    return "sha256:" + sha256(Canned(data)._said[0][0]).hexdigest()


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
_MANIFEST = as_json(
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
_INDEX = as_json(
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
    joined(_MANIFEST)
    | joined(_INDEX, "\0", _MANIFEST)
    | joined(_INDEX, "\0", _INDEX, "\0", _MANIFEST)
    | joined(_TAGS, "\0", _MANIFEST, "\0", _CONFIG, "\0", _MANIFEST, "\0", _CONFIG),
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
                    assert source.version(_client(said), path, Choice()) is None
                    with suppress(EngineError):
                        (first, *_) = source.list_files(_client(said), path, Choice())
                        assert source.refresh(_client(said), first).name == first.name
                        assert (source.manifest is None) == ("/resolve/" in first.url)

        yield run
        place.write_bytes(b" " * (1 << 21))
        assert KnownOrigins(Path(folder)).protocol_of("x") is None
        KnownOrigins(Path("/proc/none")).remember("x", "hub")


custom = housed(
    "custom-registry",
    joined(
        one_of('{"https://r.example":"oci"} {"https://r.example":"hub"} {} ['),
        "\0",
        joined(_MANIFEST) | joined(_REVISION, "\0", _PAGE) | joined(_INDEX, "\0", _MANIFEST) | st.just(b"x"),
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
            quantization_config=record({"quant_method": st.just("gptq")}, bits=sizes),
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
TARGETS = (hub, oci, custom, served)
