"""What the documents show is what happens: their commands are run, their code is executed, their tables are compared.

A block marked `console` holds commands after "$ " and what they print. It is run against local servers that stand
in for the Hub and for models.example.org. Numbers may differ, and "…" stands for anything.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import click
import pytest

from engine import errors
from engine.console.commands import cli
from engine.console.exit_codes import exit_code
from engine.server.run import BackgroundServer
from engine.store.receipts import Receipts
from engine.transport.retry import RETRYABLE_STATUS, Failure, Kind
from tests.command import ROOT
from tests.mission.gguf import write_tiny_gguf
from tests.mission.world import DEEPSEEK, MISTRAL, QWEN, VARIANTS
from tests.origin import File, Origin, Pattern

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
GUIDE = sorted(ROOT.glob("docs/guide/*.md"))
COMMIT = "7d5a9f2e6b1c4038af52d9e0c6b7a1f3e8d40c95"
TOKEN = "hf_YourTokenHere"
MODEL = Pattern(100_000_000, seed=7)
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?: ?(?:[kMGT]?B(?:/s)?|s)\b)?")
_WHEN_SLOW = re.compile(
    r" Where the time went: .*$|^.*: (?:connecting|verifying, .*|.* connections?)\n", re.MULTILINE
)
_TIMEOUT_S = 60.0


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def agrees(shown: str, printed: str) -> bool:
    """Whether output is what a document shows: "…" for anything, a line of it for any lines, any numbers.

    What only comes when it took long, progress and where the time went, is left aside.
    """
    printed = _WHEN_SLOW.sub("", printed)
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "…" else _line_pattern(line) + r"\n" for line in shown.splitlines()
    )
    return re.fullmatch(pattern, _NUMBER.sub("#", printed)) is not None


def _line_pattern(line: str) -> str:
    return ".*?".join(re.escape(_NUMBER.sub("#", piece.rstrip())) for piece in line.rstrip().split("…"))


# Formats


def reader() -> dict[str, Any]:
    """The reader of docs/formats.md, as a stranger would copy it."""
    (source,) = blocks(text_of("docs/formats.md"), "python")
    names: dict[str, Any] = {}
    exec(compile(source, "formats.md", "exec"), names)
    return names


@pytest.fixture
def interrupted(
    origin_factory: Callable[..., Origin], spawn: Callable[..., Any], tmp_path: Path
) -> Iterator[tuple[Origin, Path]]:
    """A pull that was killed when eight of its sixteen segments were on disk: its server, and its target."""
    content, target = Pattern((1 << 20) - 5), tmp_path / "model.gguf"
    origin = origin_factory({"model.gguf": content})
    origin.fault("stall", path="model.gguf", offset=8 * 65536 + 100)
    running = spawn("pull", origin.url("model.gguf"), "-o", target, "--segment-size", "64KiB", "-c", 1)
    origin.wait_fired("stall")
    wait_journal(tmp_path / "model.gguf.jarvis-part/journal", 8)
    running.kill()
    running.wait()
    origin.behave()
    yield origin, target


def wait_journal(journal: Path, segments: int) -> None:
    """Until it holds so many segments; AssertionError when that takes too long."""
    until = time.monotonic() + 20
    while not journal.exists() or len(records(journal)) < segments:
        assert time.monotonic() < until, f"{journal} holds too little"
        time.sleep(0.01)


def records(journal: Path) -> dict[int, int]:
    try:
        checks: dict[int, int] = reader()["read_journal"](journal)[1]
    except ValueError:
        return {}
    return checks


def test_the_reader_of_the_page_reads_a_real_journal(interrupted: tuple[Origin, Path]) -> None:
    """The code of docs/formats.md finds what a killed pull left, a torn record at its end notwithstanding."""
    origin, target = interrupted
    part = target.with_name("model.gguf.jarvis-part")
    with (part / "journal").open("ab") as journal:
        journal.write(b"\x09\x00\x00\x00torn")
    header, checks = reader()["read_journal"](part / "journal")
    assert (header["size"], header["segment_size"], header["check"]) == ((1 << 20) - 5, 65536, "xxh3_64")
    assert header["url"] == origin.url("model.gguf")
    assert header["etag"] == origin.files["model.gguf"].etag
    assert sorted(checks) == list(range(8))
    assert reader()["held"](part) == list(range(8))
    spoil(part / "data", 3 * 65536 + 17)
    assert reader()["held"](part) == [0, 1, 2, 4, 5, 6, 7]


def spoil(path: Path, offset: int) -> None:
    """One byte becomes another."""
    with path.open("r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def test_the_page_names_every_key_of_journal_and_receipt(
    interrupted: tuple[Origin, Path], jarvis: Callable[..., Any], home: Path
) -> None:
    """What a pull writes and what docs/formats.md lists are the same keys."""
    _, target = interrupted
    header, _ = reader()["read_journal"](target.with_name("model.gguf.jarvis-part") / "journal")
    jarvis("pull", header["url"], "-o", target, "--segment-size", "64KiB").check()
    (receipt,) = (json.loads(path.read_text()) for path in (home / "receipts").iterdir())
    journal_section, receipt_section = re.findall(
        r"^## (?:Journal|Receipt)\n(.*?)(?=^## )", text_of("docs/formats.md"), re.MULTILINE | re.DOTALL
    )
    for section, keys in ((journal_section, header), (receipt_section, receipt)):
        cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
        assert sorted(re.findall(r"`(\w+)`", " ".join(cells))) == sorted(keys)


def test_the_reader_of_the_page_reads_a_real_receipt(
    interrupted: tuple[Origin, Path], jarvis: Callable[..., Any], home: Path
) -> None:
    """The code of docs/formats.md finds the one segment of a finished file that was changed afterwards."""
    origin, target = interrupted
    jarvis("pull", origin.url("model.gguf"), "-o", target).check()
    name = hashlib.sha256(os.fsencode(target)).hexdigest()
    receipt = home / "receipts" / f"{name}.json"
    assert reader()["changed"](receipt) == []
    known = Receipts(home / "receipts").find(target)
    assert known and json.loads(receipt.read_text())["sha256"] == known.sha256
    spoil(target, (1 << 20) - 6)
    assert reader()["changed"](receipt) == [15]


# Errors


def classes() -> list[type[errors.EngineError]]:
    return [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.EngineError)
    ]


def test_the_page_has_every_error_class_with_its_exit_code() -> None:
    """The table of docs/errors.md is engine/errors.py and the command's own table."""
    rows = re.findall(
        r"^\| `(\w+)` \| ([^|]*) \| (\d+|as its causes) \|", text_of("docs/errors.md"), re.MULTILINE
    )
    shown = {name: (bases, code) for name, bases, code in rows}
    assert set(shown) == {kind.__name__ for kind in classes()}
    for kind in classes():
        bases, code = shown[kind.__name__]
        assert bases == ", ".join(f"`{base.__name__}`" for base in kind.__bases__)
        if kind is not errors.SeveralFailed:
            assert int(code) == exit_code(kind.__new__(kind)), kind.__name__
        assert f"### `{kind.__name__}`\n" in text_of("docs/errors.md")


def test_several_failures_end_as_the_page_says() -> None:
    """Causes that agree give their code, others 1."""
    missing, denied = errors.NotFound("a"), errors.AccessDenied("b")
    assert exit_code(errors.SeveralFailed("both", [missing, missing])) == 3
    assert exit_code(errors.SeveralFailed("both", [missing, denied])) == 1


def test_the_page_has_every_exit_code() -> None:
    """Codes that the command can end with, and no others, are in the first table of docs/errors.md."""
    rows = re.findall(r"^\| (\d+) \| ", text_of("docs/errors.md"), re.MULTILINE)
    codes = {exit_code(kind.__new__(kind)) for kind in classes() if kind is not errors.SeveralFailed}
    assert {int(row) for row in rows} == {0, exit_code(KeyboardInterrupt()), *codes}


def test_the_page_says_which_failures_are_tried_again() -> None:
    """The last table of docs/errors.md has each kind of failure once, and is right about what is final."""
    _, _, section = text_of("docs/errors.md").partition("## What is tried again")
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \| (\w+)[^|]* \|$", section, re.MULTILINE)
    assert sorted(kind for kind, _, _ in rows) == sorted(get_args(Kind))
    for kind, what, again in rows:
        if kind != "status":
            assert Failure(kind=kind, message="").is_final == (again == "no"), kind
            continue
        listed = {
            status
            for low, high in re.findall(r"(\d{3})(?: to (\d{3}))?", what)
            for status in range(int(low), int(high or low) + 1)
        }
        assert listed == RETRYABLE_STATUS


# All pages


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """Relative links name files that are there, and headings that are in them."""
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor:
            titles = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, (
                link
            )


@pytest.mark.parametrize("name", ["docs/architecture.md", "docs/formats.md", "CONTRIBUTING.md"])
def test_files_that_a_page_names_exist(name: str) -> None:
    """Paths in backticks are in the project, seen from its root or from engine/."""
    named = re.findall(r"`(\w[\w.]*/[\w./]*(?:\.py|/))`", text_of(name))
    assert named
    for path in named:
        assert (ROOT / path).exists() or (ROOT / "engine" / path).exists(), path


def test_options_that_the_documents_name_exist() -> None:
    """Every --option in README and guide is one of the command's."""
    assert isinstance(cli, click.Group)
    known = {
        name
        for command in cli.commands.values()
        for parameter in command.params
        for name in parameter.opts
        if isinstance(parameter, click.Option)
    }
    known |= {"--help", "--version"}
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "docs/errors.md", *GUIDE]:
        text = page.read_text(encoding="utf-8").partition("\n## Not there yet\n")[0]
        text = re.sub(
            r"\b(?:skopeo|ollama) [^`\n]*", "", text
        )  # other people's commands have options of their own
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text))
        assert named <= known, page


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """The last line of .ci/run is the command that README gives for the tests."""
    command = text_of(".ci/run").rstrip().splitlines()[-1]
    assert f"    {command}\n" in text_of("README.md")
    assert f"    {command}\n" in text_of("CONTRIBUTING.md")


# Commands


class World:
    """The servers that a page's commands meet, and a shell in an empty folder."""

    def __init__(self, folder: Path, origin: Origin, hub: str) -> None:
        self.folder = folder
        self.work = folder / "work"
        self.work.mkdir()
        self._origin = origin
        self._hub = hub
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = str(free.getsockname()[1])
        self._background: list[subprocess.Popen[bytes]] = []
        (folder / "bin").mkdir()
        self._put_on_path("jarvis", '-c "from engine.cli import main; main()"')
        self._put_on_path("python", "")

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != "JARVIS_HOME"}
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        hub = {"HF_ENDPOINT": self._hub, "HF_HUB_DISABLE_TELEMETRY": "1"}
        return {**kept, **hub, "PATH": path, "PYTHONPATH": str(ROOT)}

    def _put_on_path(self, name: str, words: str) -> None:
        script = self.folder / "bin" / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        script.chmod(0o755)

    def translate(self, text: str) -> str:
        """A document's addresses become local ones."""
        return text.replace("https://models.example.org", self._origin.base).replace("8080", self._port)

    def shown(self, printed: str) -> str:
        """And back. Errors break up a "404" in an address, which a port may hold by chance."""
        printed = printed.replace("\u2060", "")
        for real, name in (
            (self._origin.base, "https://models.example.org"),
            (self._hub, "https://huggingface.co"),
            (str(self.folder / "user"), "/home/ada"),
            (str(self.work), "/home/ada/work"),
            (f"127.0.0.1:{self._port}", "127.0.0.1:8080"),
            ("that 127.0.0.1 publishes", "that huggingface.co publishes"),
        ):
            printed = printed.replace(real, name)
        return printed

    def start(self, command: str) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            ["bash", "-c", f"exec 2>&1\n{self.translate(command)}"],
            cwd=self.work,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._background.append(process)
        return process

    def run(self, command: str, shown: str) -> str:
        """What the command printed. "^C" on a line of what is shown: it is interrupted once something is kept."""
        process = self.start(command)
        if "^C" in shown.splitlines():
            self._wait_kept()
            os.killpg(process.pid, signal.SIGINT)
        if command.endswith("&"):
            return self._first_lines(process, len(shown.splitlines()))
        printed, _ = process.communicate(timeout=_TIMEOUT_S)
        return self.shown(printed.decode())

    def _first_lines(self, process: "subprocess.Popen[bytes]", count: int) -> str:
        assert process.stdout is not None
        return self.shown(b"".join(process.stdout.readline() for _ in range(count)).decode())

    def _wait_kept(self) -> None:
        until = time.monotonic() + 20
        while not any(records(journal) for journal in self.folder.rglob("journal")):
            assert time.monotonic() < until, "nothing was kept"
            time.sleep(0.01)

    def close(self) -> None:
        for process in self._background:
            if process.stdout is not None:
                process.stdout.close()
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait(10)


def add_model(origin: Origin, repository: str, name: str, data: bytes, bearer: str | None) -> None:
    """A repository of one large file, as the Hub serves it."""
    digest = hashlib.sha256(data).hexdigest()
    tree = [
        {
            "type": "file",
            "path": name,
            "size": len(data),
            "oid": "0" * 40,
            "lfs": {"oid": digest, "size": len(data)},
        }
    ]
    for path, answer in (("revision/main", {"sha": COMMIT}), (f"tree/{COMMIT}", tree)):
        origin.add(f"api/models/{repository}/{path}", File(json.dumps(answer).encode(), bearer=bearer))
    origin.add(
        f"{repository}/resolve/{COMMIT}/{name}", File(data, bearer=bearer, headers={"X-Repo-Commit": COMMIT})
    )


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
    with BackgroundServer(tmp_path / "models") as hub:
        is_gated = request.node.name.endswith(("[private.md]", "[trouble.md]"))
        world = World(tmp_path, origin, gated.base if is_gated else hub.url)
        try:
            yield world
        finally:
            world.close()


def same_device(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Command and what it prints; lines that end with a backslash go on."""
    for entry in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = re.sub(r"\\\n *", "", entry).partition("\n")
        yield command, shown


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
    line = re.sub(r"/\S*/models|[0-9a-f]{16}…|:\d+", "", _WHEN_SLOW.sub("", line.strip()))
    return " ".join(_NUMBER.sub("#", line).split())


WITH_PYTHON = [
    page for page in [ROOT / "README.md", *GUIDE] if blocks(page.read_text(encoding="utf-8"), "python")
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
