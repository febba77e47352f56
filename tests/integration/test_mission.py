"""Every Python example of the mission document, as a plain script against servers that speak the real protocols.

The names in them (huggingface.co, models.jarviscore.ai) reach local TLS servers through HTTPS_PROXY and
SSL_CERT_FILE; nothing in `engine` is changed. See tests/mission/.
"""

import ast
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Certificates
from tests.mission import document
from tests.mission.document import TEXT, examples, program
from tests.mission.world import DEEPSEEK, MISTRAL, OWN, QWEN, VARIANTS, World

Q4 = "Mistral-Nemo-Instruct-2407-Q4_K_M.gguf"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def world(home: Path, tmp_path: Path, tls: Certificates) -> Iterator[World]:
    with World(tmp_path, tls) as world:
        yield world


@pytest.fixture
def mistral(world: World) -> dict[str, bytes]:
    """The repository that the shortcut `mistral` stands for, on the Hub."""
    return world.publish(MISTRAL)


def setup(mistral: dict[str, bytes]) -> dict[str, str]:
    """What the first example leaves open: the digest of its file."""
    return {'"abc123..."  # Optional': f'"{sha256(mistral[Q4])}"'}


def test_every_example_is_run_here() -> None:
    """All blocks of the document are known by name, and each is used by a test of this file."""
    names = {name: line for name, line in vars(document).items() if name.isupper() and isinstance(line, int)}
    assert sorted(names.values()) == sorted(examples())
    tree = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert set(names) <= used


# 1. Basic download


def test_basic_download(world: World, mistral: dict[str, bytes]) -> None:
    """The path is printed as the comment says; the file is on disk with the bytes that the Hub has."""
    ended = world.run(program(document.SETUP, "print(url)\nprint(file_path)", fill=setup(mistral)))
    shown, url, path = ended.lines
    assert shown.startswith("ModelPath(registry='huggingface.co', namespace='bartowski', ")
    assert "repository='Qwen2.5-7B-Instruct-GGUF', tag='main'" in shown
    assert url == f"https://huggingface.co/{MISTRAL}/resolve/main/{Q4}"
    assert Path(path) == world.folder / "models/llm" / Q4
    assert world.read(f"models/llm/{Q4}") == mistral[Q4]
    assert set(world.hub.asked()) == {("GET", f"{MISTRAL}/resolve/main/{Q4}")}
    assert [file.name for file in (world.folder / "models/llm").iterdir()] == [Q4]


def test_basic_download_again(world: World, mistral: dict[str, bytes]) -> None:
    """A file that is there and verified is not asked for again."""
    world.run(program(document.SETUP, fill=setup(mistral)))
    asked = len(world.proxy.asked)
    world.run(program(document.SETUP, fill=setup(mistral)))
    assert len(world.proxy.asked) == asked
    assert world.read(f"models/llm/{Q4}") == mistral[Q4]


def test_basic_download_resumes(world: World, mistral: dict[str, bytes]) -> None:
    """A connection that breaks in the middle costs what was on its way: the rest is asked for, not the whole."""
    digest = sha256(mistral[Q4])
    world.hub.content.fault("reset", path=digest, after_bytes=1_000_000, times=1)
    world.run(program(document.SETUP, fill=setup(mistral)))
    assert world.hub.content.fired("reset") == 1
    assert world.hub.content.bytes_sent(digest) < 1.5 * len(mistral[Q4])
    assert any(record.range and record.range[0] > 0 for record in world.hub.content.requests)
    assert world.read(f"models/llm/{Q4}") == mistral[Q4]


def test_basic_download_refuses_what_was_not_promised(world: World, mistral: dict[str, bytes]) -> None:
    """A Hub whose content is another than it says: nothing gets the file's name."""
    fault = world.hub.content.fault("same_size_corruption", path=sha256(mistral[Q4]), offset=500_000)
    ended = world.run(program(document.SETUP, fill=setup(mistral)), code=1)
    assert fault.fired
    assert "engine.errors.DigestMismatch" in ended.stderr
    assert "SHA256" in ended.stderr
    assert not (world.folder / "models/llm" / Q4).exists()


# 2. Progress


def test_progress(world: World, mistral: dict[str, bytes]) -> None:
    """The callback prints percent, speed and time left; percent never falls, and the last one is 100."""
    name = "Qwen2.5-7B-Instruct-Q4_K_M.gguf"
    qwen = world.publish(QWEN, name, pace=250_000)
    ended = world.run(
        program(
            document.SETUP,
            'download_url = get_download_url("qwen")\ndownloader.progress_interval = 0.1',
            document.PROGRESS,
            fill=setup(mistral),
        )
    )
    line = re.compile(r"Download: (\d+\.\d)% \| Speed: \d+\.\d\d MB/s \| ETA: (?:--|(?:\d+m )?\d+s)")
    matches = [line.fullmatch(text) for text in ended.lines[1:]]
    assert len(matches) > 2
    assert all(matches), ended.stdout
    percents = [float(match[1]) for match in matches if match]
    assert percents == sorted(percents)
    assert percents[-1] == 100.0
    assert any(0 < percent < 100 for percent in percents)
    assert world.read("models/llm/qwen2.5-7b.gguf") == qwen[name]


# 3. Several registries


def test_registries(world: World, mistral: dict[str, bytes]) -> None:
    """The three addresses begin as the comments say, and the Hub's lead to the file."""
    (example,) = (examples()[document.REGISTRIES],)
    promised = [text.rstrip(".") for text in re.findall(r"^# → (\S+)", example, re.MULTILINE)]
    fetch = (
        'for number, found in enumerate([url1, url3]):\n    downloader.download("m", found, f"{number}.gguf")'
    )
    ended = world.run(
        program(
            document.SETUP,
            document.REGISTRIES,
            "print(url1, url2, url3, sep='\\n')",
            fetch,
            fill=setup(mistral),
        )
    )
    urls = ended.lines[1:]
    assert len(promised) == len(urls) == 3
    assert all(url.startswith(start) for url, start in zip(urls, promised, strict=True))
    assert urls[0] == urls[2] == f"https://huggingface.co/{MISTRAL}/resolve/main/{Q4}"
    assert urls[1] == f"https://{OWN}/community/my-model/resolve/v1.0/my-model-Q4_K_M.gguf"
    assert [world.read(f"models/llm/{number}.gguf") for number in (0, 1)] == [mistral[Q4]] * 2


# 4. Models of one's own


def test_own_models(world: World, mistral: dict[str, bytes]) -> None:
    """A shortcut that was added leads to its file at its revision."""
    name = "model-q4_k_m.gguf"
    files = world.publish("myuser/awesome-model-GGUF", name, revisions=["v1.0"])
    fetch = 'print(url)\ndownloader.download("my-model", url, "my-model.gguf")'
    ended = world.run(program(document.SETUP, document.OWN_MODELS, fetch, fill=setup(mistral)))
    assert ended.lines[1:] == [f"https://huggingface.co/myuser/awesome-model-GGUF/resolve/v1.0/{name}"]
    assert world.read("models/llm/my-model.gguf") == files[name]


# 6. Tokens

SET, IN_ENVIRONMENT = "hf_SetByTheProgram", "hf_FromTheEnvironment"
PRIVATE = "me/private-GGUF"


def private(world: World, token: str) -> bytes:
    """A private repository that this token may read; its file."""
    return world.publish(PRIVATE, "private-Q4_K_M.gguf", bearer=token)["private-Q4_K_M.gguf"]


def tokens(line: int) -> str:
    """The example, with the two tokens that it leaves open."""
    set_call, environment = (text for text in examples()[line].split("os.environ"))
    filled = [
        re.sub(r'"hf_\w*(?:\.\.\.)?"', f'"{token}"', text)
        for text, token in ((set_call, SET), (environment, IN_ENVIRONMENT))
    ]
    return "os.environ".join(filled)


FETCH = f"""
downloader.download("private", get_download_url("{PRIVATE}"), "private.gguf")
"""
FRESH = """
downloader = ModelDownloader(download_dir=Path("models/llm"))
"""


@pytest.mark.parametrize("line", [document.TOKEN, document.FORBIDDEN])
def test_token_that_was_set(world: World, mistral: dict[str, bytes], line: int) -> None:
    """The token that was set arrives at the Hub, before that of the environment, and nowhere else."""
    content = private(world, SET)
    world.run(program(document.SETUP, tokens(line), FETCH, fill=setup(mistral)))
    assert world.read("models/llm/private.gguf") == content
    assert world.hub.tokens(PRIVATE) == {f"Bearer {SET}"}
    assert all("Authorization" not in record.headers for record in world.hub.content.requests)


@pytest.mark.parametrize("line", [document.TOKEN, document.FORBIDDEN])
def test_token_of_the_environment(world: World, mistral: dict[str, bytes], line: int) -> None:
    """A downloader to which none was set takes the token of the environment."""
    content = private(world, IN_ENVIRONMENT)
    world.run(program(document.SETUP, tokens(line), FRESH, FETCH, fill=setup(mistral)))
    assert world.read("models/llm/private.gguf") == content
    assert world.hub.tokens(PRIVATE) == {f"Bearer {IN_ENVIRONMENT}"}


def test_no_token(world: World, mistral: dict[str, bytes]) -> None:
    """Without one the private repository stays closed, so the two tests above prove something."""
    private(world, SET)
    ended = world.run(program(document.SETUP, FETCH, fill=setup(mistral)), code=1)
    assert "engine.errors.NotFound" in ended.stderr
    assert "--token or in HF_TOKEN" in ended.stderr
    assert not (world.folder / "models/llm/private.gguf").exists()


# Aliases and variants


def test_aliases() -> None:
    """Each line of the alias table is true of parse()."""
    from engine.model_registry import ModelRegistry

    table = re.findall(r'^"(.+?)" +→ "(.+?)"$', examples()[document.ALIASES], re.MULTILINE)
    assert len(table) == 4
    for alias, registry in table:
        assert ModelRegistry.parse(f"{alias}/namespace/model").registry == registry


def test_variants(world: World, mistral: dict[str, bytes]) -> None:
    """The five of the table, in its order; each is a file of the Hub."""
    ended = world.run(program(document.VARIANTS))
    in_table = re.findall(r"^\| \*\*(\w+)\*\* \|", TEXT, re.MULTILINE)
    assert tuple(in_table) == VARIANTS
    assert ended.lines == [
        f"https://huggingface.co/{MISTRAL}/resolve/main/Mistral-Nemo-Instruct-2407-{variant}.gguf"
        for variant in in_table
    ]
    assert all(url.removeprefix("https://huggingface.co/") in world.hub.site.files for url in ended.lines)


# Errors

INTEGRITY, MISSING = "Integritätsprüfung fehlgeschlagen!", "Modell nicht gefunden!"


def errors(mistral: dict[str, bytes], url: str, digest: str) -> str:
    return program(
        document.SETUP,
        document.ERRORS,
        fill={**setup(mistral), '"https://..."': f'"{url}"', '"abc123..."': f'"{digest}"'},
    )


def test_error_of_integrity(world: World, mistral: dict[str, bytes]) -> None:
    """Content with another digest than promised: the first branch, and no file. The address has "404" in it."""
    world.publish("ns/model-404-GGUF", "m-Q4_K_M.gguf")
    url = "https://huggingface.co/ns/model-404-GGUF/resolve/main/m-Q4_K_M.gguf"
    ended = world.run(errors(mistral, url, "404" + "0" * 61))
    assert ended.lines[1:] == [INTEGRITY]
    assert not (world.folder / "models/llm/model.gguf").exists()


def test_error_of_a_missing_model(world: World, mistral: dict[str, bytes]) -> None:
    """An address that is not there: the second branch, even if it has "SHA256" in it."""
    url = "https://huggingface.co/ns/SHA256-GGUF/resolve/main/SHA256.gguf"
    ended = world.run(errors(mistral, url, "a" * 64))
    assert ended.lines[1:] == [MISSING]


def test_other_errors(world: World, mistral: dict[str, bytes]) -> None:
    """A refusal of another kind: the third branch, which says what happened, though the address has both words."""
    world.publish("ns/SHA256-404-GGUF", "m-Q4_K_M.gguf")
    world.hub.site.fault("status", path="ns/SHA256-404-GGUF/resolve/main/m-Q4_K_M.gguf", code=400)
    url = "https://huggingface.co/ns/SHA256-404-GGUF/resolve/main/m-Q4_K_M.gguf"
    ended = world.run(errors(mistral, url, "a" * 64))
    assert len(ended.lines) == 2
    assert ended.lines[1].startswith("Download-Fehler: https://huggingface.co/ns/S")
    assert "400" in ended.lines[1]


# Troubleshooting


def test_debug_mode(world: World, mistral: dict[str, bytes]) -> None:
    """Debug lines show requests, retries and waits, and neither signed addresses nor tokens; max_retries holds."""
    qwen = world.publish(QWEN)["Qwen2.5-7B-Instruct-Q4_K_M.gguf"]
    path = f"{QWEN}/resolve/main/Qwen2.5-7B-Instruct-Q4_K_M.gguf"
    world.hub.site.fault("status", path=path, code=503, headers={"Retry-After": "0"}, times=5)
    ended = world.run(
        program(
            document.SETUP,
            document.DEBUG,
            f'downloader.set_hf_token("{SET}")\ndownloader.download("qwen", get_download_url("qwen"), "q.gguf")',
            fill=setup(mistral),
        )
    )
    assert world.hub.site.fired("status") == 5
    assert world.read("models/llm/q.gguf") == qwen
    assert f"download.started model=qwen file=q.gguf url=https://huggingface.co/{path}\n" in ended.stderr
    assert re.search(r"^DEBUG:engine\S*:lease.sent .*file=q.gguf span=\S+", ended.stderr, re.MULTILINE)
    retries = re.findall(r"lease.failed file=q.gguf .*503.* wait_s=(\S+) attempt=(\d)", ended.stderr)
    assert [attempt for _, attempt in retries] == ["1", "2", "3", "4", "5"]
    for secret in (SET, "X-Signature", *signatures(world)):
        assert secret not in ended.stderr


def signatures(world: World) -> set[str]:
    """The secrets of all signed addresses that were asked for."""
    found = {
        match[1] for r in world.hub.content.requests if (match := re.search(r"X-Signature=(\w+)", r.target))
    }
    assert found
    return found


def test_retries_end(world: World, mistral: dict[str, bytes]) -> None:
    """max_retries is the number of further attempts."""
    path = f"{QWEN}/resolve/main/Qwen2.5-7B-Instruct-Q4_K_M.gguf"
    world.publish(QWEN)
    world.hub.site.fault("status", path=path, code=503, headers={"Retry-After": "0"})
    fetch = 'downloader.download("qwen", get_download_url("qwen"), "q.gguf")'
    ended = world.run(program(document.SETUP, document.DEBUG, fetch, fill=setup(mistral)), code=1)
    assert "engine.errors.NetworkError" in ended.stderr
    assert len(world.hub.site.requests_for(path)) == 6


def test_force(world: World, mistral: dict[str, bytes]) -> None:
    """What is there is fetched anew, though its receipt fits; the new file takes its place."""
    ready = 'downloader.download("mistral", url, "model.gguf")'
    world.run(program(document.SETUP, ready, fill=setup(mistral)))
    sent = world.hub.content.bytes_sent()
    changed = mistral[Q4][:-1] + b"?"
    world.hub.add(MISTRAL, {Q4: changed})
    world.run(program(document.SETUP, ready, fill=setup(mistral)))
    assert world.read("models/llm/model.gguf") == mistral[Q4]
    assert world.hub.content.bytes_sent() == sent
    world.run(program(document.SETUP, document.FORCE, fill=setup(mistral)))
    assert world.read("models/llm/model.gguf") == changed
    assert world.hub.content.bytes_sent(sha256(changed)) == len(changed)


# Examples


def test_batch(world: World, mistral: dict[str, bytes]) -> None:
    """Three models, three successes, three files with the Hub's bytes."""
    qwen = world.publish(QWEN)["Qwen2.5-7B-Instruct-Q4_K_M.gguf"]
    deepseek = world.publish(DEEPSEEK)["DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf"]
    ended = world.run(program(document.SETUP, document.BATCH, fill=setup(mistral)))
    assert ended.lines[1:] == [f"✅ {model} downloaded" for model in ("mistral", "qwen", "deepseek")]
    for model, content in (("mistral", mistral[Q4]), ("qwen", qwen), ("deepseek", deepseek)):
        assert world.read(f"models/llm/{model}.gguf") == content


def test_batch_with_one_that_fails(world: World, mistral: dict[str, bytes]) -> None:
    """One that is not there says so, and stops nobody."""
    world.publish(DEEPSEEK)
    ended = world.run(program(document.SETUP, document.BATCH, fill=setup(mistral)))
    assert [line.split()[:2] for line in ended.lines[1:]] == [
        ["✅", "mistral"],
        ["❌", "qwen"],
        ["✅", "deepseek"],
    ]
    assert "404" in ended.lines[2]


def test_model_of_an_own_server(world: World, mistral: dict[str, bytes]) -> None:
    """The file comes from the server that the path names: from the project's own."""
    content = world.make("jarviscore/custom-model-GGUF", "jarvis-7b-q4.gguf")["jarvis-7b-q4.gguf"]
    ended = world.run(
        program(document.SETUP, document.OWN_SERVER, "print(model_path, url, sep='\\n')", fill=setup(mistral))
    )
    url = f"https://{OWN}/jarviscore/custom-model-GGUF/resolve/main/jarvis-7b-q4.gguf"
    assert ended.lines[-1] == url
    assert f"registry='{OWN}'" in ended.lines[-2]
    assert world.read("models/llm/jarvis-7b-q4.gguf") == content
    assert {(r.host, r.path) for r in world.own.asked} == {(OWN, url.removeprefix(f"https://{OWN}"))}


# 5. Manifests


def kept(world: World) -> dict[str, dict[str, Any]]:
    """The manifests that a program has written, as JSON, by file name."""
    return {
        path.name: json.loads(path.read_text("utf-8"))
        for path in (world.folder / "models/manifests").glob("*.json")
    }


def test_manifest(world: World) -> None:
    """The statistics are printed; the manifest is a small JSON file that says what the example said."""
    digest = sha256(b"of a model")
    ended = world.run(program(document.MANIFEST, fill={"abc123...": digest}))
    assert ended.lines == ["Downloaded: 1/1", "Total size: 7.5 GB"]
    ((name, manifest),) = kept(world).items()
    assert name == "mistral.json"
    assert (world.folder / "models/manifests" / name).stat().st_size < 4096
    said = {
        "model_key": "mistral",
        "registry": "huggingface.co",
        "namespace": "second-state",
        "repository": "Mistral-Nemo-Instruct-2407-GGUF",
        "display_name": "Mistral 7B Nemo Instruct",
        "parameters": "7B",
        "context_length": 8192,
        "downloaded": True,
        "verified": True,
    }
    assert {key: manifest[key] for key in said} == said
    (layer,) = manifest["layers"]
    assert (layer["filename"], layer["sha256"], layer["size_bytes"]) == (Q4, digest, 7_500_000_000)
    assert world.proxy.asked == []


# Migration


def test_migration(world: World, mistral: dict[str, bytes]) -> None:
    """Every old file gets a manifest with its digest and size, and a line with the digest's beginning."""
    old = {"Old-Model.Q4_0.gguf": b"GGUF" + bytes(9_000_000), Q4: mistral[Q4]}
    (world.folder / "models/llm").mkdir(parents=True)
    for name, content in old.items():
        (world.folder / "models/llm" / name).write_bytes(content)
    ended = world.run(program(document.SETUP, document.MIGRATION, fill=setup(mistral)))
    keys = {name.removesuffix(".gguf").lower(): content for name, content in old.items()}
    assert sorted(ended.lines[1:]) == sorted(f"✅ {key}: {sha256(data)[:8]}..." for key, data in keys.items())
    manifests = {manifest["model_key"]: manifest for manifest in kept(world).values()}
    assert set(manifests) == set(keys)
    for name, content in old.items():
        manifest = manifests[name.removesuffix(".gguf").lower()]
        (layer,) = manifest["layers"]
        assert (layer["filename"], layer["sha256"], layer["size_bytes"]) == (
            name,
            sha256(content),
            len(content),
        )
        assert manifest["downloaded"] and manifest["verified"]
        assert (manifest["registry"], manifest["namespace"]) == ("huggingface.co", "unknown")


# The manager


def stored(home: Path, repository: str) -> dict[str, bytes]:
    """What people open of a model in the store, by name."""
    return {path.name: path.read_bytes() for path in (home / "llm" / repository).iterdir()}


def test_manager(world: World, home: Path, mistral: dict[str, bytes]) -> None:
    """Three models by path, by quantization, and with a callback that names the model; all are in the store."""
    qwen, deepseek = world.publish(QWEN), world.publish(DEEPSEEK)
    ended = world.run(program(document.MANAGER))
    progress = [line.rpartition(" ") for line in ended.lines]
    assert {model for model, _, _ in progress} == {"deepseek:"}
    percents = [float(percent.rstrip("%")) for _, _, percent in progress]
    assert percents == sorted(percents)
    assert percents[-1] == 100.0
    expected = {
        QWEN: {"Qwen2.5-7B-Instruct-Q4_K_M.gguf": qwen},
        MISTRAL: {"Mistral-Nemo-Instruct-2407-Q5_K_M.gguf": mistral},
        DEEPSEEK: {"DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf": deepseek},
    }
    for repository, files in expected.items():
        assert stored(home, repository) == {name: made[name] for name, made in files.items()}
    repositories = {path.partition("/resolve/")[0] for _, path in world.hub.asked() if "/resolve/" in path}
    assert repositories == set(expected)


def test_manager_returns_the_main_file_and_keeps_a_manifest(
    world: World, home: Path, mistral: dict[str, bytes]
) -> None:
    """The path that comes back is the file's; ManifestManager and the statistics know the model; again is free."""
    name = "Mistral-Nemo-Instruct-2407-Q5_K_M.gguf"
    source = (
        "from engine.llm_manager import LLMManager\n"
        'print(LLMManager().download_model_from_path("mistral", quantization="Q5_K_M"))'
    )
    assert world.run(source).lines == [str(home / "llm" / MISTRAL / name)]
    sent = world.hub.content.bytes_sent()
    assert world.run(source).lines == [str(home / "llm" / MISTRAL / name)]
    assert world.hub.content.bytes_sent() == sent
    (manifest,) = (json.loads(path.read_text("utf-8")) for path in (home / "manifests").glob("*.json"))
    assert [(layer["filename"], layer["sha256"]) for layer in manifest["layers"]] == [
        (name, sha256(mistral[name]))
    ]
    assert manifest["downloaded"] and manifest["verified"]


def test_manager_with_folders_of_its_own(world: World, home: Path, mistral: dict[str, bytes]) -> None:
    """download_dir and manifest_dir are used where they are given."""
    source = (
        "from engine.llm_manager import LLMManager\n"
        'print(LLMManager("here/llm", "here/manifests").download_model_from_path("mistral"))'
    )
    (path,) = world.run(source).lines
    assert Path(path).is_relative_to(world.folder / "here/llm")
    assert Path(path).read_bytes() == mistral[Q4]
    assert len(list((world.folder / "here/manifests").glob("*.json"))) == 1


# All of it


def test_the_whole_document_is_one_program(world: World, mistral: dict[str, bytes]) -> None:
    """All examples one after the other, each with what those before it left."""
    qwen, deepseek = world.publish(QWEN), world.publish(DEEPSEEK)
    own = world.make("jarviscore/custom-model-GGUF", "jarvis-7b-q4.gguf")
    lines = sorted(set(examples()) - {document.ALIASES})
    lines.insert(lines.index(document.PROGRESS), 'download_url = get_download_url("qwen")')
    missing = "https://huggingface.co/ns/none-GGUF/resolve/main/none.gguf"
    ended = world.run(
        program(
            *lines,
            fill={
                **setup(mistral),
                'sha256="abc123...",\n    size': f'sha256="{sha256(b"x")}",\n    size',
                '"https://..."': f'"{missing}"',
                '"abc123..."': f'"{"a" * 64}"',
                '"hf_YourTokenHere"': f'"{SET}"',
            },
        )
    )
    assert [line for line in ended.lines if line.startswith("✅") and line.endswith("downloaded")] == [
        f"✅ {model} downloaded" for model in ("mistral", "qwen", "deepseek")
    ]
    assert MISSING in ended.lines
    assert world.read("models/llm/qwen.gguf") == qwen["Qwen2.5-7B-Instruct-Q4_K_M.gguf"]
    assert world.read("models/llm/deepseek.gguf") == deepseek["DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf"]
    assert world.read("models/llm/jarvis-7b-q4.gguf") == own["jarvis-7b-q4.gguf"]
