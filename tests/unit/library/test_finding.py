"""Targets: where their files go, and who gets which secret."""

from pathlib import Path

import msgspec
import pytest

from engine.errors import EngineError, UsageError
from engine.library.finding import credentials_for, find_jobs
from engine.transport.auth import Credentials
from tests.unit.console.made import options


@pytest.fixture(autouse=True)
def no_network(home: Path) -> None:
    """Plain URLs are never asked for here; the environment has no tokens."""


def jobs(*words: str) -> list[tuple[str, Path]]:
    found = find_jobs(options(*words), Credentials())
    for one in found:
        if one.error:
            raise one.error
    return [(job.remote.url, job.target) for one in found for job in one.jobs]


def test_output_names_the_file(tmp_path: Path) -> None:
    """-o FILE is where it goes, whatever the URL calls it."""
    assert jobs("https://h/a/m.gguf", "-o", str(tmp_path / "x")) == [("https://h/a/m.gguf", tmp_path / "x")]


def test_dir_keeps_the_files_own_name(tmp_path: Path) -> None:
    """-d DIR takes the name of the URL."""
    assert jobs("https://h/a/m%20x.gguf", "-d", str(tmp_path)) == [
        ("https://h/a/m%20x.gguf", tmp_path / "m x.gguf")
    ]


def test_a_plain_url_has_a_place_in_the_store(home: Path) -> None:
    """Without -o and -d: below llm/ by host and folders, so that equal names of two servers do not meet."""
    targets = [target for _, target in jobs("https://h:8443/a/b/m.gguf", "https://h/m.gguf")]
    assert targets == [home / "llm/h_8443/a/b/m.gguf", home / "llm/h/files/m.gguf"]


@pytest.mark.parametrize(
    "url", ["https://h/../m.gguf", "https://h/a/%2e%2e/%2e%2e/m.gguf", "https://h/a//b/m.gguf"]
)
def test_a_url_does_not_leave_the_store(url: str) -> None:
    """Folders that cannot be kept as they are, are refused with what to do."""
    with pytest.raises(EngineError, match="-o FILE"):
        jobs(url)


@pytest.mark.parametrize(
    "url", ["https://h/a/%2e%2e%2fm.gguf", "https://h/a/..", "https://h/a/con.gguf", "https://h/x%00y.gguf"]
)
def test_a_name_does_not_leave_the_folder(url: str, tmp_path: Path) -> None:
    """A name that could leave DIR is refused."""
    with pytest.raises(EngineError):
        jobs(url, "-d", str(tmp_path))


def test_the_same_target_twice_is_fetched_once() -> None:
    """One job, not two that wait for each other's lock."""
    assert len(jobs("https://h/m.gguf", "https://h/m.gguf")) == 1


def test_two_files_for_one_place(tmp_path: Path) -> None:
    """Neither overwrites the other: the second is refused."""
    with pytest.raises(UsageError, match="Two different files"):
        jobs("https://h/a/m.gguf", "https://h/b/m.gguf", "-d", str(tmp_path))


def test_one_bad_target_does_not_stop_the_others(tmp_path: Path) -> None:
    """Each target has its own outcome."""
    found = find_jobs(options("https://h/", "https://h/m.gguf", "-d", str(tmp_path)), Credentials())
    assert found[0].error is not None and not found[0].jobs
    assert found[1].error is None and len(found[1].jobs) == 1


def test_typed_token_goes_to_the_targets_origin_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scheme, host and port must be the same; the Hub's token of the environment stays with the Hub."""
    monkeypatch.setenv("HF_TOKEN", "hf_env")
    got = credentials_for(options("https://h:8443/m.gguf", "--token", "typed", "--header", "X-Key: k"))
    assert got.for_url("https://h:8443/other") == {"Authorization": "Bearer typed", "X-Key": "k"}
    for other in ("https://h/m.gguf", "http://h:8443/m.gguf", "https://evil.example/"):
        assert got.for_url(other) == {}
    assert got.for_url("https://huggingface.co/x") == {"Authorization": "Bearer hf_env"}


def test_typed_token_wins_over_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a model path, --token goes to the Hub's origins and where HF_ENDPOINT points."""
    monkeypatch.setenv("HF_TOKEN", "hf_env")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:8080")
    got = credentials_for(options("hf.co/a/b", "--token", "typed"))
    for url in ("https://huggingface.co/x", "http://127.0.0.1:8080/x"):
        assert got.for_url(url) == {"Authorization": "Bearer typed"}


def test_environment_token_does_not_go_to_plain_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token from the environment is the Hub's and nobody else's."""
    monkeypatch.setenv("HF_TOKEN", "hf_env")
    assert credentials_for(options("https://h/m.gguf")).for_url("https://h/m.gguf") == {}


def test_typed_header_replaces_the_environments_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its case, there is one Authorization header."""
    monkeypatch.setenv("HF_TOKEN", "hf_env")
    got = credentials_for(options("hf.co/a/b", "--header", "authorization: Basic eA=="))
    assert got.for_url("https://huggingface.co/x") == {"Authorization": "Basic eA=="}


@pytest.mark.parametrize("words", [("--token", "t"), ("--header", "X: y")])
def test_one_secret_for_two_servers_is_refused(words: tuple[str, ...]) -> None:
    """What belongs to one server is not shown to another."""
    with pytest.raises(UsageError, match="belong to one server"):
        credentials_for(options("https://h/m.gguf", "hf.co/a/b", *words))


def test_jobs_carry_the_typed_digest(tmp_path: Path) -> None:
    """--sha256 is the file's digest."""
    (found,) = find_jobs(
        options("https://h/m", "-o", str(tmp_path / "m"), "--sha256", "AB" * 32), Credentials()
    )
    assert str(found.jobs[0].remote.digest) == f"sha256:{'ab' * 32}"
    assert msgspec.structs.asdict(found.jobs[0])["target"] == tmp_path / "m"
