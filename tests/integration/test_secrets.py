"""Where secrets do not end up: in words that other users can read, on the disk, in what is printed and logged."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command import Command
from tests.integration.trial import MIB, Trial, wait_until
from tests.origin import File, Origin, Pattern

TOKEN, COOKIE, QUERY = "s3cret-t0ken", "s3cret-c00kie", "s3cret-qu3ry"
SECRET = re.compile(rb"s3cret|X-Signature", re.IGNORECASE)
"""Any of these, or an address that was signed for this pull."""
SIZE = 8 * MIB


def commands_of(pids: list[int]) -> Iterator[bytes]:
    """The words of processes, as `ps` shows them to every user of the machine."""
    for pid in pids:
        yield Path(f"/proc/{pid}/cmdline").read_bytes()


def assert_no_secrets_below(folder: Path) -> int:
    """No file's name or content holds one; how many were looked at."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        assert not SECRET.search(bytes(path)), path
        assert not SECRET.search(path.read_bytes()), f"{path} holds {SECRET.search(path.read_bytes())}"
    return len(files)


@pytest.fixture
def secretive(trial: Trial, origin_factory: Callable[..., Origin]) -> Trial:
    """A file behind a token, a cookie and a query, at a server that redirects to signed addresses of another one."""
    content = trial.content = Pattern(SIZE, seed=11)
    store = origin_factory({"blob": File(content, signed=True, pace=2 * MIB)})
    trial.origin.add("model.gguf", File(content, bearer=TOKEN, redirect=(store, "blob")))
    trial.url += f"?key={QUERY}"
    log = trial.target.parent / "log.jsonl"
    trial.options = ("--token", "-", "--header", f"Cookie: id={COOKIE}", "--verbose", "--log-file", log)
    return trial


@pytest.mark.row("attack/31-secrets-shown")
def test_a_pull_keeps_secrets_to_itself(secretive: Trial, tmp_path: Path) -> None:
    """Interrupted in the middle, and then to its end: workers' command lines, output, log, journal, lock, receipt,
    lane memory: nothing holds the token, the cookie, what follows the question mark, or a signed address."""
    words = secretive.arguments("-p", 1, "-c", 4)
    running = secretive.command.spawn(*words, stdin=TOKEN.encode() + b"\n")
    wait_until(lambda: secretive.segments_on_disk() > 4, "some segments")
    seen = list(commands_of([child.pid for child in running.children()]))
    assert seen and not any(map(SECRET.search, seen))
    running.interrupt_group()
    stopped = running.wait().check(130)
    assert (secretive.part / "journal").exists()
    assert assert_no_secrets_below(tmp_path) >= 3

    done = secretive.command.run(*words, stdin=TOKEN.encode() + b"\n").check(0)
    secretive.assert_exact()
    assert list((tmp_path / "home/receipts").iterdir())
    assert assert_no_secrets_below(tmp_path) >= 3
    for text in (stopped.stdout, stopped.stderr, done.stdout, done.stderr):
        assert not SECRET.search(text.encode())


@pytest.mark.parametrize("status", [401, 404, 500])
@pytest.mark.row("attack/31-secrets-shown")
def test_an_error_tells_no_secret(secretive: Trial, status: int) -> None:
    """Whatever the server says of the request, in its own words even, none of it is repeated that was secret."""
    said = f"You sent {TOKEN} and {COOKIE}, and neither is any good."
    body = f'{{"error": "{said}"}}'.encode()
    secretive.origin.fault("status", code=status, body=body, headers={"X-Error-Message": said})
    result = secretive.command.run(
        *secretive.arguments("-p", 0, "--retries", 0), stdin=TOKEN.encode() + b"\n"
    )
    assert secretive.origin.fired("status") >= 1
    assert result.code != 0
    assert not SECRET.search((result.stdout + result.stderr).encode())
    assert assert_no_secrets_below(secretive.target.parent) >= 1


@pytest.mark.parametrize("given", [b"", b"\n", b"two words\n"], ids=["nothing", "an empty line", "no token"])
def test_a_token_that_is_none_is_not_shown(trial: Trial, given: bytes) -> None:
    """Standard input that holds no token is a mistake in the command: exit 2, and nothing is asked for."""
    result = trial.command.run(*trial.arguments("--token", "-"), stdin=given).check(2)
    assert "--token" in result.stderr and "two words" not in result.stderr
    assert trial.origin.requests == []


def test_variants_take_a_token_from_standard_input(jarvis: Callable[..., Any], home: Path) -> None:
    """As pull does."""
    result = jarvis("variants", "localhost:1/team/tiny", "--token", "-", stdin=b"two words\n")
    assert result.code == 2 and "two words" not in result.stderr


@pytest.mark.parametrize(
    "endpoint",
    [f"http://bob:{TOKEN}@127.0.0.1:1/hf", f"http://127.0.0.1:1/?token={TOKEN}", f"{TOKEN}@127.0.0.1:1"],
)
@pytest.mark.row("attack/31-secrets-typed")
def test_an_endpoint_that_is_refused_is_not_shown(command: Command, endpoint: str) -> None:
    """The variable is named, and not what is in it."""
    for words in (
        ["pull", "ns/repo", "--dry-run"],
        ["pull", "ns/repo", "--json"],
        ["variants", "ns/repo"],
        ["doctor"],
    ):
        result = command.run(*words, env={"HF_ENDPOINT": endpoint})
        assert result.code == (0 if words == ["doctor"] else 2)
        assert "HF_ENDPOINT" in result.stdout + result.stderr
        assert TOKEN not in result.stdout + result.stderr


@pytest.mark.parametrize("host", ["127.0.0.1:1", "http://127.0.0.1:1"])
@pytest.mark.parametrize("user", [TOKEN, f"bob:{TOKEN}"])
@pytest.mark.row("attack/31-secrets-typed")
def test_a_password_before_a_host_is_refused_and_not_shown(command: Command, user: str, host: str) -> None:
    """With and without a scheme; the error says where credentials belong."""
    scheme, slashes, rest = host.rpartition("//")
    target = f"{scheme}{slashes}{user}@{rest}/ns/repo:v1"
    for words in ([], ["--json"]):
        result = command.run("pull", target, *words).check(2)
        assert (
            "a user or password in a URL is refused, use --header or --token" in result.stdout + result.stderr
        )
        assert TOKEN not in result.stdout + result.stderr
