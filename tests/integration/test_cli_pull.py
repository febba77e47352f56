"""`jarvis pull` as a process: streams, exit codes, JSON, options."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.command import ENTRY, ROOT, Command, Result
from tests.integration.trial import flip, one_error
from tests.origin import File, Origin
from tests.origin.content import Pattern

Jarvis = Callable[..., Result]
SIZE = 20_000_000


@pytest.fixture
def content() -> Pattern:
    return Pattern(SIZE, 5)


@pytest.fixture
def origin(origin_factory: Callable[..., Origin], content: Pattern) -> Origin:
    return origin_factory({"m.gguf": content, "tiny.bin": b"x" * 1024})


def test_stdout_has_the_path_and_nothing_else(
    jarvis: Jarvis, origin: Origin, content: Pattern, tmp_path: Path
) -> None:
    """One path a line on stdout; the summary, with how it was verified, on stderr."""
    target = tmp_path / "out.gguf"
    result = jarvis("pull", origin.url("m.gguf"), "-o", target).check(0)
    assert result.stdout == f"{target}\n"
    assert content.first_difference(target) is None
    assert f"SHA-256 computed, nothing to compare it with: {content.sha256()}" in result.stderr


def test_where_the_time_went(jarvis: Jarvis, origin: Origin, tmp_path: Path) -> None:
    """A pull that takes a while says where its time went."""
    result = jarvis("pull", origin.url("m.gguf"), "-o", tmp_path / "m", "--limit-rate", "20MB/s").check(0)
    assert "Where the time went: link " in result.stderr
    for word in ("waiting for the server", "disk", "hash", "CPU: "):
        assert word in result.stderr


def test_quiet_says_nothing_but_errors(jarvis: Jarvis, origin: Origin, tmp_path: Path) -> None:
    """--quiet: stderr is empty on success, and holds the error alone on failure."""
    assert jarvis("pull", origin.url("m.gguf"), "-o", tmp_path / "m", "--quiet").check(0).stderr == ""
    result = jarvis("pull", origin.url("absent"), "-o", tmp_path / "n", "--quiet").check(3)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1


def test_json_events(jarvis: Jarvis, origin: Origin, content: Pattern, tmp_path: Path) -> None:
    """--json: plan, progress, file and done, in that order, with sizes that agree."""
    target = tmp_path / "m.gguf"
    result = jarvis("pull", origin.url("m.gguf"), "-o", target, "--json", "--limit-rate", "10MB/s").check(0)
    names = [event["event"] for event in result.events if event.get("phase") != "connecting"]
    assert names[0] == "plan" and names[-2:] == ["file", "done"] and "progress" in names
    (file,), (done,) = result.events_named("file"), result.events_named("done")
    assert (file["path"], file["size"], file["fetched_bytes"]) == (str(target), SIZE, SIZE)
    assert (file["verified"], file["sha256"]) == ("computed", content.sha256())
    assert (done["files"], done["failed"], done["size"], done["exit_code"]) == (1, 0, SIZE, 0)
    last = result.events_named("progress")[-1]
    assert (last["phase"], last["done_bytes"]) == ("done", SIZE)


def test_json_error_and_done(jarvis: Jarvis, origin: Origin, tmp_path: Path) -> None:
    """A failure is an `error` event with its class and code, and `done` ends the stream all the same."""
    result = jarvis("pull", origin.url("absent"), "-o", tmp_path / "m", "--json").check(3)
    (error,), (done,) = result.events_named("error"), result.events_named("done")
    assert (error["error"], error["exit_code"], error["file"]) == ("NotFound", 3, "m")
    assert "404" in error["message"]
    assert (done["files"], done["failed"], done["exit_code"]) == (0, 1, 3)
    assert not (tmp_path / "m").exists()


def test_sha256_that_agrees_and_one_that_does_not(
    jarvis: Jarvis, origin: Origin, content: Pattern, tmp_path: Path
) -> None:
    """--sha256 decides: `verified: true`, or exit 6 and nothing under the final name."""
    good = jarvis("pull", origin.url("m.gguf"), "-o", tmp_path / "a", "--json", "--sha256", content.sha256())
    assert good.check(0).events_named("file")[0]["verified"] is True
    bad = jarvis("pull", origin.url("m.gguf"), "-o", tmp_path / "b", "--sha256", "0" * 64).check(6)
    assert "SHA256" in bad.stderr
    assert not (tmp_path / "b").exists()


def test_hash_none_says_so(jarvis: Jarvis, origin: Origin, tmp_path: Path) -> None:
    """Without a hash nothing is called verified."""
    result = jarvis("pull", origin.url("m.gguf"), "-d", tmp_path, "--json", "--hash", "none").check(0)
    (file,) = result.events_named("file")
    assert (file["verified"], file["sha256"]) == ("transport", None)
    assert "not hashed" in result.stderr and "verified" not in result.stderr


def test_several_targets_and_one_absent(
    jarvis: Jarvis, origin: Origin, content: Pattern, tmp_path: Path
) -> None:
    """The others are pulled all the same; the exit code is the failure's."""
    urls = [origin.url("m.gguf"), origin.url("absent.gguf"), origin.url("tiny.bin")]
    result = jarvis("pull", *urls, "-d", tmp_path / "d").check(3)
    assert sorted(result.stdout.splitlines()) == [str(tmp_path / "d/m.gguf"), str(tmp_path / "d/tiny.bin")]
    assert content.first_difference(tmp_path / "d/m.gguf") is None
    assert result.stderr.splitlines()[-1].startswith("1 of 3 failed")


def test_several_targets_that_fail_differently(
    jarvis: Jarvis, origin_factory: Callable[..., Origin], tmp_path: Path
) -> None:
    """Not found and access denied together are exit 1, with a line for each."""
    origin = origin_factory({"secret": File(b"x", bearer="t")})
    result = jarvis("pull", origin.url("absent"), origin.url("secret"), "-d", tmp_path).check(1)
    assert result.stderr.count("error: ") == 2


def test_second_pull_fetches_nothing(jarvis: Jarvis, origin: Origin, tmp_path: Path) -> None:
    """What is there and fits its receipt is accepted without a request."""
    jarvis("pull", origin.url("m.gguf"), "-o", tmp_path / "m").check(0)
    before = len(origin.requests)
    result = jarvis("pull", origin.url("m.gguf"), "-o", tmp_path / "m", "--json").check(0)
    assert len(origin.requests) == before
    assert result.events_named("file")[0]["already_there"] is True
    assert "nothing fetched" in result.stderr


def test_a_file_pulled_without_hashing_is_hashed_when_that_is_asked_for(
    jarvis: Jarvis, origin: Origin, content: Pattern, tmp_path: Path
) -> None:
    """Its receipt says that it is the file, not that it was verified: it is read, not fetched, and once only."""
    words = ("pull", origin.url("m.gguf"), "-o", tmp_path / "m", "--json")
    jarvis(*words, "--hash", "none").check(0)
    before = len(origin.requests)
    (plan,) = jarvis(*words, "--dry-run").check(0).events_named("plan")
    assert plan["held_bytes"] == SIZE
    for options in ([], ["--hash", "none"], []):
        (file,) = jarvis(*words, *options).check(0).events_named("file")
        assert (file["sha256"], file["verified"]) == (content.sha256(), "computed")
        assert (file["already_there"], file["fetched_bytes"]) == (True, 0)
    assert len(origin.requests) == before
    assert jarvis("verify", tmp_path / "m").check(0).stderr.count("SHA-256 computed when it was pulled") == 1
    flip(tmp_path / "m", SIZE // 2)
    assert "1 of 3 segments have changed" in jarvis("verify", tmp_path / "m").check(6).stderr


@pytest.mark.row("attack/30-credentials-elsewhere")
def test_token_and_header_reach_the_target_alone(
    jarvis: Jarvis, origin_factory: Callable[..., Origin], tmp_path: Path
) -> None:
    """--token and --header go to the origin that was typed, not to the one it redirects to."""
    edge = origin_factory({"m": b"content"})
    door = origin_factory({"m": File(b"", bearer="s3cret", redirect=edge.url("m"))})
    words = ["--token", "s3cret", "--header", "X-Key: k"]
    jarvis("pull", door.url("m"), "-o", tmp_path / "m", *words).check(0)
    assert {r.headers.get("x-key") for r in door.requests} == {"k"}
    assert edge.requests
    for record in edge.requests:
        assert record.headers.get("authorization") is None and record.headers.get("x-key") is None


def test_environment_token_stays_away_from_plain_urls(jarvis: Jarvis, origin: Origin, tmp_path: Path) -> None:
    """HF_TOKEN is not sent to a server that is not the Hub."""
    jarvis("pull", origin.url("tiny.bin"), "-o", tmp_path / "t", env={"HF_TOKEN": "hf_secret"}).check(0)
    assert [r.headers.get("authorization") for r in origin.requests] == [None] * len(origin.requests)


def test_dry_run_writes_nothing(jarvis: Jarvis, origin: Origin, home: Path, tmp_path: Path) -> None:
    """--dry-run tells size and place, and leaves neither file nor folder."""
    target = tmp_path / "d/m.gguf"
    result = jarvis("pull", origin.url("m.gguf"), "-o", target, "--dry-run", "--json").check(0)
    (plan,) = result.events_named("plan")
    assert (plan["size"], plan["held_bytes"], plan["path"], plan["ranges"]) == (SIZE, 0, str(target), True)
    assert "20.0 MB would be fetched. Nothing was written." in result.stderr
    assert not target.parent.exists() and not home.exists()


def test_dry_run_knows_what_is_held(jarvis: Jarvis, spawn: Any, origin: Origin, tmp_path: Path) -> None:
    """After an interruption, --dry-run says how much the next run would not fetch; after a pull, all."""
    words = ("pull", origin.url("m.gguf"), "-o", tmp_path / "m", "--segment-size", "1MiB")
    stopped = stop_halfway(spawn(*words, "--json", "--limit-rate", "8MB/s"))
    kept = stopped.events_named("error")[0]["kept_bytes"]
    journal = tmp_path / "m.jarvis-part/journal"
    before = journal.read_bytes()
    (plan,) = jarvis(*words, "--dry-run", "--json").check(0).events_named("plan")
    assert plan["held_bytes"] == kept > 0
    assert journal.read_bytes() == before
    jarvis(*words).check(0)
    (plan,) = jarvis(*words, "--dry-run", "--json").check(0).events_named("plan")
    assert plan["held_bytes"] == SIZE


def stop_halfway(running: Any) -> Result:
    """SIGINT once a quarter has come."""

    def has_a_quarter(out: str, _: str) -> bool:
        lines = [json.loads(line) for line in out.splitlines() if line.endswith("}")]
        return any(e["event"] == "progress" and e["done_bytes"] >= SIZE // 4 for e in lines)

    running.wait_output(has_a_quarter, "progress")
    running.send()
    result: Result = running.wait().check(130)
    return result


def test_log_file_holds_the_engines_events(jarvis: Jarvis, origin: Origin, tmp_path: Path) -> None:
    """--log-file: one JSON object a line, with times and levels, and no secret of the URL."""
    log = tmp_path / "log.jsonl"
    url = origin.url("m.gguf") + "?token=s3cret"
    jarvis("pull", url, "-o", tmp_path / "m", "--log-file", log, "--token", "t0ken").check(0)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {"lease.sent", "lease.opened"} <= {line["event"] for line in lines}
    assert all({"timestamp", "level", "logger", "pid"} <= set(line) for line in lines)
    assert "s3cret" not in log.read_text() and "t0ken" not in log.read_text()


def test_log_into_a_pipe(jarvis: Jarvis, origin: Origin, tmp_path: Path) -> None:
    """Whoever reads it gets the log to its end; one that nobody reads is an error, not waited for."""
    pipe, copy = tmp_path / "pipe", tmp_path / "copy"
    os.mkfifo(pipe)
    words = ("pull", origin.url("m.gguf"), "-o", tmp_path / "m", "--log-file", pipe)
    assert "Cannot write the log" in jarvis(*words).check(7).stderr
    with copy.open("wb") as out, subprocess.Popen(["cat", pipe], stdout=out) as reader:
        jarvis(*words).check(0)
        assert reader.wait(10) == 0
    assert [json.loads(line) for line in copy.read_text().splitlines()]


def test_log_file_that_cannot_be_written(jarvis: Jarvis, origin: Origin, tmp_path: Path) -> None:
    """Said before anything is fetched, as an error of the disk."""
    result = jarvis(
        "pull", origin.url("m.gguf"), "-o", tmp_path / "m", "--log-file", tmp_path / "no/log"
    ).check(7)
    assert "Cannot write the log" in result.stderr
    assert origin.requests == []


def test_retries_are_told(jarvis: Jarvis, origin: Origin, tmp_path: Path) -> None:
    """A short line without --verbose, the cause and the address with it, and an event with --json."""
    for words, said in (
        (["--json"], "the server answered 503"),
        (["--verbose"], f"[{origin.url('m.gguf')}]"),
    ):
        fault = origin.fault("status", code=503, times=1)
        name = tmp_path / words[0]
        result = jarvis("pull", origin.url("m.gguf"), "-o", name, *words).check(0)
        assert fault.fired == 1
        assert said in result.stderr or "answered 503" in result.stderr
        if words == ["--json"]:
            assert result.events_named("retry")[0]["status"] == 503


USAGE = [
    ([], "Missing argument"),
    (["https://h/m", "--no-such-option"], "No such option"),
    (["https://h/m", "-c", "zero"], "--connections"),
    (["https://user:pw@h/m"], "user or password"),
    (["ftp://h/m"], "http and https"),
    (["not a path !!"], "Not a model path"),
    (["https://h/"], "-o FILE"),
    (["https://h/m", "-o", "a", "-d", "b"], "leave one out"),
    (["https://h/m", "--hash", "md5"], "md5"),
]


@pytest.mark.parametrize(("words", "message"), USAGE, ids=lambda value: str(value)[:30])
def test_usage_is_exit_2(jarvis: Jarvis, words: list[str], message: str, home: Path) -> None:
    """What cannot be meant is refused with exit 2, without a traceback or a trace on the disk."""
    result = jarvis("pull", *words).check(2)
    assert message in result.stderr
    assert result.stdout == "" and "Traceback" not in result.stderr
    assert not home.exists()


def test_unexpected_exception_is_one_line(command: Command, origin: Origin, tmp_path: Path) -> None:
    """Even a fault of our own ends with a line, exit 1, and the details where they were asked for."""
    boot = "import engine.console.pulling as p; p._run = None; from engine.cli import main; main()"
    entry, words = [sys.executable, "-c", boot], ["pull", origin.url("m.gguf"), "-o", tmp_path / "m"]
    result = command.run(*words, entry=entry).check(1)
    assert result.stderr.count("\n") == 1 and "TypeError" in result.stderr and "--log-file" in result.stderr
    log = tmp_path / "log"
    command.run(*words, "--log-file", log, entry=entry).check(1)
    (line,) = [json.loads(text) for text in log.read_text().splitlines() if "command.failed" in text]
    assert "Traceback" in line["traceback"]
    assert "Traceback" in command.run(*words, "--verbose", entry=entry).check(1).stderr


@pytest.mark.row("attack/6-control-characters")
def test_error_text_cannot_command_a_terminal(
    jarvis: Jarvis, origin_factory: Callable[..., Origin], tmp_path: Path
) -> None:
    """What a server says is shown without its control characters, on one line."""
    origin = origin_factory({"m": b"x"})
    fault = origin.fault(
        "status", code=403, headers={"X-Error-Code": "Other", "X-Error-Message": "red \x1b[31m text"}
    )
    result = jarvis("pull", origin.url("m"), "-o", tmp_path / "m").check(4)
    assert fault.fired >= 1
    assert "\x1b" not in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["paths", "json"])
def test_broken_stdout_pipe(
    origin: Origin, home: Path, tmp_path: Path, options: list[str], content: Pattern
) -> None:
    """A reader that has gone away costs neither the file nor a traceback."""
    target = tmp_path / "m"
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as gone:
        done = subprocess.run(
            [*ENTRY, "pull", origin.url("m.gguf"), "-o", str(target), *options],
            stdout=gone, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "Broken" not in done.stderr
    assert content.first_difference(target) is None


def test_python_cli_py_is_the_same_command(
    command: Command, origin: Origin, content: Pattern, tmp_path: Path
) -> None:
    """`python cli.py` of a checkout, from another folder, does what `jarvis` does."""
    entry = [sys.executable, str(ROOT / "cli.py")]
    result = command.run(
        "pull", origin.url("m.gguf"), "-o", tmp_path / "m", entry=entry, env={"PYTHONPATH": None}
    )
    assert result.check(0).stdout == f"{tmp_path / 'm'}\n"
    assert content.first_difference(tmp_path / "m") is None
    assert "jarvis" in command.run("--version", entry=entry, env={"PYTHONPATH": None}).check(0).stdout


def test_plain_lines_while_it_runs(spawn: Any, origin: Origin, tmp_path: Path) -> None:
    """Without a terminal: a plain line every few seconds, with size, rate and rest; no control characters."""
    running = spawn("pull", origin.url("m.gguf"), "-o", tmp_path / "m", "--limit-rate", "4MB/s")
    running.wait_output(lambda _, err: " left, " in err, "a progress line")
    result = running.wait().check(0)
    line = next(line for line in result.stderr.splitlines() if " left, " in line)
    assert line.startswith("m: ") and " of 20.0 MB (" in line and "connection" in line
    assert "\x1b" not in result.stderr and "\r" not in result.stderr


NO_UTF8 = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("env", [{}, NO_UTF8], ids=["utf8", "ascii"])
@pytest.mark.parametrize("raw", [b"m-\xff.gguf", "ü 名.gguf".encode()], ids=["no utf8", "no ascii"])
def test_a_name_that_is_no_text(
    command: Command, origin: Origin, content: Pattern, tmp_path: Path, raw: bytes, env: dict[str, str]
) -> None:
    """A file's name is bytes: they come out as they went in, for the file, its part, its receipt, log and result."""
    target = tmp_path / os.fsdecode(raw)
    pull = ["pull", origin.url("m.gguf"), "-o", target]
    first = command.run(*pull, "--verbose", "--log-file", os.fsdecode(raw + b".log"), env=env).check(0)
    assert content.first_difference(target) is None
    assert first.stdout == f"{tmp_path}/{raw.decode('utf-8', 'replace')}\n"
    again = command.run(*pull, "--json", env=env).check(0)
    assert again.events_named("file")[0]["already_there"] is True
    command.run("verify", target, env=env).check(0)
    assert (command.folder / os.fsdecode(raw + b".log")).exists()
    failed = command.run("pull", origin.url("absent"), "-o", f"{target}2", env=env).check(3)
    assert "Traceback" not in first.stderr + again.stderr + failed.stderr


def test_a_servers_name_is_utf8_on_disk_whatever_the_locale(
    command: Command, origin_factory: Callable[..., Origin], tmp_path: Path
) -> None:
    """What a URL calls a file has one name on disk, which does not depend on the user's environment."""
    origin = origin_factory({"ü.gguf": b"x"})
    for folder, env in (("a", {}), ("b", NO_UTF8)):
        result = command.run("pull", origin.url("ü.gguf"), "-d", tmp_path / folder, "--json", env=env).check(
            0
        )
        assert [event["file"] for event in result.events_named("file")] == ["ü.gguf"]
        assert [path.name for path in (tmp_path / folder).iterdir()] == ["ü.gguf"]


def test_a_name_that_only_its_owner_may_give(jarvis: Jarvis, origin: Origin, tmp_path: Path) -> None:
    """What a stranger may not call a file, the user may."""
    jarvis("pull", origin.url("tiny.bin"), "-o", tmp_path / "con.").check(0)
    assert (tmp_path / "con.").stat().st_size == 1024


@pytest.mark.row("together/same-target")
def test_two_pulls_of_the_same_file(spawn: Any, origin: Origin, tmp_path: Path, content: Pattern) -> None:
    """The second waits, says for whom, and takes what the first has made."""
    words = ("pull", origin.url("m.gguf"), "-o", tmp_path / "m", "--limit-rate", "8MB/s")
    first = spawn(*words, "--json")
    first.wait_output(lambda out, _: '"plan"' in out, "a plan")
    second = spawn(*words, "--json")
    second.wait_output(lambda out, err: '"wait"' in out and "waiting for process" in err, "a wait event")
    first.wait().check(0)
    result = second.wait().check(0)
    assert str(first.pid) in result.events_named("wait")[0]["holder"]
    assert content.first_difference(tmp_path / "m") is None


def test_two_files_of_one_name_are_refused_before_either_is_pulled(
    jarvis: Callable[..., Any], origin_factory: Callable[..., Origin], tmp_path: Path
) -> None:
    """It is a mistake of the command line; which of them is meant nobody can say."""
    origin = origin_factory({"a/m.gguf": b"a", "b/m.gguf": b"b", "c.gguf": b"c"})
    words = [origin.url(name) for name in ("c.gguf", "a/m.gguf", "b/m.gguf")]
    result = jarvis("pull", *words, "-d", tmp_path / "out").check(2)
    assert one_error(result, "would both become", "a/m.gguf", "b/m.gguf", "another -d or -o")
    assert origin.requests == []
    assert not (tmp_path / "out").exists()
