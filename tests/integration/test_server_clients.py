"""Other people's clients pull from our server, unmodified: huggingface_hub of two lines, hf_transfer, aria2c."""

import hashlib
import json
import logging
import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp")

from engine.server.run import BackgroundServer
from tests.clients.environments import hub_environment, python_with

CURRENT = ("huggingface_hub==2.4.0",)
LEGACY = ("huggingface_hub==0.36.2", "hf_transfer==0.1.9")
SCRIPT = Path(__file__).parents[1] / "clients" / "hub_client.py"
FILES = {
    "config.json": b'{"model_type": "tiny"}\n',
    "README.md": b"# tiny\n",
    "empty.txt": b"",
    ".gitattributes": b"*.gguf filter=lfs diff=lfs merge=lfs -text\n",
    "subfolder/to?/ca%2Fche": b"awful name",
    "with space/\u00fcml\u00e4ut #1&2=3+4.txt": b"another",
    "weights.gguf": random.Random(1).randbytes(
        60_000_001
    ),  # beyond the 50 MiB from which hf_transfer is used
    "small.safetensors": random.Random(2).randbytes(100_000),
}


@pytest.fixture(scope="session")
def cache(shared_folder: Path) -> Path:
    """Where environments of foreign clients are kept: JARVIS_TEST_CACHE, else for this run."""
    return Path(os.environ.get("JARVIS_TEST_CACHE") or shared_folder)


@pytest.fixture(scope="session")
def current(cache: Path) -> Path:
    return python_with(cache, *CURRENT)


@pytest.fixture(scope="session")
def legacy(cache: Path) -> Path:
    return python_with(cache, *LEGACY)


class Requests(logging.Handler):
    """What the server says it answered, as `METHOD path` with the status."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        fields = getattr(record, "fields", {})
        if fields.get("event") == "request.answered":
            self.seen.append(fields)

    def lines(self) -> list[str]:
        return [f"{fields['method']} {fields['path']} {fields['status']}" for fields in self.seen]


@pytest.fixture
def requests() -> Iterator[Requests]:
    handler, logger = Requests(), logging.getLogger("engine.server")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(before)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        path = tmp_path / "root/acme/tiny" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "root/solo").mkdir()
    (tmp_path / "root/solo/config.json").write_bytes(b"{}")
    return tmp_path / "root"


class Hub:
    """A Hub client's calls, with one cache; each in a process of its own, but for those of answers()."""

    def __init__(self, python: Path, endpoint: str, home: Path, **environment: str) -> None:
        self._python = python
        self._environment = hub_environment(endpoint, home) | environment
        self.stderr = ""

    def answers(self, *calls: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
        """What comes of calls that one process makes, one after the other."""
        done = subprocess.run(
            [self._python, SCRIPT, json.dumps(calls)],
            env=self._environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        self.stderr = done.stderr
        assert done.returncode == 0, done.stderr
        answers: list[dict[str, Any]] = json.loads(done.stdout)
        return answers

    def answer(self, function: str, **arguments: Any) -> dict[str, Any]:
        (answer,) = self.answers((function, arguments))
        return answer

    def call(self, function: str, **arguments: Any) -> Any:
        answer = self.answer(function, **arguments)
        assert "error" not in answer, answer
        return answer["result"]


@pytest.fixture
def server(root: Path) -> Iterator[BackgroundServer]:
    with BackgroundServer(root) as server:
        yield server


@pytest.fixture(params=["current", "legacy", "hf_transfer"])
def hub(request: pytest.FixtureRequest, server: BackgroundServer, tmp_path: Path) -> Hub:
    """The client of today, the last one of the 0.x line, and that one with hf_transfer."""
    if request.param == "current":
        return Hub(request.getfixturevalue("current"), server.url, tmp_path / "home")
    enabled = "1" if request.param == "hf_transfer" else "0"
    python = request.getfixturevalue("legacy")
    return Hub(python, server.url, tmp_path / "home", HF_HUB_ENABLE_HF_TRANSFER=enabled)


@pytest.fixture
def today(current: Path, server: BackgroundServer, tmp_path: Path) -> Hub:
    return Hub(current, server.url, tmp_path / "home")


def assert_complete(folder: Path) -> None:
    """Every byte of every file, and nothing else."""
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    assert found == FILES


def test_client_versions(current: Path, legacy: Path, tmp_path: Path) -> None:
    """The clients under test are the ones that these tests name."""
    for python, version in ((current, "2.4.0"), (legacy, "0.36.2")):
        assert Hub(python, "http://127.0.0.1:9", tmp_path / "home").call("version") == version


def test_hf_hub_download(hub: Hub) -> None:
    """Every file, whatever its name and kind, arrives whole in the client's cache."""
    calls = [("hf_hub_download", {"repo_id": "acme/tiny", "filename": name}) for name in FILES]
    for name, answer in zip(FILES, hub.answers(*calls), strict=True):
        path = Path(answer["result"])
        assert path.read_bytes() == FILES[name]
        if name.endswith((".gguf", ".safetensors")):
            digest = hashlib.sha256(FILES[name]).hexdigest()
            assert path.resolve().name == digest, "the client names its blob by our ETag"


def test_hf_transfer_really_fetched_ranges(
    legacy: Path, server: BackgroundServer, tmp_path: Path, requests: Requests
) -> None:
    """hf_transfer splits a file into ranges, the last of which ends past the file, and all are answered 206."""
    hub = Hub(legacy, server.url, tmp_path / "home", HF_HUB_ENABLE_HF_TRANSFER="1")
    path = Path(hub.call("hf_hub_download", repo_id="acme/tiny", filename="weights.gguf"))
    assert path.read_bytes() == FILES["weights.gguf"]
    ranges = {fields["range"]: fields["status"] for fields in requests.seen if fields["range"]}
    size = len(FILES["weights.gguf"])
    assert len(ranges) == 1 + -(-size // (10 << 20))
    assert set(ranges.values()) == {206}
    assert any(int(text.rpartition("-")[2]) >= size for text in ranges)


def test_snapshot_download(hub: Hub) -> None:
    """A whole repository arrives, byte for byte, with its folders."""
    assert_complete(Path(hub.call("snapshot_download", repo_id="acme/tiny")))


def test_second_snapshot_makes_one_request(today: Hub, requests: Requests) -> None:
    """When nothing has changed, the client learns so from one answer: the revision's commit."""
    first = today.call("snapshot_download", repo_id="acme/tiny")
    requests.seen.clear()
    assert today.call("snapshot_download", repo_id="acme/tiny") == first
    assert requests.lines() == ["GET /api/models/acme/tiny/revision/main 200"]


def test_changed_file_is_fetched_and_others_are_kept(today: Hub, root: Path, requests: Requests) -> None:
    """After a change the snapshot is another one, and only the changed file's bytes travel."""
    first = Path(today.call("snapshot_download", repo_id="acme/tiny"))
    (root / "acme/tiny/config.json").write_bytes(b"{}")
    requests.seen.clear()
    second = Path(today.call("snapshot_download", repo_id="acme/tiny"))
    assert second != first
    assert (second / "config.json").read_bytes() == b"{}"
    fetched = [line for line in requests.lines() if re.fullmatch(r"GET /acme/tiny/resolve/.* 200", line)]
    assert [line.rpartition("/")[2] for line in fetched] == ["config.json 200"]


def test_pinned_revision(today: Hub, root: Path) -> None:
    """A pinned commit is served while its files are as they were, and refused once the file has changed."""
    commit = today.call("refs", repo_id="acme/tiny")["main"]
    (root / "acme/tiny/README.md").write_bytes(b"# changed\n")
    path = today.call("hf_hub_download", repo_id="acme/tiny", filename="config.json", revision=commit)
    assert commit in path
    answer = today.answer("hf_hub_download", repo_id="acme/tiny", filename="README.md", revision=commit)
    assert "RevisionNotFoundError" in answer["error"]


MISSING: list[tuple[dict[str, str], str]] = [
    ({"repo_id": "acme/nope", "filename": "config.json"}, "RepositoryNotFoundError"),
    ({"repo_id": "nope", "filename": "config.json"}, "RepositoryNotFoundError"),
    ({"repo_id": "acme/tiny", "filename": "config.json", "revision": "v9"}, "RevisionNotFoundError"),
    ({"repo_id": "acme/tiny", "filename": "config.json", "revision": "refs/pr/1"}, "RevisionNotFoundError"),
    ({"repo_id": "acme/tiny", "filename": "nope.gguf"}, "EntryNotFoundError"),
]


def test_error_classes(hub: Hub) -> None:
    """What is missing becomes the client's own exception for it, not a general one; whole repositories too."""
    calls = [("hf_hub_download", arguments) for arguments, _ in MISSING]
    answers = hub.answers(*calls, ("snapshot_download", {"repo_id": "acme/nope"}))
    expected = [*(error for _, error in MISSING), "RepositoryNotFoundError"]
    for answer, error in zip(answers, expected, strict=True):
        assert error in answer["error"], answer
        assert "LocalEntryNotFoundError" not in answer["error"]


def test_missing_file_is_cached_as_missing(today: Hub, requests: Requests, tmp_path: Path) -> None:
    """EntryNotFound comes with the commit, so the client notes the absence for it."""
    today.answer("hf_hub_download", repo_id="acme/tiny", filename="nope.json")
    noted = list((tmp_path / "home").rglob(".no_exist/*/nope.json"))
    assert len(noted) == 1


def test_metadata_calls(hub: Hub) -> None:
    """Sizes and digests are the same from model info, paths-info and the files themselves."""
    some = ["weights.gguf", "README.md", "nope"]
    answers = hub.answers(
        ("files_metadata", {"repo_id": "acme/tiny"}),
        ("paths_info", {"repo_id": "acme/tiny", "paths": some}),
        ("list_models", {}),
        ("hf_hub_download", {"repo_id": "solo", "filename": "config.json"}),
    )
    metadata, paths, models, config = (answer["result"] for answer in answers)
    assert {name: values[0] for name, values in metadata.items()} == {n: len(d) for n, d in FILES.items()}
    assert metadata["weights.gguf"][2] == hashlib.sha256(FILES["weights.gguf"]).hexdigest()
    assert paths == {name: metadata[name] for name in ("weights.gguf", "README.md")}
    assert sorted(models) == ["acme/tiny", "solo"]
    assert config.endswith("config.json")


def test_clients_own_verification_agrees(today: Hub) -> None:
    """The client hashes what it has and compares with our tree: all files are checked, none differs."""
    today.call("snapshot_download", repo_id="acme/tiny")
    assert today.call("verify", repo_id="acme/tiny") == [len(FILES), 0, 0]


def test_more_than_a_thousand_files(hub: Hub, root: Path) -> None:
    """A repository of more than one page is listed whole."""
    many = root / "acme/many/sub"
    many.mkdir(parents=True)
    for index in range(2345):
        (many / f"{index:04}.txt").touch()
    paths = hub.call("list_tree", repo_id="acme/many")
    assert sorted(paths) == ["sub"] + [f"sub/{index:04}.txt" for index in range(2345)]


def test_aria2c_with_four_connections(server: BackgroundServer, tmp_path: Path, requests: Requests) -> None:
    """aria2c fetches one file over four connections, and the digest that we publish agrees."""
    aria2c = shutil.which("aria2c")
    if aria2c is None:
        pytest.skip("aria2c is not installed")
    digest = hashlib.sha256(FILES["weights.gguf"]).hexdigest()
    subprocess.run(
        [aria2c, "-q", "-x4", "-s4", "-k1M", "--no-conf", "--file-allocation=none", f"--checksum=sha-256={digest}",
         "-d", str(tmp_path), "-o", "out.gguf", f"{server.url}/acme/tiny/resolve/main/weights.gguf"],
        check=True, timeout=60,
    )  # fmt: skip
    assert (tmp_path / "out.gguf").read_bytes() == FILES["weights.gguf"]
    assert len([fields for fields in requests.seen if fields["range"]]) >= 3
