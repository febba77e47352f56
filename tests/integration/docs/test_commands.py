"""What the documents show is what happens: their commands are run, and their code.

A block marked `console` holds commands after "$ " and what they print. It is run against local servers that stand
in for the Hub and for models.example.org. Numbers may differ, and "…" stands for anything.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.server.run import BackgroundServer
from tests.command import ROOT
from tests.integration.docs.pages import GUIDE, NUMBER, WHEN_SLOW, agrees, blocks, commands, text_of
from tests.integration.docs.world import TOKEN, World, add_model
from tests.mission.gguf import write_tiny_gguf
from tests.mission.world import DEEPSEEK, MISTRAL, QWEN, VARIANTS
from tests.origin import File, Origin, Pattern
from tests.registry import docker_registry

MODEL = Pattern(100_000_000, seed=7)


@pytest.fixture
def world(
    request: pytest.FixtureRequest,
    origin_factory: Callable[..., Origin],
    home: Path,
    tmp_path: Path,
    minilm: Path,
    gguf_file: Path,
) -> Iterator[World]:
    """All servers that any page needs. The Hub of two pages has a gated model, that of the others real ones, and
    where a page speaks of shortcuts what they stand for."""
    origin = origin_factory({"model.gguf": File(MODEL, pace=12e6), "small.gguf": Pattern(1_000_000)})
    gated = origin_factory()
    add_model(gated, "acme/gated-GGUF", "gated-Q4_K_M.gguf", b"GGUF" + bytes(999_996), TOKEN)
    for repository, files in (
        ("sentence-transformers/all-MiniLM-L6-v2", sorted(minilm.iterdir())),
        ("second-state/All-MiniLM-L6-v2-Embedding-GGUF", [gguf_file]),
    ):
        folder = tmp_path / "models" / repository
        folder.mkdir(parents=True)
        for path in files:
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                os.link(path, folder / path.name) if same_device(path, folder) else (
                    folder / path.name
                ).write_bytes(path.read_bytes())
    tiny = ("shortcuts", "own-models", "batch", "upkeep", "quantizations")
    if any(f"[{page}.md" in request.node.name for page in tiny):
        for repository in (MISTRAL, QWEN, DEEPSEEK):
            stem = repository.rpartition("/")[2].removesuffix("-GGUF")
            for variant in VARIANTS:
                write_tiny_gguf(tmp_path / "models" / repository / f"{stem}-{variant}.gguf", 250_000)
    with BackgroundServer(tmp_path / "models") as hub, ExitStack() as servers:
        is_gated = request.node.name.endswith(("[private.md]", "[trouble.md]"))
        has_registry = request.node.name.endswith(("[quantizations.md]", "[registries.md]"))
        registry = servers.enter_context(registry_of_tags(tmp_path)) if has_registry else None
        world = World(tmp_path, origin, gated.base if is_gated else hub.url, registry)
        try:
            yield world
        finally:
            world.close()


@contextmanager
def registry_of_tags(folder: Path) -> Iterator[str]:
    """Host and port of a registry that has team/tiny under tags that say their quantization; v1 in its config."""
    with docker_registry(folder / "registry") as registry:
        for number, tag in enumerate(("q4_K_M", "v1", "q8_0"), 4):
            model = write_tiny_gguf(folder / f"tiny-{tag}.gguf", number * 50_000)
            config = b'{"file_type":"Q6_K"}' if tag == "v1" else b"{ }"
            registry.put_model(
                "team/tiny", tag, [("application/vnd.ollama.image.model", model)], config=config
            )
        yield registry.host


def same_device(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev


@pytest.mark.parametrize("page", [ROOT / "README.md", *GUIDE], ids=lambda path: path.name)
def test_commands_print_what_the_page_shows(page: Path, world: World) -> None:
    """Each command of a page, run in order in one folder, prints what stands below it."""
    for block in blocks(page.read_text(encoding="utf-8"), "console"):
        for command, shown in commands(block):
            if command.startswith("skopeo ") and shutil.which("skopeo") is None:
                pytest.skip("skopeo is not installed")
            printed = world.run(command, shown)
            expected = "\n".join(line for line in shown.splitlines() if line != "^C")
            assert agrees(expected, printed), f"$ {command}\n{printed}\n--- shown:\n{expected}"


def test_the_readme_shows_what_the_demo_prints(jarvis: Callable[..., Any]) -> None:
    """`jarvis demo` ends well, and prints every line that README shows, and on stdout no others."""
    result = jarvis("demo", timeout_s=180).check()
    (shown,) = blocks(text_of("README.md"), "text")
    lines, printed = set(map(_bare, shown.splitlines())), set(map(_bare, result.stdout.splitlines()))
    assert printed <= lines <= printed | set(map(_bare, result.stderr.splitlines()))


def _bare(line: str) -> str:
    """Without what differs from run to run: folder, port, digest, numbers, and what only comes when it took long."""
    line = re.sub(r"/\S*/models|[0-9a-f]{16}…|:\d+", "", WHEN_SLOW.sub("", line.strip()))
    return " ".join(NUMBER.sub("#", line).split())


WITH_PYTHON = [
    page
    for page in [ROOT / "README.md", ROOT / "docs/api.md", *GUIDE]
    if blocks(page.read_text(encoding="utf-8"), "python")
]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda path: path.name)
def test_python_of_a_page_runs(page: Path, world: World) -> None:
    """A page's Python, taken together, is a program that runs as it stands, and prints what its comments say, in
    their order."""
    source = "\n\n".join(blocks(page.read_text(encoding="utf-8"), "python"))
    (world.work / "example.py").write_text(world.translate(source), encoding="utf-8")
    printed = world.run("python example.py || echo failed", "")
    said = re.findall(r"#> (.+)$", source, re.MULTILINE)
    assert agrees("…\n" + "".join(f"{line}\n…\n" for line in said), printed), printed
    assert not printed.endswith("failed\n"), printed
