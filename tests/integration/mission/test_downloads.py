"""The document's downloads: basic, with progress, from several registries, of models of one's own."""

import re
from pathlib import Path

from tests.mission import document
from tests.mission.document import examples, program
from tests.mission.world import MISTRAL, OWN, Q4, QWEN, World, setup, sha256


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
