"""Manifests: what is read from them, and what is refused. And the names and roles of layers."""

import json

import pytest

from engine.errors import NotFound, PathError, ProtocolViolation
from engine.sources.oci_layers import layers_of
from engine.sources.oci_manifest import MAX_LAYERS, Index, Manifest, parse_manifest

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
EMPTY = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
TITLE = "org.opencontainers.image.title"
OLLAMA = "application/vnd.ollama.image."


def layer(digest=B, kind=f"{OLLAMA}model", size=5, title=None, **more):
    notes = {"annotations": {TITLE: title}} if title is not None else {}
    return {"mediaType": kind, "digest": digest, "size": size, **notes, **more}


def manifest(*layers, config=EMPTY, **changes):
    document = {
        "schemaVersion": 2,
        "config": layer(config, "application/vnd.docker.container.image.v1+json", 2),
        "layers": list(layers),
    }
    return json.dumps({**document, **changes}).encode()


def read(*layers, **options):
    found = parse_manifest(manifest(*layers, **options), "http://r/m")
    assert isinstance(found, Manifest)
    return [(file.name, file.role) for file in layers_of(found, "m", "v1", "http://r/m")]


REFUSED = {
    "size -1": manifest(layer(size=-1)),
    "size 2^63": manifest(layer(size=2**63)),
    "size a float": manifest(layer(size=5.0)),
    "size a string": manifest(layer(size="5")),
    "size a boolean": manifest(layer(size=True)),
    "sizes that add up to too much": manifest(layer(A, size=2**62), layer(B, size=2**62), layer(C, size=1)),
    "no bytes, and a digest of some": manifest(layer(size=0)),
    "two sizes": manifest(layer(B, size=1), layer(B, size=2)),
    "two sizes, one of the configuration": manifest(layer(A, size=1), config=A),
    "a key twice": manifest(layer()).replace(b"{", b'{"schemaVersion": 2, ', 1),
    "a key twice, deep within": manifest(layer()).replace(b'"size"', b'"size": 9, "size"', 1),
    "NaN": b'{"schemaVersion": NaN}',
    "deep": b"[" * 200_000,
    "deep objects": b'{"a":' * 200_000,
    "no JSON": b"<html>",
    "no UTF-8": b'{"a": "\xff"}',
    "a key that is no text": b'{"schemaVersion": 2, "\\ud800": 1, "layers": []}',
    "a key below that is no text": b'{"schemaVersion": 2, "layers": [{"\\ud800": 1}]}',
    "no object": b"[]",
    "nothing": b"",
    "schema 1": manifest(layer(), schemaVersion=1),
    "layers and manifests": manifest(layer(), manifests=[]),
    "too many layers": manifest(*[layer(EMPTY, size=2)] * (MAX_LAYERS + 1)),
    "no configuration": manifest(layer(), config=None),
    "annotations that are none": manifest(layer(annotations={TITLE: 5})),
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.row("attack/21-impossible-sizes", "attack/22-one-digest-two-sizes", "attack/37-manifest-bombs")
def test_refused(body):
    """Whatever could be read in two ways, or cannot be true."""
    with pytest.raises(ProtocolViolation, match="http://r/m"):
        parse_manifest(body, "http://r/m")


@pytest.mark.parametrize(
    "digest",
    [
        "sha256:../../x",
        "../../x",
        "sha256:" + "a" * 63,
        "sha256:" + "a" * 65,
        "sha256:" + "A" * 64,
        "sha256-" + "a" * 64,
        "a" * 64,
        "sha512:" + "a" * 128,
        "md5:" + "a" * 32,
        "sha256:" + "a" * 64 + "\n",
        "\x1b[31msha256:" + "a" * 64,
        "",
    ],
)
@pytest.mark.row("attack/17-digest-as-path")
def test_digests_that_are_none(digest):
    """Refused with the digest in the message, its control characters escaped: in layers, configuration and index."""
    index = json.dumps({"schemaVersion": 2, "manifests": [layer(digest)]}).encode()
    for body in (manifest(layer(digest)), manifest(layer(), config=digest), index):
        with pytest.raises(ProtocolViolation) as refused:
            parse_manifest(body, "http://r/m")
        assert repr(digest[:160]).replace("SHA256", "") in str(refused.value)
        assert "\x1b" not in str(refused.value)


def test_index():
    body = json.dumps({"schemaVersion": 2, "manifests": [layer(A), layer(B)]}).encode()
    found = parse_manifest(body, "u")
    assert isinstance(found, Index)
    assert [entry.digest for entry in found.manifests] == [A, B]


NAMES = [
    ([layer(kind=f"{OLLAMA}model")], [("m-v1.gguf", "model")]),
    (
        [layer(A, f"{OLLAMA}license"), layer(B, f"{OLLAMA}projector"), layer(C, f"{OLLAMA}model")],
        [("m-v1.gguf", "model"), ("m-v1.mmproj.gguf", "projector"), ("m-v1.license", "license")],
    ),
    (
        [layer(A, f"{OLLAMA}model"), layer(B, f"{OLLAMA}adapter"), layer(C, f"{OLLAMA}adapter")],
        [("m-v1.gguf", "model"), ("m-v1.adapter.gguf", "adapter"), ("m-v1-2.adapter.gguf", "adapter")],
    ),
    ([layer(), layer()], [("m-v1.gguf", "model")]),
    (
        [layer(A, f"{OLLAMA}params"), layer(B, f"{OLLAMA}system"), layer(C, f"{OLLAMA}messages")],
        [("m-v1.params.json", "params"), ("m-v1.system", "system"), ("m-v1.messages.json", "messages")],
    ),
    ([layer(kind=f"{OLLAMA}tensor", name="blk.0.w")], [("blk.0.w", "file")]),
    (
        [
            layer(A, "application/vnd.docker.ai.license"),
            layer(B, "application/vnd.docker.ai.gguf.v3"),
            layer(C, "application/vnd.docker.ai.mmproj"),
        ],
        [("m-v1.gguf", "model"), ("m-v1.mmproj.gguf", "projector"), ("m-v1.license", "license")],
    ),
    (
        [
            layer(
                A,
                "application/vnd.cncf.model.weight.v1.raw",
                annotations={"org.cncf.model.filepath": "w/a.safetensors"},
            ),
            layer(B, "application/vnd.cncf.model.code.v1.tar+zstd", title="src"),
        ],
        [("w/a.safetensors", "model"), ("src.tar.zst", "file")],
    ),
    (
        [layer(A, "text/x", title="README.md"), layer(B, "x/y", title="a/B.gguf")],
        [("a/B.gguf", "model"), ("README.md", "file")],
    ),
    (
        [layer(A, "x/y", title="mmproj-a.gguf"), layer(B, "x/y", title="a.gguf")],
        [("a.gguf", "model"), ("mmproj-a.gguf", "projector")],
    ),
    ([layer(A, "application/vnd.oci.image.layer.v1.tar", title="a.gguf")], [("a.gguf", "model")]),
    ([layer(A, "x/strange+json")], [("m-v1.strange-json", "file")]),
    (
        [layer(A, "x/y", title="m-v1.gguf"), layer(B, f"{OLLAMA}model")],
        [("m-v1.gguf", "model"), ("m-v1-2.gguf", "model")],
    ),
]


@pytest.mark.parametrize(("layers", "files"), NAMES)
def test_names_and_roles(layers, files):
    """By media type and annotation; the main file first; nothing has another's name."""
    sized = [
        {**given, "size": 9 - number} if given != layer() else given for number, given in enumerate(layers)
    ]
    assert read(*sized) == files


def test_configuration_comes_last_and_an_empty_one_not_at_all():
    assert read(layer(B), config=A) == [("m-v1.gguf", "model"), ("m-v1.config.json", "config")]
    assert read(layer(B)) == [("m-v1.gguf", "model")]


def test_what_is_no_model():
    """A manifest without layers, and a container image."""
    for layers in ([], [layer(A, "application/vnd.docker.image.rootfs.diff.tar.gzip")]):
        with pytest.raises(NotFound, match="no model"):
            read(*layers)


@pytest.mark.parametrize(
    "titles",
    [["../x"], ["/x"], ["a\\b"], ["a\n"], ["a", "a"], ["a", "A"], ["a", "a/b"], ["é", "e\u0301"], ["\ud800"]],
)
@pytest.mark.row("attack/15-annotated-names")
def test_titles_that_may_not_be(titles):
    """Refused with the name escaped."""
    layers = [layer(digest, "x/y", title=title) for digest, title in zip((A, B), titles, strict=False)]
    with pytest.raises((PathError, ProtocolViolation)) as refused:
        read(*layers)
    assert "\n" not in str(refused.value)
