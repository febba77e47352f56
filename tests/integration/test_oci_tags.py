"""`jarvis variants` and `-q` where quantizations are tags: a real docker-registry, and a list of tags in pages."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.command import Result
from tests.mission.gguf import write_tiny_gguf
from tests.origin import File, Origin
from tests.registry import Registry, docker_registry

Jarvis = Callable[..., Result]
KIND = "application/vnd.ollama.image.model"
SIZES = {"8b-q4_K_M": 1, "8b-q8_0": 3, "v1": 2}
"""MiB of each model's beginning, by tag; that v1 is a Q6_K stands in its configuration alone."""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with docker_registry(tmp_path / "registry") as running:
        for tag, size in SIZES.items():
            file = tmp_path / f"{tag}.gguf"
            write_tiny_gguf(file)
            os.truncate(file, size << 20)
            config = json.dumps({"model_format": "gguf", **({"file_type": "Q6_K"} if tag == "v1" else {})})
            for name in (tag, "latest") if tag == "8b-q4_K_M" else (tag,):
                running.put_model("x/y", name, [(KIND, file.read_bytes())], config=config.encode())
        running.put_model("x/y", "image", [("application/vnd.oci.image.layer.v1.tar", b"x")])
        yield running


def test_variants_are_tags(jarvis: Jarvis, registry: Registry, tmp_path: Path) -> None:
    """A line a tag with a model, the smallest first, with the quantization of its name, its configuration, or another
    tag of the same manifest, and what its header says; what a pull without a tag takes is the default. What is no
    model is passed over."""
    result = jarvis("variants", f"{registry.host}/x/y", "--json").check(0)
    lines = {line["tag"]: line for line in result.events}
    assert list(lines)[2:] == ["v1", "8b-q8_0"]
    assert {tag: line["quantization"] for tag, line in lines.items()} == {
        "8b-q4_K_M": "Q4_K_M",
        "latest": "Q4_K_M",
        "v1": "Q6_K",
        "8b-q8_0": "Q8_0",
    }
    size = (tmp_path / "v1.gguf").stat().st_size
    assert (lines["v1"]["size"], lines["v1"]["files"]) == (size, ["y-v1.gguf"])
    assert lines["v1"]["memory"] > size * 11 // 10, "the cache counts"
    assert lines["8b-q4_K_M"]["quality"] == 3
    assert [tag for tag, line in lines.items() if line["default"]] == ["latest"]
    head, *rows = jarvis("variants", f"{registry.host}/x/y").check(0).stdout.splitlines()
    assert head.split()[:2] == ["tag", "quantization"]
    assert ["8b-q8_0", "Q8_0"] in [row.split()[:2] for row in rows]


def test_quantization_is_found_among_tags(jarvis: Jarvis, registry: Registry, tmp_path: Path) -> None:
    """By a tag's name, else by what it stands for; it is then the tag's model, beside the others."""
    for quantization, tag in (("q8_0", "8b-q8_0"), ("Q6_K", "v1"), ("Q4_K_M", "8b-q4_K_M")):
        result = jarvis("pull", f"{registry.host}/x/y", "-q", quantization).check(0)
        (kept,) = (line for line in result.stdout.splitlines() if line.endswith(".gguf"))
        assert Path(kept).read_bytes() == (tmp_path / f"{tag}.gguf").read_bytes()
    names = [line["model"] for line in jarvis("list", "--json").check(0).events]
    assert sorted(names) == sorted(f"{registry.host}/x/y:{tag}" for tag in SIZES)
    jarvis("update").check(0)


def test_auto_takes_the_largest_tag(jarvis: Jarvis, registry: Registry, tmp_path: Path) -> None:
    """All fit."""
    jarvis("pull", f"{registry.host}/x/y", "-q", "auto", "-d", tmp_path / "out").check(0)
    assert "y-8b-q8_0.gguf" in {path.name for path in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("{}/x/y", "-q", "Q2_K"), 3, ("8b-q4_K_M", "v1 (Q6_K)")),
        (("{}/x/y:v1", "-q", "Q8_0"), 2, ("Leave one out",)),
        (("{}/x/none", "-q", "Q8_0"), 3, ("as an OCI registry",)),
        (("llama3", "-q", "Q8_0"), 2, ("https://ollama.com/library/llama3/tags", "ollama/llama3:TAG")),
        (("ollama/jo/m:8b", "-q", "auto"), 2, ("https://ollama.com/jo/m/tags", "ollama/jo/m:TAG")),
    ],
)
def test_quantization_that_cannot_be_chosen(
    jarvis: Jarvis, registry: Registry, words: tuple[str, ...], code: int, told: tuple[str, ...]
) -> None:
    """What there is, or what to write instead."""
    stderr = jarvis("pull", *(word.format(registry.host) for word in words)).check(code).stderr
    for text in told:
        assert text in stderr.replace("\u2060", "")


def test_several_tags_of_one_quantization(jarvis: Jarvis, registry: Registry, tmp_path: Path) -> None:
    """They are named, and none is guessed; a tag that is called just so is meant."""
    body = (tmp_path / "8b-q8_0.gguf").read_bytes()
    registry.put_model("x/y", "70b-q8_0", [(KIND, body + b"\0")])
    refused = jarvis("pull", f"{registry.host}/x/y", "-q", "Q8_0").check(2)
    assert "70b-q8_0, 8b-q8_0" in refused.stderr
    registry.put_model("x/y", "q8_0", [(KIND, body)])
    assert "y-q8_0.gguf" in jarvis("pull", f"{registry.host}/x/y", "-q", "Q8_0").check(0).stdout


MANIFEST = {
    "schemaVersion": 2,
    "config": {"mediaType": "x", "digest": f"sha256:{'a' * 64}", "size": 2 << 20},
    "layers": [{"mediaType": KIND, "digest": f"sha256:{'b' * 64}", "size": 5}],
}


def test_tags_that_cannot_be_one_are_passed_over(
    jarvis: Jarvis, origin_factory: Callable[..., Origin]
) -> None:
    """An empty one too: nothing is asked for by it, and none is listed."""
    body = json.dumps({"tags": ["", "a/b", "v\x1b[2J", "x" * 129, "q8_0"]}).encode()
    manifest = json.dumps(MANIFEST).encode()
    origin = origin_factory({"v2/a/b/tags/list": body, "v2/a/b/manifests/q8_0": manifest})
    path = f"{origin.host}:{origin.port}/a/b"
    assert [line["tag"] for line in jarvis("variants", path, "--json").check(0).events] == ["q8_0"]
    jarvis("variants", path).check(0)
    assert jarvis("pull", path, "-q", "Q2_K").check(3).stderr.count("There are: q8_0 (Q8_0). ") == 1
    assert {r.path for r in origin.requests if "/manifests/" in r.path} == {"v2/a/b/manifests/q8_0"}
    origin.add("v2/a/b/tags/list", File(b'{"tags": [""]}'))
    assert "no tag with a model" in jarvis("variants", path).check(3).stderr


def test_tags_come_in_pages(jarvis: Jarvis, registry: Registry, origin_factory) -> None:
    """By Link (RFC 8288), at the same origin only."""
    first, second = "v2/a/b/tags/list", "v2/a/b/tags/list?last=q4_0"
    pages = {
        first: File(
            json.dumps({"name": "a/b", "tags": ["q4_0"]}).encode(),
            headers={"Link": f'</{second}>; rel="next"'},
        ),
        second: File(json.dumps({"name": "a/b", "tags": ["q8_0"]}).encode()),
    }
    answers = {f"v2/a/b/manifests/{tag}": json.dumps(MANIFEST).encode() for tag in ("q4_0", "q8_0")}
    origin = origin_factory({**pages, **answers})
    lines = jarvis("variants", f"{origin.host}:{origin.port}/a/b", "--json").check(0).events
    assert [line["tag"] for line in lines] == ["q4_0", "q8_0"]
    origin.add(second, File(b"{}", headers={"Link": f'<http://127.0.0.2:{origin.port}/>; rel="next"'}))
    assert "next page is elsewhere" in jarvis("variants", f"{origin.host}:{origin.port}/a/b").check(5).stderr
